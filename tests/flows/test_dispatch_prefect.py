"""Dispatch against a real Prefect server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from fixtures_prefect import PrefectServer, free_port
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Pending, Running

from darkstream.control.dispatcher import Dispatcher
from darkstream.dispatch import PrefectDispatcher
from darkstream.dispatch.definitions import read_text
from darkstream.errors import PrefectUnreachable, ServiceError
from darkstream.model.analyses import AnalysisRun
from darkstream.model.base import AnalysisId, DispatchId, JobId, LibraryId, ScanId
from darkstream.model.job import DispatchOrder
from darkstream.model.library import Library, Scan

_STUBS = (
    read_text()
    .replace("flows.convert.convert", "stub_flows.convert")
    .replace("flows.scan_library.scan_library", "stub_flows.scan_library")
    .replace("flows.maintain.maintain", "stub_flows.maintain")
)
_UNKNOWN = "00000000-0000-0000-0000-000000000001"


@pytest.fixture
async def client(shared_prefect: PrefectServer) -> AsyncIterator[PrefectClient]:
    async with PrefectClient(shared_prefect.api_url) as client:
        yield client


@pytest.fixture
async def dispatcher(
    shared_prefect: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PrefectDispatcher]:
    monkeypatch.setattr("darkstream.dispatch.dispatcher.read_text", lambda: _STUBS)
    async with PrefectDispatcher(shared_prefect.api_url) as dispatcher:
        await dispatcher.setup()
        yield dispatcher


def _order(identifier: int, **changes: Any) -> DispatchOrder:
    values: dict[str, Any] = {"pool": "cpu", "queue": "normal", "jobs": (JobId(1), JobId(2))}
    return DispatchOrder(id=DispatchId(identifier), **{**values, **changes})


def _library(identifier: int, schedule: str | None, name: str = "movies") -> Library:
    return Library(
        id=LibraryId(identifier),
        name=name,
        root=b"/in",
        destination=b"/out",
        preset="web",
        schedule=schedule,
        created=datetime.now(UTC),
    )


def _fits(dispatcher: PrefectDispatcher) -> Dispatcher:
    """Checked by mypy: control can use it."""
    return dispatcher


async def test_setup_makes_pools_queues_and_deployments(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    for pool in ("cpu", "gpu", "control"):
        assert (await client.read_work_pool(pool)).type == "darkstream"
        queues = {queue.name: queue.priority for queue in await client.read_work_queues(pool)}
        assert queues["urgent"] < queues["normal"] < queues["bulk"]
    convert = await client.read_deployment_by_name("convert/gpu")
    assert (convert.work_pool_name, convert.work_queue_name) == ("gpu", "normal")
    assert set(convert.parameter_openapi_schema["properties"]) == {"dispatch", "source"}
    assert convert.description == "Convert the jobs of a dispatch."
    assert convert.pull_steps == []
    maintain = await client.read_deployment_by_name("maintain/control")
    assert [schedule.slug for schedule in maintain.schedules] == ["hourly"]


async def test_setup_again_is_a_handful_of_reads(
    dispatcher: PrefectDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    send = PrefectClient.request

    async def count(self: PrefectClient, method: str, path: str, **more: Any) -> Any:
        sent.append(method)
        return await send(self, method, path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(PrefectClient, "request", count)
    await dispatcher.setup()
    assert len(sent) <= 10
    assert set(sent) <= {"GET", "POST"}


async def test_setup_repairs_what_was_removed_and_keeps_schedules(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    await dispatcher.apply_schedules([_library(70, "0 3 * * *")])
    gone = await client.read_deployment_by_name("convert/cpu")
    await client.delete_deployment(gone.id)
    await client.delete_work_pool("gpu")
    await dispatcher.setup()
    assert (await client.read_deployment_by_name("convert/cpu")).id != gone.id
    assert (await client.read_deployment_by_name("convert/gpu")).work_pool_name == "gpu"
    scan = await client.read_deployment_by_name("scan-library/control")
    assert "library-70" in {schedule.slug for schedule in scan.schedules}
    await dispatcher.apply_schedules([])


async def test_setup_leaves_a_pool_of_the_users_as_it_is(
    make_prefect: Callable[..., PrefectServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_prefect()
    server.start()
    monkeypatch.setattr("darkstream.dispatch.dispatcher.read_text", lambda: _STUBS)
    async with PrefectClient(server.api_url) as client, PrefectDispatcher(server.api_url) as ours:
        await client.create_work_pool(WorkPoolCreate(name="cpu", type="process"))
        await ours.setup()
        assert (await client.read_work_pool("cpu")).type == "process"
        assert (await client.read_deployment_by_name("convert/cpu")).work_pool_name == "cpu"


async def test_setup_names_a_flow_that_cannot_be_loaded(
    dispatcher: PrefectDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = _STUBS.replace("stub_flows.maintain", "stub_flows.nothing")
    monkeypatch.setattr("darkstream.dispatch.dispatcher.read_text", lambda: broken)
    with pytest.raises(ServiceError, match=r"stub_flows\.nothing"):
        await dispatcher.setup()
    misnamed = _STUBS.replace("stub_flows.maintain", "stub_flows.misnamed")
    monkeypatch.setattr("darkstream.dispatch.dispatcher.read_text", lambda: misnamed)
    with pytest.raises(ServiceError, match="another-name"):
        await dispatcher.setup()


async def test_a_dispatch_makes_one_run_however_often_it_is_asked_for(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    catalog = str(uuid4())
    first = await dispatcher.create_flow_run(_order(1, queue="urgent"), catalog)
    assert await dispatcher.create_flow_run(_order(1, queue="urgent"), catalog) == first
    assert await dispatcher.create_flow_run(_order(1), str(uuid4())) != first
    run = await client.read_flow_run(first)  # type: ignore[arg-type]
    assert run.name == "convert 2 files"
    assert run.parameters == {"dispatch": 1}
    assert run.work_queue_name == "urgent"
    assert run.tags == ["darkstream"]  # those of its jobs come when it ends


async def test_help_with_a_film_is_a_run_of_its_own_deployment(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    order = DispatchOrder(id=DispatchId(7), pool="cpu", queue="bulk", film=JobId(3))
    catalog = str(uuid4())
    first = await dispatcher.create_flow_run(order, catalog)
    assert await dispatcher.create_flow_run(order, catalog) == first
    run = await client.read_flow_run(first)  # type: ignore[arg-type]
    assert (run.name, run.parameters) == ("help with job 3", {"dispatch": 7})
    assert (run.work_queue_name, sorted(run.tags)) == ("bulk", ["darkstream", "job-3"])
    deployment = await client.read_deployment_by_name("encode-chunks/cpu")
    assert run.deployment_id == deployment.id


async def test_a_scan_makes_one_run(dispatcher: PrefectDispatcher, client: PrefectClient) -> None:
    scan = Scan(
        id=ScanId(5), library="movies", status="queued", dry_run=True, created=datetime.now(UTC)
    )
    catalog = str(uuid4())
    first = await dispatcher.create_scan_run(scan, catalog)
    assert await dispatcher.create_scan_run(scan, catalog) == first
    run = await client.read_flow_run(first)  # type: ignore[arg-type]
    assert (run.name, run.parameters["scan"]) == ("dry run of movies", 5)
    later = scan.model_copy(update={"created": scan.created + timedelta(seconds=1)})
    assert await dispatcher.create_scan_run(later, catalog) != first, "numbers come again"


async def test_an_analysis_makes_one_run_each_time_its_worker_is_lost(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    analysis = AnalysisRun(
        id=AnalysisId(5),
        status="queued",
        paths=("/in", "/b"),
        path_count=5,
        created=datetime.now(UTC),
    )
    catalog = str(uuid4())
    first = await dispatcher.create_analysis_run(analysis, catalog)
    assert await dispatcher.create_analysis_run(analysis, catalog) == first
    run = await client.read_flow_run(first)  # type: ignore[arg-type]
    assert (run.name, run.parameters) == ("analyze /in and 4 more", {"analysis": 5})
    assert (run.work_queue_name, sorted(run.tags)) == ("normal", ["analysis-5", "darkstream"])
    lost = analysis.model_copy(update={"attempts": 1, "paths": ("/in",), "path_count": 1})
    again = await dispatcher.create_analysis_run(lost, catalog)
    assert again != first
    assert (await client.read_flow_run(again)).name == "analyze /in"  # type: ignore[arg-type]
    stopped = lost.model_copy(update={"releases": 1})
    assert await dispatcher.create_analysis_run(stopped, catalog) not in {first, again}


async def test_a_deployment_made_anew_is_found_again(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    gone = await client.read_deployment_by_name("convert/cpu")
    await client.delete_deployment(gone.id)
    with pytest.raises(ServiceError, match="darkstream prefect setup"):
        await dispatcher.create_flow_run(_order(1), str(uuid4()))
    await dispatcher.setup()
    await client.delete_deployment((await client.read_deployment_by_name("convert/cpu")).id)
    async with PrefectDispatcher(str(client.api_url)) as other:
        await other.setup()
    assert await dispatcher.create_flow_run(_order(1), str(uuid4()))


async def test_states_of_many_runs(dispatcher: PrefectDispatcher, client: PrefectClient) -> None:
    catalog = str(uuid4())
    runs = [await dispatcher.create_flow_run(_order(n), catalog) for n in range(3)]
    await client.set_flow_run_state(runs[1], Running())
    states = await dispatcher.states([*runs, _UNKNOWN] + [str(uuid4()) for _ in range(250)])
    assert states == {runs[0]: "SCHEDULED", runs[1]: "RUNNING", runs[2]: "SCHEDULED"}
    assert await dispatcher.states([]) == {}


async def test_cancel_and_crash_and_what_has_ended(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    catalog = str(uuid4())
    waiting, running, lost = [
        await dispatcher.create_flow_run(_order(n), catalog) for n in range(3)
    ]
    for run in (running, lost):
        await client.set_flow_run_state(run, Pending())
        await client.set_flow_run_state(run, Running())
    for run in (waiting, running, _UNKNOWN):
        await dispatcher.cancel(run)
    for run in (lost, waiting, _UNKNOWN):
        await dispatcher.crash(run, "its worker is lost")
    await dispatcher.cancel(lost)
    assert await dispatcher.states([waiting, running, lost]) == {
        waiting: "CANCELLED",
        running: "CANCELLING",
        lost: "CRASHED",
    }
    state = (await client.read_flow_run(lost)).state  # type: ignore[arg-type]
    assert state is not None
    assert state.message == "its worker is lost"


async def test_schedules_follow_the_libraries(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    deployment = (await client.read_deployment_by_name("scan-library/control")).id

    async def present() -> dict[str, tuple[str, str]]:
        return {
            schedule.slug or "": (schedule.schedule.cron, schedule.parameters["library"])  # type: ignore[union-attr]
            for schedule in await client.read_deployment_schedules(deployment)
        }

    await dispatcher.apply_schedules([_library(1, "0 3 * * *"), _library(2, None)])
    assert await present() == {"library-1": ("0 3 * * *", "movies")}
    await dispatcher.apply_schedules([_library(1, "0 4 * * *", "films"), _library(2, "@daily")])
    assert await present() == {
        "library-1": ("0 4 * * *", "films"),
        "library-2": ("@daily", "movies"),
    }
    await dispatcher.apply_schedules([])
    assert await present() == {}


async def test_prefect_makes_runs_of_a_schedule(
    dispatcher: PrefectDispatcher, client: PrefectClient
) -> None:
    await dispatcher.apply_schedules([_library(9, "*/5 * * * *", "nightly")])
    deadline = time.monotonic() + 60
    while True:
        runs = [run for run in await client.read_flow_runs() if run.auto_scheduled]
        if any(run.parameters.get("library") == "nightly" for run in runs):
            break
        assert time.monotonic() < deadline, "Prefect's scheduler made no run"
        await asyncio.sleep(0.5)
    await dispatcher.apply_schedules([])


async def test_nobody_there_is_one_clear_line() -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    async with PrefectDispatcher(url) as dispatcher:
        for call in (
            dispatcher.setup(),
            dispatcher.states([_UNKNOWN]),
            dispatcher.create_flow_run(_order(1), "u"),
        ):
            with pytest.raises(PrefectUnreachable, match=url) as raised:
                await call
            assert "\n" not in str(raised.value)


async def test_a_server_that_is_still_starting_is_waited_for(
    make_prefect: Callable[..., PrefectServer],
) -> None:
    server = make_prefect()
    server.launch()
    while not server.answers("/api/v1/ready"):
        assert server.process is not None
        assert server.process.poll() is None, server.log
        await asyncio.sleep(0.05)
    async with PrefectDispatcher(server.api_url) as dispatcher:
        with pytest.raises(ServiceError, match="convert/cpu"):
            await dispatcher.create_flow_run(_order(1), "u")

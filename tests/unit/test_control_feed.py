from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from fixtures_server import FakeDispatcher, node_report, preferring, silence_nodes, submit
from sqlalchemy import insert

from darkstream.catalog.schema import jobs
from darkstream.control import nodes
from darkstream.control.feed import feed_jobs, feed_scans
from darkstream.control.jobs import get_job
from darkstream.control.libraries import add_library
from darkstream.control.nodes import (
    count_light,
    count_slots,
    limit_runs,
    list_nodes,
    pause_node,
    report_node,
)
from darkstream.control.rounds import Round, run_rounds
from darkstream.control.scans import start_scan
from darkstream.control.wing import Wing
from darkstream.errors import PrefectUnreachable
from darkstream.model.job import DispatchOrder, JobStatus
from darkstream.model.preset import Preset
from darkstream.model.wire import AddLibrary, StartScan


def _queue(wing: Wing, count: int) -> None:
    row = {
        "status": "queued",
        "source": b"/videos/a.mkv",
        "relative": b"a.mkv",
        "destination": b"/out",
        "preset": Preset(name="web").model_dump_json(),
        "preset_name": "web",
        "pool": "cpu",
        "priority": 50,
        "cost_s": 100.0,
        "created": 1.0,
    }
    with wing.catalog.database.write() as connection:
        connection.execute(insert(jobs), [row] * count)


async def test_ten_thousand_jobs_put_no_more_than_the_window_into_prefect(wing: Wing) -> None:
    _queue(wing, 10_000)
    dispatcher = FakeDispatcher()
    steps = 0
    while await feed_jobs(wing, dispatcher):
        steps += 1
        assert steps < 100
    assert len(dispatcher.runs) == wing.settings.prefect.window
    assert wing.catalog.jobs.counts() == {"queued": 9936, "dispatched": 64}
    wing.catalog.dispatches.end(dispatcher.orders[0].id)
    await feed_jobs(wing, dispatcher)
    assert len(dispatcher.runs) == wing.settings.prefect.window + 1


async def test_the_urgent_goes_first(wing: Wing) -> None:
    bulk, urgent = submit(wing, priority=5), submit(wing, priority=95)
    dispatcher = FakeDispatcher()
    await feed_jobs(wing, dispatcher)
    assert [(order.queue, order.jobs) for order in dispatcher.orders] == [
        ("urgent", (urgent,)),
        ("bulk", (bulk,)),
    ]


async def test_small_jobs_share_a_flow_run(wing: Wing) -> None:
    wing.catalog.nodes.report("den", node_report(slots=2))
    for _ in range(12):
        submit(wing)
    dispatcher = FakeDispatcher()
    await feed_jobs(wing, dispatcher)
    assert Counter(len(order.jobs) for order in dispatcher.orders) == {6: 2}


async def test_the_pool_is_chosen_from_the_nodes_that_are_alive_then(wing: Wing) -> None:
    wing = replace(wing, started=wing.started - 60)
    report_node(wing, "rack", node_report(gpu="H200"))
    job = submit(wing, preset=preferring("prefer"))
    assert get_job(wing, job).pool == "gpu"
    silence_nodes(wing)
    dispatcher = FakeDispatcher()
    await feed_jobs(wing, dispatcher)
    assert [(order.pool, order.jobs) for order in dispatcher.orders] == [("cpu", (job,))]
    later, plain = submit(wing, preset=preferring("prefer")), submit(wing)
    report_node(wing, "rack", node_report(gpu="H200"))
    assert [get_job(wing, one).pool for one in (later, plain)] == ["gpu", "cpu"]


async def test_no_flow_run_waits_for_an_encoding_session(wing: Wing) -> None:
    report = node_report(gpu="GeForce", slots=8).model_copy(update={"gpu_sessions": 3})
    report_node(wing, "rack", report)
    for _ in range(9):
        submit(wing, preset=preferring("prefer"))
    dispatcher = FakeDispatcher()
    await feed_jobs(wing, dispatcher)
    assert [(order.pool, len(order.jobs)) for order in dispatcher.orders] == [("gpu", 3)] * 3
    assert limit_runs(list_nodes(wing), "cpu", 64) == 64
    report_node(wing, "more", node_report(gpu="L4", slots=8))
    assert limit_runs(list_nodes(wing), "gpu", 64) == 64, "there, slots are the limit"


class _Failing(FakeDispatcher):
    async def create_flow_run(self, order: DispatchOrder, catalog_uuid: str) -> str:
        if self.orders:
            raise PrefectUnreachable("gone")
        return await super().create_flow_run(order, catalog_uuid)


async def test_what_prefect_does_not_take_is_queued_again(wing: Wing) -> None:
    for priority in (5, 50, 95):
        submit(wing, priority=priority)
    dispatcher = _Failing()
    with pytest.raises(PrefectUnreachable):
        await feed_jobs(wing, dispatcher)
    assert wing.catalog.jobs.counts() == {"queued": 2, "dispatched": 1}
    assert [row.flow_run for row in wing.catalog.dispatches.unfinished()] == list(
        dispatcher.states_of
    )


async def test_a_dispatch_that_a_crash_left_without_a_run_is_put_back(wing: Wing) -> None:
    job = submit(wing)
    wing.catalog.dispatches.plan(pool="cpu", window=9, batch_seconds=20.0, live_slots=1)
    assert wing.catalog.jobs.get(job).status is JobStatus.dispatched
    dispatcher = FakeDispatcher()
    await feed_jobs(wing, dispatcher)
    assert [order.jobs for order in dispatcher.orders] == [(job,)]


async def test_a_scan_gets_one_flow_run(wing: Wing) -> None:
    add_library(wing, AddLibrary(name="m", root="/a", destination="/b", preset="web"))
    scan = start_scan(wing, "m", StartScan())
    dispatcher = FakeDispatcher()
    await feed_scans(wing, dispatcher)
    await feed_scans(wing, dispatcher)
    assert [made.id for made in dispatcher.scans] == [scan.id]


async def test_a_look_at_the_queue_does_not_call_for_the_next(
    wing: Wing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a server whose machine has no GPU would do nothing but look."""
    monkeypatch.setattr(nodes, "_HEARD_S", -1.0)
    wing.catalog.nodes.report("den", node_report())
    stop, looks = asyncio.Event(), 0

    async def look() -> bool:
        nonlocal looks
        looks += 1
        return await feed_jobs(wing, FakeDispatcher())

    round_ = Round("dispatch", look, every_s=60.0, wake=wing.jobs_wake)
    task = asyncio.create_task(run_rounds([round_], wing.troubles, stop))
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert looks == 1


async def test_nothing_is_dispatched_while_all_that_could_do_it_rest(wing: Wing) -> None:
    wing.catalog.nodes.report("den", node_report(slots=2))
    wing.catalog.nodes.report("rack", node_report(slots=4))
    submit(wing)
    dispatcher = FakeDispatcher()
    pause_node(wing, "rack", "drain")
    assert count_slots(wing.catalog.nodes.all(), "cpu") == 2
    pause_node(wing, "den", "soft")
    assert count_light(wing.catalog.nodes.all()) == 1, "a paused one scans"
    assert not await feed_jobs(wing, dispatcher)
    assert dispatcher.orders == []
    pause_node(wing, "rack", None)
    assert await feed_jobs(wing, dispatcher)
    assert len(dispatcher.orders) == 1

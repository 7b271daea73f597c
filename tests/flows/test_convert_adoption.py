"""A flow run that goes on with jobs of others says so in Prefect."""

from __future__ import annotations

from pathlib import Path

from fixtures_flows import Field
from fixtures_server import wait_until
from prefect.client.orchestration import get_client

from darkstream.model.job import JobStatus
from darkstream.model.wire import SubmitJob
from flows.convert import convert


def test_a_run_is_named_after_all_that_it_did(field: Field, flow_clips: Path) -> None:
    jobs = []
    for name in ("a.mp4", "b.mp4"):
        source = field.add(flow_clips / "noise.mp4", name)
        request = SubmitJob(
            source=str(source),
            source_bytes=source.stat().st_size,
            preset="web",
            destination=str(field.destination),
        )
        jobs.append(field.client.submit_job(request).id)
    first = wait_until(lambda: field.server.dispatcher.orders, "a dispatch")[0]
    state = convert(dispatch=first.id, return_state=True)
    assert state.is_completed(), state.message
    assert {field.client.job(job).status for job in jobs} == {JobStatus.rejected}
    assert state.state_details.flow_run_id is not None
    with get_client(sync_client=True) as prefect:
        run = prefect.read_flow_run(state.state_details.flow_run_id)
    assert run.name == "convert 2 files"
    assert set(run.tags) == {f"job-{job}" for job in jobs}

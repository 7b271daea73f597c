from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fixtures_server import RunningServer, node_report, wait_until

from darkstream.client.api import Client
from darkstream.errors import (
    Conflict,
    InvalidPreset,
    LeaseLost,
    NotFound,
    ServerUnreachable,
    UnknownPreset,
    UsageError,
)
from darkstream.model.base import DispatchId, FencingToken, JobId, NodeName
from darkstream.model.job import Claim, JobStatus, Outcome, Progress
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.wire import (
    ClaimRequest,
    Commit,
    Heartbeat,
    LeaseReport,
    Release,
    SubmitJob,
)
from darkstream.settings import Settings
from darkstream.stages.claim import claim_next
from darkstream.stages.toolbox import Toolbox

_NODE = NodeName("den")


def _submit(client: Client, name: str = "a.mkv", **more: object) -> JobId:
    body = {"source": f"/videos/{name}", "preset": "web", "destination": "/out", **more}
    return client.submit_job(SubmitJob.model_validate(body)).id


def _claim_first(server: RunningServer, client: Client) -> tuple[DispatchId, str, Claim]:
    order = wait_until(lambda: server.dispatcher.orders, "a dispatch")[0]
    run = wait_until(lambda: next(iter(server.dispatcher.states_of), None), "a flow run")
    claim = client.claim(order.id, ClaimRequest(node=_NODE, flow_run=run))
    assert claim is not None
    return order.id, run, claim


def test_a_submitted_job_is_dispatched_claimed_and_committed(
    server: RunningServer, client: Client
) -> None:
    client.report_node(_NODE, node_report())
    job = _submit(client)
    dispatch, run, claim = _claim_first(server, client)
    assert claim.job == job
    assert claim.source == b"/videos/a.mkv"
    assert claim.relative == b"a.mkv"
    assert client.job(job).status is JobStatus.running
    done = Commit(token=claim.token, outcome=Outcome(status="skipped", decision="skip", reason="x"))
    assert client.commit(job, done).status is JobStatus.skipped
    assert client.commit(job, done).status is JobStatus.skipped
    assert client.claim(dispatch, ClaimRequest(node=_NODE, flow_run=run)) is None
    client.end_dispatch(dispatch)


def test_progress_is_shown_while_a_job_runs(server: RunningServer, client: Client) -> None:
    job = _submit(client)
    _, _, claim = _claim_first(server, client)
    half = Progress(step="encode", done=0.5)
    lease = LeaseReport(job=job, token=claim.token, progress=half)
    answer = client.beat(Heartbeat(node=_NODE, leases=(lease,)))
    assert (answer.cancel, answer.lost) == ((), ())
    assert client.job(job).progress == half
    assert [found.progress for found in client.jobs(status=JobStatus.running)] == [half]


def test_cancel_reaches_a_running_job_by_its_heartbeat(
    server: RunningServer, client: Client
) -> None:
    job = _submit(client)
    _, _, claim = _claim_first(server, client)
    assert client.cancel_job(job).cancel_requested
    lease = LeaseReport(job=job, token=claim.token)
    assert client.beat(Heartbeat(node=_NODE, leases=(lease,))).cancel == (job,)


def test_cancel_ends_a_waiting_job_at_once_and_retry_queues_it_again(client: Client) -> None:
    job = _submit(client, at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert client.cancel_job(job).status is JobStatus.cancelled
    assert client.retry_job(job).status is JobStatus.queued


def test_an_older_token_is_refused(server: RunningServer, client: Client) -> None:
    job = _submit(client)
    _, _, claim = _claim_first(server, client)
    late = Commit(
        token=FencingToken(claim.token - 1), outcome=Outcome(status="failed", reason="late")
    )
    with pytest.raises(LeaseLost):
        client.commit(job, late)


def test_a_released_job_is_dispatched_again(server: RunningServer, client: Client) -> None:
    job = _submit(client)
    dispatch, _, claim = _claim_first(server, client)
    client.release(job, Release(token=claim.token, reason="shutting down"))
    client.end_dispatch(dispatch)
    orders = server.dispatcher.orders
    wait_until(lambda: len(orders) == 2 and orders[1].jobs == (job,), "a second dispatch")


def test_a_lost_flow_run_gives_its_jobs_back(server: RunningServer, client: Client) -> None:
    job = _submit(client)
    _, run, _ = _claim_first(server, client)
    client.lose_flow_run(run, "killed")
    orders = server.dispatcher.orders
    wait_until(lambda: len(orders) == 2 and orders[1].jobs == (job,), "a second dispatch")
    assert client.job(job).attempts >= 1


def test_a_flow_run_that_submits_itself_finds_its_dispatch(
    server: RunningServer, client: Client
) -> None:
    server.dispatcher.states_of["run-1"] = "RUNNING"
    job = _submit(client, flow_run="run-1")
    dispatch = client.flow_run_dispatch("run-1")
    claim = client.claim(dispatch, ClaimRequest(node=_NODE, flow_run="run-1"))
    assert claim is not None
    assert claim.job == job
    assert server.dispatcher.orders == []


def test_a_claim_whose_answer_is_lost_costs_no_attempt(
    server: RunningServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.dispatcher.states_of["run-1"] = "RUNNING"
    job = _submit(client, flow_run="run-1")
    dispatch = client.flow_run_dispatch("run-1")
    answers: list[Claim | None] = []

    def lose_the_first(number: DispatchId, request: ClaimRequest) -> Claim | None:
        answers.append(client.claim(number, request))
        if len(answers) == 1:
            raise ServerUnreachable("the connection broke")
        return answers[-1]

    with Toolbox(Settings(), flow_run="run-1") as tools:
        monkeypatch.setitem(tools.__dict__, "client", _Wire(lose_the_first))
        claim = claim_next(tools, dispatch)
    assert claim is not None and answers == [claim, claim]
    assert (claim.job, claim.attempt) == (job, 1)
    assert client.job(job).attempts == 1


class _Wire:
    def __init__(self, claim: Callable[[DispatchId, ClaimRequest], Claim | None]) -> None:
        self.claim = claim

    def close(self) -> None:
        """Nothing is open."""


def test_jobs_are_listed_newest_first_in_pages(client: Client) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = [_submit(client, f"{n}.mkv", at=later) for n in range(5)]
    first = client.jobs(limit=3)
    rest = client.jobs(limit=3, after=first[-1].id)
    assert [job.id for job in (*first, *rest)] == made[::-1]


def test_priority_changes_while_a_job_waits(client: Client) -> None:
    job = _submit(client, at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    assert client.prioritise_job(job, 95).priority == 95
    with pytest.raises(UsageError, match="priority"):
        client.prioritise_job(job, 101)


def test_a_path_that_is_not_utf8_arrives_exactly(server: RunningServer, client: Client) -> None:
    exact = base64.b64encode(b"/videos/\xff\xfe.mkv").decode()
    job = client.submit_job(SubmitJob(source_b64=exact, preset="web", destination="/out"))
    assert job.source == "/videos/\\xff\\xfe.mkv"
    _, _, claim = _claim_first(server, client)
    assert claim.source == b"/videos/\xff\xfe.mkv"


def test_the_destination_is_the_sources_own_directory_by_default(
    server: RunningServer, client: Client
) -> None:
    client.submit_job(SubmitJob(source="/videos/a.mkv", preset="web"))
    _, _, claim = _claim_first(server, client)
    assert claim.destination == b"/videos"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"source": "videos/a.mkv"}, "absolute"),
        ({}, "missing"),
        ({"source": "/"}, "no file"),
        ({"source": "/videos/a\0.mkv"}, "NUL"),
        ({"source_b64": "%%%"}, "base64"),
        ({"source": "/a.mkv", "destination": "out"}, "destination"),
        ({"source": "/a.mkv", "at": "2030-01-01T00:00:00"}, "time zone"),
    ],
)
def test_a_request_that_cannot_be_is_refused_in_one_line(
    client: Client, body: dict[str, object], text: str
) -> None:
    with pytest.raises(UsageError, match=text) as caught:
        client.submit_job(SubmitJob.model_validate({"preset": "web", **body}))
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_names_the_nearest(client: Client) -> None:
    with pytest.raises(UnknownPreset, match="web"):
        client.submit_job(SubmitJob(source="/a.mkv", preset="wep"))


def test_a_gpu_preset_goes_where_a_gpu_is_proved(server: RunningServer, client: Client) -> None:
    needs = Preset(name="fast", video=VideoRule(hardware="require"))
    with pytest.raises(Conflict, match="no worker is alive"):
        client.submit_job(SubmitJob(source="/a.mkv", preset=needs))
    client.report_node("den", node_report())
    with pytest.raises(Conflict, match="den"):
        client.submit_job(SubmitJob(source="/a.mkv", preset=needs))
    wants = Preset(name="fast", video=VideoRule(hardware="prefer"))
    assert client.submit_job(SubmitJob(source="/a.mkv", preset=wants)).pool == "cpu"
    client.report_node("rack", node_report(gpu="H200"))
    assert client.submit_job(SubmitJob(source="/b.mkv", preset=needs)).pool == "gpu"
    assert client.submit_job(SubmitJob(source="/c.mkv", preset=wants)).pool == "gpu"
    assert client.submit_job(SubmitJob(source="/d.mkv", preset="web")).pool == "cpu"


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for ask in (client.job, client.job_log, client.cancel_job, client.retry_job):
        with pytest.raises(NotFound, match="4711"):
            ask(4711)
    with pytest.raises(UsageError):
        client.job(2**64)


def test_no_server_is_one_clear_line() -> None:
    with Client("http://127.0.0.1:9", timeout=2) as alone, pytest.raises(ServerUnreachable) as seen:
        alone.health()
    assert "http://127.0.0.1:9" in str(seen.value)
    assert "\n" not in str(seen.value)


def test_a_problem_has_an_id_and_its_media_type(server: RunningServer) -> None:
    answer = httpx.get(f"{server.url}/api/v1/jobs/4711")
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["id"] == answer.headers["x-request-id"]
    assert (body["status"], body["error"], body["type"]) == (404, "not_found", "about:blank")


def test_an_unreadable_preset_is_refused(server: RunningServer) -> None:
    body = {"source": "/a.mkv", "preset": {"name": "x", "video": {"quality": 99}}}
    answer = httpx.post(f"{server.url}/api/v1/jobs", json=body)
    assert answer.status_code == 422
    assert "quality" in answer.json()["detail"]


def test_a_time_beyond_the_calendar_is_refused(client: Client) -> None:
    with pytest.raises(UsageError, match="calendar"):
        _submit(client, at="9999-12-31T23:59:59-12:00")


def test_a_whole_preset_is_checked_like_a_named_one(client: Client) -> None:
    for output, text in (("../{stem}", "below the destination"), ("{what}", "no field")):
        preset = Preset(name="mine", output=output)
        with pytest.raises(InvalidPreset, match=text):
            _submit(client, preset=preset.model_dump(mode="json"))


def test_a_delay_that_is_none_is_refused(server: RunningServer) -> None:
    body = {"token": 1, "reason": "x", "delay_s": -1}
    answer = httpx.post(f"{server.url}/api/v1/worker/jobs/1/release", json=body)
    assert answer.status_code == 422
    assert "delay_s" in answer.json()["detail"]


def test_a_job_comes_after_another_and_says_so(server: RunningServer, client: Client) -> None:
    first = _submit(client)
    second = _submit(client, "b.mkv", after=[first])
    anyway = _submit(client, "c.mkv", after=[second], if_failed="go-on")
    waiting = client.job(second)
    assert (waiting.waits_for, waiting.after, waiting.if_failed) == ((first,), (first,), "stop")
    _, _, claim = _claim_first(server, client)
    assert claim.job == first
    failed = Commit(token=claim.token, outcome=Outcome(status="failed", reason="it is broken"))
    client.commit(first, failed)
    assert client.job(second).reason == f"job {first}, which it waited for, failed"
    orders = server.dispatcher.orders
    wait_until(lambda: orders[-1].jobs == (anyway,), "the dispatch of the one that goes on")
    with pytest.raises(Conflict, match="retry that one first"):
        client.retry_job(second)


def test_who_comes_after_what_cannot_be_is_refused(client: Client) -> None:
    with pytest.raises(NotFound, match="there is no job 99 to come after"):
        _submit(client, after=[99])
    with pytest.raises(UsageError, match="cannot come after others"):
        _submit(client, after=[_submit(client)], flow_run="own")
    body = {"source": "/a.mkv", "preset": "web", "if_failed": "maybe"}
    answer = httpx.post(f"{client.base_url}/api/v1/jobs", json=body)
    assert (answer.status_code, "'stop' or 'go-on'" in answer.json()["detail"]) == (422, True)

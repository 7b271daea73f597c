"""The lease keeper and the patience with a server that is away; the server is a recorder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fixtures_flows import make_attempt

from darkstream.errors import (
    Cancelled,
    LeaseLost,
    NodePaused,
    NotFound,
    ServerUnreachable,
)
from darkstream.media.process import FfmpegProgress
from darkstream.model.base import JobId
from darkstream.model.node import PauseKind
from darkstream.model.wire import Heartbeat, HeartbeatAnswer
from darkstream.observe.cancel import CancelToken
from darkstream.stages.attempt import Attempt
from darkstream.stages.lease import keep_lease, renew
from darkstream.stages.patience import outlast


class Recorder:
    """Answers heartbeats as it is told, and remembers them."""

    def __init__(self) -> None:
        self.beats: list[Heartbeat] = []
        self.answer: HeartbeatAnswer | Exception = HeartbeatAnswer()

    def beat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        self.beats.append(heartbeat)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def attempt(recorder: Recorder) -> Attempt:
    made = make_attempt(heartbeat_s=0.01)
    made.tools.__dict__["client"] = recorder
    return made


def _until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_lease_is_renewed_with_its_progress(attempt: Attempt, recorder: Recorder) -> None:
    with keep_lease(attempt), attempt.step("encode"):
        attempt.note(FfmpegProgress(frame=50, out_time=None), None)
        _until(lambda: any(b.leases[0].progress.frame == 50 for b in recorder.beats))  # type: ignore[union-attr]
    lease = recorder.beats[-1].leases[0]
    assert (lease.job, lease.token) == (7, 3)
    assert lease.progress is not None and lease.progress.step == "encode"
    told = len(recorder.beats)
    assert not any(thread.name == "lease" for thread in threading.enumerate())
    assert len(recorder.beats) == told


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HeartbeatAnswer(cancel=(JobId(7),)), Cancelled),
        (HeartbeatAnswer(lost=(JobId(7),)), LeaseLost),
    ],
)
def test_the_answer_stops_the_work(
    attempt: Attempt, recorder: Recorder, answer: HeartbeatAnswer, error: type[Exception]
) -> None:
    recorder.answer = answer
    with keep_lease(attempt):
        assert attempt.cancel.wait(5)
    with pytest.raises(error):
        attempt.cancel.check()


def test_another_jobs_cancel_is_not_ours(attempt: Attempt, recorder: Recorder) -> None:
    recorder.answer = HeartbeatAnswer(cancel=(JobId(8),), lost=(JobId(9),))
    renew(attempt)
    assert not attempt.cancel.cancelled


def test_a_server_that_is_away_stops_nothing(attempt: Attempt, recorder: Recorder) -> None:
    recorder.answer = ServerUnreachable("no server")
    with keep_lease(attempt):
        _until(lambda: len(recorder.beats) > 3)
        assert not attempt.cancel.cancelled
        assert not attempt.in_touch
        recorder.answer = HeartbeatAnswer()
        _until(lambda: attempt.in_touch)
    assert not attempt.cancel.cancelled


def test_patience_lasts_until_the_server_is_back() -> None:
    answers = iter([ServerUnreachable("away"), ServerUnreachable("away"), "here"])

    def call() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert outlast(call) == "here"


def test_patience_ends_when_cancelled_or_after_its_time() -> None:
    def call() -> None:
        raise ServerUnreachable("away")

    cancel = CancelToken()
    threading.Timer(0.05, cancel.cancel, [LeaseLost("another's")]).start()
    with pytest.raises(LeaseLost):
        outlast(call, cancel)
    with pytest.raises(ServerUnreachable):
        outlast(call, at_most_s=0.3)


def test_an_answer_is_not_waited_for_twice() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise NotFound("no such job")

    with pytest.raises(NotFound):
        outlast(call)
    assert calls == [1]


def test_stopping_an_attempt_waits_for_its_step(attempt: Attempt) -> None:
    entered = threading.Event()

    def work() -> None:
        with attempt.step("encode"):
            entered.set()
            attempt.cancel.wait(5)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(5)
    assert attempt.stop("the worker was stopped", within_s=5)
    thread.join(5)
    with pytest.raises(Cancelled, match="worker was stopped"), attempt.step("verify"):
        pytest.fail("a step began after the stop")


def test_a_step_that_does_not_stop_is_told(attempt: Attempt) -> None:
    with attempt.step("encode"):
        assert not attempt.stop("now", within_s=0.01)


def test_a_node_that_is_to_rest_at_once_stops_its_work(
    attempt: Attempt, recorder: Recorder
) -> None:
    recorder.answer = HeartbeatAnswer(rest="hard")
    renew(attempt)
    with pytest.raises(NodePaused, match="was paused"):
        attempt.cancel.check()


@pytest.mark.parametrize("kind", ["soft", "drain", None])
def test_other_rests_are_told_and_work_goes_on(
    attempt: Attempt, recorder: Recorder, kind: PauseKind | None
) -> None:
    recorder.answer = HeartbeatAnswer(rest=kind)
    renew(attempt)
    assert attempt.rest == kind
    attempt.cancel.check()

from __future__ import annotations

from datetime import UTC, datetime

from darkstream.control.progress import ProgressBoard
from darkstream.model.base import FencingToken, JobId
from darkstream.model.job import Job, JobStatus, Progress
from darkstream.model.wire import LeaseReport

_HALF = Progress(step="encode", done=0.5)


def _job(status: JobStatus) -> Job:
    return Job(
        id=JobId(1),
        status=status,
        source="/a.mkv",
        preset="web",
        destination="/out",
        pool="cpu",
        queue="normal",
        priority=50,
        created=datetime(2030, 1, 1, tzinfo=UTC),
    )


def _report(job: int) -> LeaseReport:
    return LeaseReport(job=JobId(job), token=FencingToken(1), progress=_HALF)


def test_a_running_job_shows_its_latest_progress() -> None:
    board = ProgressBoard()
    board.note([_report(1)])
    assert board.overlay(_job(JobStatus.running)).progress == _HALF


def test_an_ended_job_shows_none() -> None:
    board = ProgressBoard()
    board.note([_report(1)])
    assert board.overlay(_job(JobStatus.done)).progress is None


def test_a_lost_lease_leaves_no_progress() -> None:
    board = ProgressBoard()
    board.note([_report(1)], except_for=[JobId(1)])
    assert board.overlay(_job(JobStatus.running)).progress is None


def test_a_forgotten_job_starts_anew() -> None:
    board = ProgressBoard()
    board.note([_report(1)])
    board.forget([JobId(1), JobId(2)])
    assert board.overlay(_job(JobStatus.running)).progress is None

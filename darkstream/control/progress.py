"""How far running jobs are: kept in memory only, a restart forgets nothing that matters."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from darkstream.model.base import JobId
from darkstream.model.job import Job, JobStatus, Progress
from darkstream.model.wire import LeaseReport


class ProgressBoard:
    """The latest progress of each running job; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[JobId, Progress] = {}

    def note(self, reports: Iterable[LeaseReport], *, except_for: Iterable[JobId] = ()) -> None:
        """Remember what a heartbeat said, except for jobs that are to stop."""
        stopped = frozenset(except_for)
        with self._lock:
            for report in reports:
                if report.progress is not None and report.job not in stopped:
                    self._latest[report.job] = report.progress

    def forget(self, jobs: Iterable[JobId]) -> None:
        """Drop jobs that are over, or that start anew."""
        with self._lock:
            for job in jobs:
                self._latest.pop(job, None)

    def shares(self) -> dict[JobId, float]:
        """The share that is done of each running job, where known."""
        with self._lock:
            return {job: one.done for job, one in self._latest.items() if one.done is not None}

    def overlay(self, job: Job) -> Job:
        """The job with its latest progress, while it runs."""
        if job.status is not JobStatus.running:
            return job
        with self._lock:
            progress = self._latest.get(job.id)
        return job if progress is None else job.model_copy(update={"progress": progress})

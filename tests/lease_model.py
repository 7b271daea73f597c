"""What must be true of jobs, leases and results, kept beside the catalog; knows no SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

from darkstream.model.base import DispatchId, FencingToken, JobId
from darkstream.model.job import ContentKey, OutputFile, PublishTarget
from darkstream.model.wire import Commit

MOST = 3
"""Attempts of one job."""
WAITING, RUNNING = "waiting", "running"
_RANK = {"bulk": 0, "normal": 1, "urgent": 2}


@dataclass
class Worker:
    """One attempt as the worker sees it; it may be late, and does not know."""

    job: JobId
    token: FencingToken
    source: bytes
    dispatch: DispatchId
    run: str
    asked: str
    attempt: int
    steps: int = 0
    key: ContentKey | None = None
    encodes: bool = False
    target: PublishTarget | None = None
    output: OutputFile | None = None
    committed: Commit | None = None

    @property
    def bytes_made(self) -> str:
        """No two encodes give the same bytes."""
        return f"{self.job}.{self.token}"


@dataclass
class ExpectedJob:
    """One job; `status` is waiting, running, or an end."""

    id: JobId
    priority: int
    status: str = WAITING
    attempts: int = 0
    token: int = 0
    cancel: bool = False
    silent: bool = False
    dispatch: DispatchId | None = None
    run: str | None = None
    blocker: ExpectedJob | None = None

    @property
    def queue(self) -> str:
        """By its priority."""
        return "urgent" if self.priority >= 80 else "normal" if self.priority >= 20 else "bulk"

    @property
    def ready(self) -> bool:
        """Whether it waits, and for nobody."""
        return self.status == WAITING and not (self.blocker and self.blocker.status == RUNNING)


@dataclass
class Model:
    """What must be true."""

    jobs: dict[JobId, ExpectedJob] = field(default_factory=dict)
    open: dict[DispatchId, str] = field(default_factory=dict)
    """Dispatches that are not over, and their queues."""
    cancelled: set[DispatchId] = field(default_factory=set)
    own: set[DispatchId] = field(default_factory=set)
    """Those of flow runs that submitted their job themselves."""
    bound: dict[DispatchId, str] = field(default_factory=dict)
    """The flow run made for each; another may be told to work on it as well."""
    asked: dict[DispatchId, str] = field(default_factory=dict)
    """Which claim was asked for last."""
    results: dict[ContentKey, tuple[JobId, bool]] = field(default_factory=dict)
    """Whose result it is, or (not done) whose reservation."""
    rests: bool = False
    """Whether the node is to rest: it is given nothing."""
    ends: int = 0
    disk: dict[bytes, str] = field(default_factory=dict)
    published: dict[bytes, str] = field(default_factory=dict)

    def holds(self, worker: Worker) -> bool:
        """Whether a worker's token is the one that counts."""
        job = self.jobs[worker.job]
        return job.status == RUNNING and job.token == worker.token

    def was_cancelled(self, worker: Worker) -> bool:
        """Whether its job ended as cancelled, and nobody had it after this worker."""
        job = self.jobs[worker.job]
        return job.status == "cancelled" and job.token == worker.token

    def running(self, dispatch: DispatchId) -> list[ExpectedJob]:
        """What a dispatch works on."""
        return [j for j in self.jobs.values() if j.dispatch == dispatch and j.status == RUNNING]

    def next_of(self, dispatch: DispatchId, *, adopt: bool) -> ExpectedJob | None:
        """The job that a flow run gets that asks now."""
        if dispatch not in self.open:
            return None
        mine = [j for j in self.jobs.values() if j.status == WAITING and j.dispatch == dispatch]
        queue = self.open[dispatch]
        waiting = [j for j in self.jobs.values() if j.ready and j.dispatch not in self.own]
        others = [job for job in waiting if _RANK[job.queue] >= _RANK[queue]]
        if not adopt or dispatch in self.cancelled:
            others = []

        def turn(job: ExpectedJob) -> tuple[bool, bool, int, int]:
            urgent = _RANK[job.queue] > _RANK[queue]
            return not urgent, job.dispatch is None, -job.priority, job.id

        return min(mine, key=lambda job: (-job.priority, job.id), default=None) or min(
            others, key=turn, default=None
        )

    def give(self, job: ExpectedJob, dispatch: DispatchId, run: str) -> None:
        """A worker begins."""
        job.status, job.dispatch, job.run, job.blocker = RUNNING, dispatch, run, None
        job.attempts += 1
        job.token += 1
        job.silent = False

    def end(self, job: ExpectedJob, status: str) -> None:
        """A job ends; what it reserved is free."""
        job.status, job.dispatch, job.silent = status, None, False
        self.ends += 1
        self.results = {
            key: (owner, done)
            for key, (owner, done) in self.results.items()
            if owner != job.id or done
        }

    def commit(self, job: ExpectedJob, status: str, made: ContentKey | None) -> None:
        """A job ends as its holder says."""
        if made is not None and made in self.results:
            self.results[made] = job.id, True
        self.end(job, status)

    def give_back(self, job: ExpectedJob, *, counted: bool, most: int = MOST) -> None:
        """An attempt is over, the job is not; `counted` ones are limited."""
        if job.cancel:
            self.end(job, "cancelled")
        elif counted and job.attempts >= most:
            self.end(job, "failed")
        else:
            job.status, job.dispatch, job.blocker, job.silent = WAITING, None, None, False
            job.attempts -= not counted

    def take_back(self, dispatch: DispatchId, run: str) -> None:
        """A flow run asks for more: what it had is lost, and is its own again."""
        for job in self.running(dispatch) if dispatch in self.open else ():
            if job.run == run:
                self.give_back(job, counted=True)
                job.dispatch = dispatch if job.status == WAITING else None

    def close(self, dispatch: DispatchId) -> None:
        """A dispatch is over: what it worked on is lost, and what it did not begin waits again."""
        self.open.pop(dispatch, None)
        for job in [job for job in self.jobs.values() if job.dispatch == dispatch]:
            if job.status == RUNNING:
                self.give_back(job, counted=True)
            else:
                job.dispatch = job.blocker = None

    def expire(self) -> None:
        """Dispatches with a silent worker are over."""
        for dispatch in {job.dispatch for job in self.jobs.values() if job.silent} - {None}:
            self.close(dispatch)

    def cancel(self, job: ExpectedJob) -> None:
        """A waiting job ends, a running one is asked to."""
        if job.status == WAITING:
            self.end(job, "cancelled")
        job.cancel = job.cancel or job.status == RUNNING

    def cancel_dispatch(self, dispatch: DispatchId) -> None:
        """A dispatch is over once nothing of it runs, and gets no more."""
        self.cancelled.add(dispatch)
        for job in [job for job in self.jobs.values() if job.dispatch == dispatch]:
            self.cancel(job)
        if not self.running(dispatch):
            self.open.pop(dispatch, None)

    def retry(self, job: ExpectedJob) -> None:
        """All begins anew but for the token."""
        job.status, job.attempts, job.cancel, job.blocker = WAITING, 0, False, None
        job.run = None
        self.results = {key: one for key, one in self.results.items() if one[0] != job.id}

    def plan(self, job: ExpectedJob, key: ContentKey) -> str:
        """What the holder of a job is to do with a plan."""
        owner, done = self.results.get(key, (job.id, False))
        if owner != job.id and done:
            return "reuse"
        if owner != job.id and self.jobs[owner].status == RUNNING:
            self.give_back(job, counted=False)
            job.blocker = None if job.status != WAITING else self.jobs[owner]
            return "wait"
        self.results[key] = job.id, False
        return "encode"

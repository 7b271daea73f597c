"""Leases as a state machine: whatever happens in whatever order, one worker holds a job."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.errors import Conflict, LeaseLost
from darkstream.model.base import (
    ContentId,
    DispatchId,
    FencingToken,
    Fingerprint,
    JobId,
    NodeName,
)
from darkstream.model.job import Claim, ContentKey, JobStatus, Outcome, OutputFile, PublishTarget
from darkstream.model.preset import Preset
from darkstream.model.wire import (
    Commit,
    FileToPublish,
    Heartbeat,
    LeaseReport,
    PlanReport,
    Release,
    TargetRequest,
)
from darkstream.settings import LeaseSettings

LEASE = LeaseSettings(max_attempts=3)
NODE = NodeName("node")
KEYS = st.sampled_from("pppq").map(
    lambda name: ContentKey(content=ContentId(name * 64), fingerprint=Fingerprint("f" * 64))
)


@dataclass
class Worker:
    """One attempt as the worker sees it; it may be late, and does not know."""

    job: JobId
    token: FencingToken
    source: bytes
    dispatch: DispatchId
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
class Model:
    """What must be true, kept beside the catalog."""

    holders: dict[JobId, FencingToken] = field(default_factory=dict)
    cancelled: set[JobId] = field(default_factory=set)
    disk: dict[bytes, str] = field(default_factory=dict)
    published: dict[bytes, str] = field(default_factory=dict)
    encoders: dict[ContentKey, list[Worker]] = field(default_factory=dict)
    asked: dict[DispatchId, str] = field(default_factory=dict)
    """Which claim each flow run asked for last."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows."""
    path = tmp_path_factory.mktemp("template") / "catalog.db"
    catalog = Catalog(f"sqlite:///{path}", lease=LEASE)
    catalog.migrate()
    with catalog.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    catalog.close()
    return path


def some_worker(machine: Leases) -> bool:
    return bool(machine.workers)


PICK = st.integers(0, 5)
"""Which of the newest ones, counted from the end."""


class Leases(RuleBasedStateMachine):
    """Workers that are quick, late, lost or told to stop, and people who change their minds."""

    template: Path

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="darkstream-leases-")
        shutil.copy(self.template, self.directory)
        url = f"sqlite:///{self.directory}/{self.template.name}"
        self.catalog = Catalog(url, lease=LEASE)
        self.model = Model()
        self.jobs: list[JobId] = []
        self.workers: list[Worker] = []
        self.asks = 0
        for name in "aab":
            self.submit(name, 50)
        self.start(slots=3)

    def teardown(self) -> None:
        try:
            self.finish_everything()
        finally:
            self.catalog.close()
            shutil.rmtree(self.directory)

    @rule(name=st.sampled_from("abc"), priority=st.sampled_from([5, 50, 90]))
    def submit(self, name: str, priority: int) -> None:
        job = self.catalog.jobs.submit(
            source=f"/in/{name}.mkv".encode(),
            relative=f"{name}.mkv".encode(),
            destination=b"/out",
            preset=Preset(name="web"),
            priority=priority,
        )
        self.jobs.append(job.id)

    @rule(slots=st.integers(1, 3))
    def start(self, slots: int) -> None:
        """Dispatch what waits, and let a worker take up each flow run."""
        orders = self.catalog.dispatches.plan(
            pool="cpu", window=3, batch_seconds=60.0, live_slots=slots
        )
        for order in orders:
            self.catalog.dispatches.bind(order.id, f"run-{order.id}")
            assert self.claim(order.id), "a dispatch was made for nothing"

    @precondition(some_worker)
    @rule(pick=PICK, adopt_s=st.sampled_from([0.0, 60.0]))
    def go_on(self, pick: int, adopt_s: float) -> None:
        """A flow run takes its next job, or one of others'; what it still held is lost."""
        self.claim(self.pick(pick).dispatch, adopt_s)

    def claim(self, dispatch: DispatchId, adopt_s: float = 0.0) -> bool:
        held = self.running(dispatch)
        self.asks += 1
        asked = f"claim-{self.asks}"
        claim = self.ask(dispatch, asked, adopt_s)
        if self.is_open(dispatch):
            self.model.asked[dispatch] = asked
        self.lose(held)
        if claim is None:
            return False
        former = [worker.token for worker in self.workers if worker.job == claim.job]
        assert claim.token > max(former, default=0)
        assert claim.attempt <= LEASE.max_attempts
        self.model.holders[claim.job] = claim.token
        worker = Worker(claim.job, claim.token, claim.source, dispatch, asked, claim.attempt)
        self.workers.append(worker)
        return True

    def ask(self, dispatch: DispatchId, asked: str, adopt_s: float = 0.0) -> Claim | None:
        run = f"run-{dispatch}"
        return self.catalog.leases.claim(dispatch, NODE, run, asked=asked, adopt_s=adopt_s)

    @precondition(some_worker)
    @rule(pick=PICK, adopt_s=st.sampled_from([0.0, 60.0]))
    def ask_again(self, pick: int, adopt_s: float) -> None:
        """The answer to a claim was lost: it is asked for once more, perhaps late."""
        worker = self.pick(pick)
        if self.model.asked[worker.dispatch] != worker.asked:
            return
        claim = self.ask(worker.dispatch, worker.asked, adopt_s)
        if not self.holds(worker):
            assert claim is None, "an answer to the same claim is another job"
            return
        assert claim is not None
        given = (claim.job, claim.token, claim.attempt)
        assert given == (worker.job, worker.token, worker.attempt)

    @precondition(some_worker)
    @rule(pick=PICK)
    def beat(self, pick: int) -> None:
        worker = self.pick(pick)
        lease = LeaseReport(job=worker.job, token=worker.token)
        answer = self.catalog.leases.beat(Heartbeat(node=NODE, leases=(lease,)))
        mine = self.holds(worker)
        to_stop = mine and worker.job in self.model.cancelled
        over = self.was_cancelled(worker)
        assert (worker.job in answer.lost) == (not mine and not over)
        assert (worker.job in answer.cancel) == (to_stop or over)

    @precondition(some_worker)
    @rule(pick=PICK, key=KEYS, steps=st.sampled_from([1, 1, 2, 3, 4]))
    def work(self, pick: int, key: ContentKey, steps: int) -> None:
        """Do the next few steps of an attempt, from wherever it is."""
        worker = self.pick(pick)
        ways = (lambda: self.plan(worker, key), lambda: self.ask_for_name(worker))
        todo = (*ways, lambda: self.take_name(worker), lambda: self.tell(worker, "done"))
        for step in todo[worker.steps : worker.steps + steps]:
            step()
        worker.steps += steps

    @precondition(some_worker)
    @rule(pick=PICK, key=KEYS)
    def race(self, pick: int, key: ContentKey) -> None:
        """Two are about to encode the same."""
        for number in (pick, pick + 1):
            self.plan(self.pick(number), key)

    def plan(self, worker: Worker, key: ContentKey) -> None:
        if worker.key is not None:
            return
        report = PlanReport(token=worker.token, key=key, sample="s", size=1, media={}, plan={})
        answer = self.fenced(worker, lambda: self.catalog.results.report_plan(worker.job, report))
        if answer is None:
            return
        if answer.action == "wait":
            self.lose([worker.job])
            return
        worker.key, worker.encodes = key, answer.action == "encode"
        if worker.encodes:
            others = self.model.encoders.setdefault(key, [])
            assert not any(map(self.holds, others)), "two encode the same"
            others.append(worker)

    def ask_for_name(self, worker: Worker) -> None:
        if worker.key is None:
            return
        stem = worker.source[4:-4]
        names = (b"x.mp4", stem + b".mp4")
        wanted = FileToPublish(candidates=names, size=1, blake3=worker.bytes_made)
        request = TargetRequest(token=worker.token, files=(wanted,))
        targets = self.fenced(
            worker, lambda: self.catalog.results.reserve_targets(worker.job, request)
        )
        if targets is not None:
            (worker.target,) = targets

    def take_name(self, worker: Worker) -> None:
        """Even a late worker may come to this; only what it may replace is replaced.

        Another job of the same source may have taken the name meanwhile: the worker asks again.
        """
        if worker.target is None:
            return
        path, there = worker.target.path, self.model.disk.get(worker.target.path)
        if there not in (None, *worker.target.replaces):
            self.ask_for_name(worker)
        if there not in (None, *worker.target.replaces):
            assert not self.holds(worker), "its own name is taken"
            return
        self.model.disk[path] = worker.bytes_made
        worker.output = OutputFile(path=path, size=1, blake3=worker.bytes_made)

    @precondition(some_worker)
    @rule(pick=PICK, status=st.sampled_from(["done", "failed", "skipped"]))
    def commit(self, pick: int, status: str) -> None:
        """End an attempt, or say again how it ended."""
        self.tell(self.pick(pick), status)

    def tell(self, worker: Worker, status: str) -> None:
        if worker.committed is not None:
            with suppress(LeaseLost):  # said again: whatever became of the job, nothing changes
                self.catalog.results.commit(worker.job, worker.committed)
            return
        if worker.output is None and status == "done":
            return
        outputs = () if status != "done" or worker.output is None else (worker.output,)
        outcome = Outcome.model_validate({"status": status, "outputs": outputs})
        key = worker.key if worker.encodes and status == "done" else None
        commit = Commit(token=worker.token, outcome=outcome, key=key)
        job = self.fenced(worker, lambda: self.catalog.results.commit(worker.job, commit))
        if job is None:
            return
        assert job.status == status
        worker.committed = commit
        self.lose([worker.job])
        self.model.published |= {output.path: output.blake3 for output in outputs}

    @precondition(some_worker)
    @rule(pick=PICK, counted=st.booleans())
    def release(self, pick: int, counted: bool) -> None:
        worker = self.pick(pick)
        release = Release(token=worker.token, reason="stopped", count_attempt=counted)
        held = self.holds(worker)
        self.fenced(worker, lambda: self.catalog.results.release(worker.job, release))
        if held:
            self.lose([worker.job])

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        job = self.jobs[-1 - pick % len(self.jobs)]
        with suppress(Conflict):
            if self.catalog.jobs.cancel(job).status is JobStatus.running:
                self.model.cancelled.add(job)

    @rule(pick=PICK)
    def retry(self, pick: int) -> None:
        with suppress(Conflict):
            job = self.catalog.jobs.retry(self.jobs[-1 - pick % len(self.jobs)])
            assert (job.status, job.attempts) == (JobStatus.queued, 0)

    @precondition(some_worker)
    @rule(pick=PICK)
    def fall_silent(self, pick: int) -> None:
        """A worker, and with it all jobs of its dispatch, is taken for lost."""
        mark = text("UPDATE jobs SET lease_until = 0 WHERE id = :job AND status = 'running'")
        with self.catalog.database.write() as connection:
            connection.execute(mark, {"job": self.pick(pick).job})
        self.lose(self.catalog.leases.expire())

    @precondition(some_worker)
    @rule(pick=PICK, how=st.sampled_from(["lose", "end", "cancel", "lose run"]))
    def end(self, pick: int, how: str) -> None:
        dispatch = self.pick(pick).dispatch
        held = self.running(dispatch)
        if how == "cancel":
            self.catalog.dispatches.cancel(dispatch)
            self.model.cancelled.update(held)
            return
        if how == "lose":
            self.catalog.dispatches.lose(dispatch, "it was killed")
        elif how == "lose run":
            self.catalog.dispatches.lose_flow_run(f"run-{dispatch}", "it was killed")
        else:
            self.catalog.dispatches.end(dispatch)
        self.lose(held)

    @rule()
    def restart(self) -> None:
        self.catalog.leases.extend_all()

    @invariant()
    def nothing_is_broken(self) -> None:
        assert self.catalog.check() == []

    @invariant()
    def no_output_is_lost_or_doubled(self) -> None:
        assert set(self.model.published) <= set(self.model.disk)
        sources = {worker.bytes_made: worker.source for worker in self.workers}
        owners = [sources[made] for made in self.model.disk.values()]
        assert len(owners) == len(set(owners)), self.model.disk

    def pick(self, number: int) -> Worker:
        return self.workers[-1 - number % len(self.workers)]

    def holds(self, worker: Worker) -> bool:
        return self.model.holders.get(worker.job) == worker.token

    def was_cancelled(self, worker: Worker) -> bool:
        """Whether its job ended as cancelled, and nobody had it after this worker."""
        newest = max(other.token for other in self.workers if other.job == worker.job)
        status = self.catalog.jobs.get(worker.job).status
        return worker.token == newest and status is JobStatus.cancelled

    def fenced(self, worker: Worker, call: Callable[[], Any]) -> Any:
        """What the catalog says to a worker; a late one must be refused, and no other."""
        held = self.holds(worker)
        try:
            answer = call()
        except LeaseLost:
            assert not held, "the holder was refused"
            return None
        assert held, "a late worker was heard"
        return answer

    def running(self, dispatch: DispatchId) -> list[JobId]:
        query = text("SELECT id FROM jobs WHERE dispatch_id = :id AND status = 'running'")
        with self.catalog.database.read() as connection:
            return [JobId(row[0]) for row in connection.execute(query, {"id": dispatch})]

    def is_open(self, dispatch: DispatchId) -> bool:
        return any(one.id == dispatch for one in self.catalog.dispatches.unfinished())

    def lose(self, jobs: list[JobId]) -> None:
        for job in jobs:
            self.model.holders.pop(job, None)
            self.model.cancelled.discard(job)

    def finish_everything(self) -> None:
        """From wherever this is, honest workers bring every job to its end."""
        with self.catalog.database.write() as connection:
            connection.execute(text("UPDATE jobs SET not_before = NULL"))
        for dispatch in self.catalog.dispatches.unfinished():
            held = self.running(dispatch.id)
            self.catalog.dispatches.lose(dispatch.id, "the end")
            self.lose(held)
        key = ContentKey(content=ContentId("p"), fingerprint=Fingerprint("f"))
        for _ in range(100):
            self.start(slots=1)
            if not (working := [worker for worker in self.workers if self.holds(worker)]):
                break
            for worker in working:
                self.plan(worker, key)
                self.ask_for_name(worker)
                self.take_name(worker)
                self.tell(worker, "done")
            for dispatch in self.catalog.dispatches.unfinished():
                self.catalog.dispatches.end(dispatch.id)
        assert all(job.status.ended for job in self.catalog.jobs.find(limit=1000))
        self.nothing_is_broken()
        self.no_output_is_lost_or_doubled()


def test_leases(template: Path) -> None:
    machine = type("LeasesHere", (Leases,), {"template": template})
    often = settings(max_examples=30, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(machine, settings=often)

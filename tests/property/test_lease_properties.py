"""Leases as a state machine: whatever happens in whatever order, one worker holds a job.

The catalog is held against a model of it after every step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures_server import node_report
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
from lease_model import MOST, RUNNING, WAITING, ExpectedJob, Model, Worker
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.errors import Conflict, LeaseLost
from darkstream.model.base import ContentId, DispatchId, Fingerprint, JobId, NodeName
from darkstream.model.job import Claim, ContentKey, Outcome, OutputFile
from darkstream.model.node import PauseKind
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

LEASE = LeaseSettings(max_attempts=MOST)
NODE = NodeName("node")
KEYS = st.sampled_from("pppq").map(
    lambda name: ContentKey(content=ContentId(name * 64), fingerprint=Fingerprint("f" * 64))
)
LOSSES = st.tuples(
    st.integers(0, 3), st.sampled_from(["lose", "lose run", "silence", "release", "stop", "go on"])
)
"""How far an attempt comes, and how it is lost."""
_JOBS = text(
    "SELECT id, status, attempts, token, cancel_requested, dispatch_id, lease_until FROM jobs"
)
_RESULTS = text("SELECT content, fingerprint, job_id, done FROM results")
_TOLD = text("SELECT count(*) FROM outbox WHERE type = 'job.ended'")
_SILENCE = text("UPDATE jobs SET lease_until = 0 WHERE id = :job AND status = 'running'")


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
        self.catalog.nodes.report(NODE, node_report())
        self.model = Model()
        self.workers: list[Worker] = []
        self.count = 0
        for name in "aab":
            self.submit(name, 50)
        self.start(slots=3)

    def teardown(self) -> None:
        try:
            self.finish_everything()
        finally:
            self.catalog.close()
            shutil.rmtree(self.directory)

    @rule(name=st.sampled_from("abc"), priority=st.sampled_from([5, 50, 50, 90]))
    def submit(self, name: str, priority: int) -> None:
        self.add(name, priority)

    def add(self, name: str, priority: int, flow_run: str | None = None) -> ExpectedJob:
        job = self.catalog.jobs.submit(
            source=f"/in/{name}.mkv".encode(),
            relative=f"{name}.mkv".encode(),
            destination=b"/out",
            preset=Preset(name="web"),
            source_bytes=1000,
            priority=priority,
            flow_run=flow_run,
        )
        made = self.model.jobs[job.id] = ExpectedJob(job.id, priority)
        return made

    @rule(name=st.sampled_from("abc"), claims=st.booleans())
    def submit_itself(self, name: str, claims: bool) -> None:
        """A flow run that makes its job itself keeps it."""
        self.count += 1
        run = f"own-{self.count}"
        job = self.add(name, 50, run)
        job.dispatch = dispatch = self.catalog.jobs.dispatch_of_flow_run(run)
        self.model.open[dispatch] = job.queue
        self.model.own.add(dispatch)
        self.model.bound[dispatch] = run
        if claims:
            self.claim(dispatch, run)

    @rule(slots=st.integers(1, 3), claims=st.integers(0, 3))
    def start(self, slots: int, claims: int = 3, window: int = 3) -> None:
        """Dispatch what waits, and let workers take up flow runs."""
        orders = self.catalog.dispatches.plan(
            pool="cpu", window=window, batch_seconds=60.0, live_slots=slots
        )
        for order in orders:
            run = self.model.bound[order.id] = f"run-{order.id}"
            self.catalog.dispatches.bind(order.id, run)
            self.model.open[order.id] = order.queue
            for number in order.jobs:
                job = self.model.jobs[number]
                assert job.ready and job.dispatch is None and job.queue == order.queue
                job.dispatch, job.blocker = order.id, None
        assert not orders or len(self.model.open) <= window
        for order in orders[:claims]:
            claimed = self.claim(order.id, f"run-{order.id}")
            assert claimed or self.model.rests, "a dispatch was made for nothing"

    @rule(kind=st.sampled_from(["soft", "hard", "drain", None]))
    def rest(self, kind: PauseKind | None) -> None:
        """The node is to rest, or to work again; what it has begun goes on."""
        assert self.catalog.nodes.pause(NODE, kind).rest == kind
        self.model.rests = kind is not None

    @rule(pick=PICK, adopt_s=st.sampled_from([0.0, 60.0]), run=st.sampled_from(["run", "copy"]))
    def claim_any(self, pick: int, adopt_s: float, run: str) -> None:
        """A flow run begins, or is begun a second time, somewhere."""
        if dispatches := sorted(self.model.open):
            dispatch = dispatches[-1 - pick % len(dispatches)]
            self.claim(dispatch, f"{run}-{dispatch}", adopt_s)

    @precondition(some_worker)
    @rule(pick=PICK, adopt_s=st.sampled_from([0.0, 60.0]), new=st.sampled_from([None, 5, 50, 90]))
    def go_on(self, pick: int, adopt_s: float, new: int | None = None) -> None:
        """A flow run takes its next job, or one of others'; what it still held is lost."""
        worker = self.pick(pick)
        if new is not None:
            self.submit("c", new)
        self.claim(worker.dispatch, worker.run, adopt_s)

    def claim(self, dispatch: DispatchId, run: str, adopt_s: float = 0.0) -> bool:
        self.count += 1
        asked = f"claim-{self.count}"
        claim = self.catalog.leases.claim(dispatch, NODE, run, asked=asked, adopt_s=adopt_s)
        self.model.take_back(dispatch, run)
        job = None if self.model.rests else self.model.next_of(dispatch, adopt=adopt_s > 0)
        if dispatch in self.model.open:
            self.model.asked[dispatch] = asked
        assert (claim and claim.job) == (job and job.id)
        if claim is None or job is None:
            return False
        self.model.give(job, dispatch, run)
        assert (claim.token, claim.attempt) == (job.token, job.attempts)
        worker = Worker(job.id, claim.token, claim.source, dispatch, run, asked, claim.attempt)
        self.workers.append(worker)
        return True

    @precondition(some_worker)
    @rule(pick=PICK, adopt_s=st.sampled_from([0.0, 60.0]), late=st.booleans())
    def ask_again(self, pick: int, adopt_s: float, late: bool) -> None:
        """The answer to a claim was lost: it is asked for once more, perhaps late."""
        worker = self.pick(pick)
        if late:
            self.fall_silent(pick)
        if self.model.asked[worker.dispatch] != worker.asked:
            return
        claim: Claim | None = self.catalog.leases.claim(
            worker.dispatch, NODE, worker.run, asked=worker.asked, adopt_s=adopt_s
        )
        if not self.model.holds(worker):
            assert claim is None, "an answer to the same claim is another job"
            return
        assert claim is not None
        given = (claim.job, claim.token, claim.attempt)
        assert given == (worker.job, worker.token, worker.attempt)
        self.model.jobs[worker.job].silent = False

    @precondition(some_worker)
    @rule(pick=PICK)
    def beat(self, pick: int) -> None:
        self.hear(self.pick(pick))

    @precondition(some_worker)
    @rule()
    def beat_all(self) -> None:
        """Also those that were taken for lost long ago."""
        for worker in self.workers:
            self.hear(worker)

    def hear(self, worker: Worker) -> None:
        lease = LeaseReport(job=worker.job, token=worker.token)
        answer = self.catalog.leases.beat(Heartbeat(node=NODE, leases=(lease,)))
        mine, over = self.model.holds(worker), self.model.was_cancelled(worker)
        job = self.model.jobs[worker.job]
        assert (worker.job in answer.lost) == (not mine and not over)
        assert (worker.job in answer.cancel) == ((mine and job.cancel) or over)
        job.silent = job.silent and not mine

    @precondition(some_worker)
    @rule(pick=PICK, key=KEYS, steps=st.sampled_from([1, 1, 2, 3, 4, 4]))
    def work(self, pick: int, key: ContentKey, steps: int) -> None:
        """Do the next few steps of an attempt, from wherever it is."""
        worker = self.pick(pick)
        ways = (lambda: self.plan(worker, key), lambda: self.ask_for_name(worker))
        todo = (*ways, lambda: self.take_name(worker), lambda: self.tell(worker, "done"))
        for step in todo[worker.steps : worker.steps + steps]:
            step()
        worker.steps += steps

    @precondition(some_worker)
    @rule(pick=PICK, key=KEYS, again=st.booleans(), late=st.booleans())
    def redo(self, pick: int, key: ContentKey, again: bool, late: bool) -> None:
        """A job is done, a cancel of it comes too late, and somebody wishes it done again.

        Then the first worker says once more how it ended.
        """
        worker = self.pick(pick)
        job = worker.job
        if late and self.model.jobs[job].status == RUNNING:
            self.catalog.jobs.cancel(job)
            self.model.cancel(self.model.jobs[job])
        self.work(pick, key, 4)
        if again and self.model.jobs[job].status not in (WAITING, RUNNING):
            self.try_again(job)
            self.start(slots=3, window=99)
            self.tell(worker, "done")

    @precondition(some_worker)
    @rule(pick=PICK, key=KEYS, stopped=st.booleans())
    def race(self, pick: int, key: ContentKey, stopped: bool) -> None:
        """Two are about to encode the same; the first may be stopped before the second comes."""
        self.plan(self.pick(pick), key)
        if stopped:
            self.release(pick, False)
        self.plan(self.pick(pick + 1), key)
        self.start(slots=3, window=99)

    def plan(self, worker: Worker, key: ContentKey) -> None:
        if worker.key is not None:
            return
        report = PlanReport(token=worker.token, key=key, sample="s", size=1, media={}, plan={})
        answer = self.fenced(worker, lambda: self.catalog.results.report_plan(worker.job, report))
        if answer is None:
            return
        assert answer.action == self.model.plan(self.model.jobs[worker.job], key)
        if answer.action != "wait":
            worker.key, worker.encodes = key, answer.action == "encode"

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
            assert not self.model.holds(worker), "its own name is taken"
            return
        self.model.disk[path] = worker.bytes_made
        worker.output = OutputFile(path=path, size=1, blake3=worker.bytes_made)

    @precondition(some_worker)
    @rule(pick=PICK, status=st.sampled_from(["done", "failed", "skipped", "cancelled"]))
    def commit(self, pick: int, status: str) -> None:
        """End an attempt, or say again how it ended."""
        self.tell(self.pick(pick), status)

    def tell(self, worker: Worker, status: str) -> None:
        if worker.committed is not None:
            self.tell_again(worker, worker.committed)
            return
        if worker.output is None and status == "done":
            return
        outputs = () if status != "done" or worker.output is None else (worker.output,)
        outcome = Outcome.model_validate({"status": status, "outputs": outputs})
        key = worker.key if worker.encodes and status == "done" else None
        commit = Commit(token=worker.token, outcome=outcome, key=key)
        if status == "cancelled" and self.model.was_cancelled(worker):
            assert self.catalog.results.commit(worker.job, commit).status == status
            return
        job = self.fenced(worker, lambda: self.catalog.results.commit(worker.job, commit))
        if job is None:
            return
        assert job.status == status
        worker.committed = commit
        self.model.commit(self.model.jobs[worker.job], status, key)
        self.model.published |= {output.path: output.blake3 for output in outputs}

    def tell_again(self, worker: Worker, commit: Commit) -> None:
        """Nothing changes; whoever comes after another worker is refused."""
        try:
            self.catalog.results.commit(worker.job, commit)
        except LeaseLost:
            assert self.model.jobs[worker.job].token != worker.token
        else:
            assert self.model.jobs[worker.job].token == worker.token

    @precondition(some_worker)
    @rule(pick=PICK, counted=st.booleans())
    def release(self, pick: int, counted: bool) -> None:
        worker = self.pick(pick)
        release = Release(token=worker.token, reason="stopped", count_attempt=counted)
        held = self.model.holds(worker)
        self.fenced(worker, lambda: self.catalog.results.release(worker.job, release))
        if held:
            self.model.give_back(self.model.jobs[worker.job], counted=counted)

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        job = self.pick_job(pick)
        ended = job.status not in (WAITING, RUNNING, "cancelled")
        try:
            self.catalog.jobs.cancel(job.id)
        except Conflict:
            assert ended
        else:
            assert not ended, "the end of a job was not said"
            self.model.cancel(job)

    @rule(pick=PICK)
    def retry(self, pick: int) -> None:
        self.try_again(self.pick_job(pick).id)

    def try_again(self, number: JobId) -> None:
        job = self.model.jobs[number]
        unfinished = job.status in (WAITING, RUNNING)
        try:
            self.catalog.jobs.retry(number)
        except Conflict:
            assert unfinished
        else:
            assert not unfinished, "a job that has not ended was queued again"
            self.model.retry(job)

    @precondition(some_worker)
    @rule(pick=PICK)
    def fall_silent(self, pick: int) -> None:
        """A worker's lease runs out; nobody has looked yet."""
        job = self.model.jobs[self.pick(pick).job]
        with self.catalog.database.write() as connection:
            connection.execute(_SILENCE, {"job": job.id})
        job.silent = job.status == RUNNING

    @rule()
    def expire(self) -> None:
        """Silent workers, and with them all jobs of their dispatches, are taken for lost."""
        lost = {job.dispatch for job in self.model.jobs.values() if job.silent}
        expected = {job.id for one in lost if one for job in self.model.running(one)}
        assert set(self.catalog.leases.expire()) == expected
        self.model.expire()

    @precondition(some_worker)
    @rule(pick=PICK, how=st.sampled_from(["lose", "end", "cancel", "lose run"]))
    def end(self, pick: int, how: str) -> None:
        self.end_of(self.pick(pick), how)

    def end_of(self, worker: Worker, how: str) -> None:
        dispatch = worker.dispatch
        if how == "cancel":
            self.catalog.dispatches.cancel(dispatch)
            self.model.cancel_dispatch(dispatch)
            return
        if how == "lose run":
            self.catalog.dispatches.lose_flow_run(worker.run, "it was killed")
            if self.model.bound[dispatch] != worker.run:
                return
        elif how == "lose":
            self.catalog.dispatches.lose(dispatch, "it was killed")
        else:
            self.catalog.dispatches.end(dispatch)
        self.model.close(dispatch)

    @precondition(some_worker)
    @rule(pick=PICK, key=KEYS, losses=st.lists(LOSSES, min_size=MOST, max_size=MOST))
    def poison(self, pick: int, key: ContentKey, losses: list[tuple[int, str]]) -> None:
        """A file is the death of whoever takes it."""
        job = self.model.jobs[self.pick(pick).job]
        for steps, how in losses:
            if job.status == WAITING:
                self.start(slots=3, window=99)
            holder = next((one for one in self.workers[::-1] if self.model.holds(one)), None)
            if holder is None:
                return
            number = self.workers[::-1].index(holder)
            self.work(number, key, steps)
            if how == "silence":
                self.fall_silent(number)
                self.expire()
            elif how in ("release", "stop"):
                self.release(number, how == "release")
            elif how == "go on":
                self.go_on(number, 0.0)
            else:
                self.end_of(holder, how)
            self.agrees()

    @rule()
    def restart(self) -> None:
        self.catalog.leases.extend_all()
        for job in self.model.jobs.values():
            job.silent = False

    @invariant()
    def agrees(self) -> None:
        """The catalog is what the model says."""
        with self.catalog.database.read() as connection:
            found = {row.id: row for row in connection.execute(_JOBS)}
            results = {
                ContentKey(content=row.content, fingerprint=row.fingerprint): (row.job_id, row.done)
                for row in connection.execute(_RESULTS)
            }
            assert connection.execute(_TOLD).scalar_one() == self.model.ends
        for job in self.model.jobs.values():
            row = found.pop(job.id)
            waits = "queued" if job.dispatch is None else "dispatched"
            status = waits if job.status == WAITING else job.status
            assert (row.status, row.attempts, row.token) == (status, job.attempts, job.token)
            assert row.dispatch_id == job.dispatch
            assert bool(row.cancel_requested) == job.cancel
            assert (row.lease_until is not None) == (status == RUNNING)
            assert (row.lease_until == 0) == job.silent
        assert found == {}
        assert results == self.model.results
        unfinished = {one.id for one in self.catalog.dispatches.unfinished()}
        assert unfinished == set(self.model.open)

    @invariant()
    def nothing_is_broken(self) -> None:
        assert self.catalog.check() == []

    @invariant()
    def no_output_is_lost_or_doubled(self) -> None:
        assert set(self.model.published) <= set(self.model.disk)
        sources = {worker.bytes_made: worker.source for worker in self.workers}
        owners = [sources[made] for made in self.model.disk.values()]
        assert len(owners) == len(set(owners)), self.model.disk
        for path, made in self.model.published.items():
            assert sources[made] == sources[self.model.disk[path]], "another's output was replaced"

    def pick(self, number: int) -> Worker:
        return self.workers[-1 - number % len(self.workers)]

    def pick_job(self, number: int) -> ExpectedJob:
        jobs = list(self.model.jobs.values())
        return jobs[-1 - number % len(jobs)]

    def fenced(self, worker: Worker, call: Callable[[], Any]) -> Any:
        """What the catalog says to a worker; a late one must be refused, and no other."""
        held = self.model.holds(worker)
        try:
            answer = call()
        except LeaseLost:
            assert not held, "the holder was refused"
            return None
        assert held, "a late worker was heard"
        return answer

    def finish_everything(self) -> None:
        """From wherever this is, honest workers bring every job to its end."""
        self.rest(None)
        for dispatch in list(self.model.open):
            self.catalog.dispatches.lose(dispatch, "the end")
            self.model.close(dispatch)
        key = ContentKey(content=ContentId("p"), fingerprint=Fingerprint("f"))
        for _ in range(100):
            self.start(slots=1)
            if not (working := [one for one in self.workers if self.model.holds(one)]):
                break
            for worker in working:
                self.plan(worker, key)
                self.ask_for_name(worker)
                self.take_name(worker)
                self.tell(worker, "done")
            for dispatch in list(self.model.open):
                self.catalog.dispatches.end(dispatch)
                self.model.close(dispatch)
        assert all(job.status.ended for job in self.catalog.jobs.find(limit=1000))
        self.agrees()
        self.nothing_is_broken()
        self.no_output_is_lost_or_doubled()


def test_leases(template: Path) -> None:
    machine = type("LeasesHere", (Leases,), {"template": template})
    often = settings(max_examples=40, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(machine, settings=often)

"""Plans, names and ends of attempts: each checked against the fencing token."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.chunk_rows import close_film
from darkstream.catalog.database import Database
from darkstream.catalog.endings import end_jobs, pass_on
from darkstream.catalog.in_place import commit_replacement
from darkstream.catalog.intake import forget_files
from darkstream.catalog.leases import held, was_cancelled
from darkstream.catalog.names import confirm, reserve
from darkstream.catalog.queue import give_back
from darkstream.catalog.records import outcome_of, select_jobs, to_job
from darkstream.catalog.schema import files, jobs, results
from darkstream.catalog.speeds import correct_cost, learn_speed
from darkstream.model.base import JobId
from darkstream.model.job import Job, JobStatus, PublishTarget, Reservation
from darkstream.model.wire import Commit, PlanReport, Release, TargetRequest

_LOG_CHARACTERS = 200_000


class Results:
    """Every method is one transaction; raises LeaseLost for a token that is not the newest."""

    def __init__(self, database: Database, max_attempts: int) -> None:
        self._database = database
        self._max_attempts = max_attempts

    def report_plan(self, job: JobId, report: PlanReport) -> Reservation:
        """Reserve an encode, or say whose result to reuse, or whose encode to wait for."""
        with self._database.write() as connection:
            row = held(connection, job, report.token)
            close_film(connection, job)
            plan = _dump(report.plan)
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job)
                .values(content=report.key.content, media=_dump(report.media), plan=plan)
            )
            correct_cost(connection, row, report.work)
            key = (
                results.c.content == report.key.content,
                results.c.fingerprint == report.key.fingerprint,
            )
            other = connection.execute(
                select(results.c.done, jobs).join(jobs, jobs.c.id == results.c.job_id).where(*key)
            ).one_or_none()
            if other is None:
                values = {"job_id": job, "done": False}
                key_values = report.key.model_dump()
                connection.execute(insert(results).values(**key_values, **values))
                return Reservation(action="encode")
            if other.id != job and other.done and other.id not in report.refused:
                return _reuse(other)
            if other.id != job and not other.done and other.status == JobStatus.running:
                reason = f"waits for job {other.id}, which makes the same"
                now = self._database.now(connection)
                give_back(connection, now, row, reason, blocked_by=other.id)
                return Reservation(action="wait", job=JobId(other.id))
            connection.execute(update(results).where(*key).values(job_id=job, done=False))
            return Reservation(action="encode")

    def reserve_targets(self, job: JobId, request: TargetRequest) -> tuple[PublishTarget, ...]:
        """Final names for verified files; two sources never get the same one."""
        with self._database.write() as connection:
            row = held(connection, job, request.token)
            return reserve(connection, row, request.files)

    def commit(self, job: JobId, commit: Commit) -> Job:
        """End an attempt; saying it again with the same token changes nothing.

        Nor does a worker that learns of a cancel after the job was ended by it.
        """
        with self._database.write() as connection:
            row = connection.execute(select_jobs().where(jobs.c.id == job)).one_or_none()
            cancelled = commit.outcome.status == "cancelled" and was_cancelled(row, commit.token)
            if row is not None and (cancelled or row.committed_token == commit.token == row.token):
                return to_job(row)
            held(connection, job, commit.token)
            now = self._database.now(connection)
            _write_outcome(connection, now, job, commit)
            learn_speed(connection, job, commit.outcome)
            pass_on(connection, now, [job])
            return to_job(connection.execute(select_jobs().where(jobs.c.id == job)).one())

    def release(self, job: JobId, release: Release) -> None:
        """Give a job back: it is queued again, or failed where its counted attempts are used up."""
        with self._database.write() as connection:
            row = held(connection, job, release.token)
            now = self._database.now(connection)
            counted = release.count_attempt
            if counted and row.attempts >= self._max_attempts and not row.cancel_requested:
                text = f"{release.reason}; it was tried {row.attempts} times"
                end_jobs(connection, now, [job], status="failed", reason=text)
                return
            due = now + release.delay_s
            give_back(connection, now, row, release.reason, counted=counted, not_before=due)


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value)


def _reuse(other: Row[Any]) -> Reservation:
    outcome = outcome_of(other)
    return Reservation(
        action="reuse",
        job=JobId(other.id),
        destination=other.destination,
        outputs=outcome.outputs if outcome else (),
        presentation=outcome.presentation if outcome else None,
    )


def _write_outcome(connection: Connection, now: float, job: JobId, commit: Commit) -> None:
    outcome = commit.outcome
    slim = outcome.model_copy(update={"media": None, "plan": None, "log": ""})
    values: dict[str, Any] = {
        "status": outcome.status,
        "decision": outcome.decision,
        "reason": outcome.reason,
        "outcome": slim.model_dump_json(),
        "output_bytes": outcome.output_bytes,
        "log": _log_of(commit)[-_LOG_CHARACTERS:],
        "ended": now,
        "lease_until": None,
        "dispatch_id": None,
        "committed_token": commit.token,
    }
    if outcome.source_bytes is not None:
        values["source_bytes"] = outcome.source_bytes
    if commit.content is not None:
        values["content"] = commit.content
        connection.execute(
            update(files).where(files.c.job_id == job).values(content=commit.content)
        )
    if outcome.media is not None:
        values["media"] = _dump(outcome.media)
    if outcome.plan is not None:
        values["plan"] = _dump(outcome.plan)
    connection.execute(update(jobs).where(jobs.c.id == job).values(**values))
    if outcome.source_gone:
        forget_files(connection, [job])
    _settle_results(connection, job, commit)
    confirm(connection, job, outcome.outputs)
    commit_replacement(connection, now, job, outcome)


def _settle_results(connection: Connection, job: JobId, commit: Commit) -> None:
    """What was encoded may be reused; what the job reserved or made before may not any more."""
    made = commit.key if commit.outcome.status == "done" and not commit.outcome.reused else None
    for row in connection.execute(select(results).where(results.c.job_id == job)).all():
        place = (results.c.content == row.content, results.c.fingerprint == row.fingerprint)
        if made is not None and (row.content, row.fingerprint) == (made.content, made.fingerprint):
            connection.execute(update(results).where(*place).values(done=True))
        else:
            connection.execute(delete(results).where(*place))


def _log_of(commit: Commit) -> str:
    command = commit.outcome.command
    return f"$ {command}\n{commit.outcome.log}" if command else commit.outcome.log

"""Plans, names and ends of attempts: each checked against the fencing token."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.database import Database
from darkstream.catalog.leases import held
from darkstream.catalog.records import announce_job, end_jobs, outcome_of, select_jobs, to_job
from darkstream.catalog.schema import files, jobs, results, targets
from darkstream.errors import Conflict
from darkstream.model.base import JobId
from darkstream.model.job import Job, JobStatus, PublishTarget, Reservation
from darkstream.model.wire import Commit, FileToPublish, PlanReport, Release, TargetRequest

_LOG_CHARACTERS = 200_000


class Results:
    """Every method is one transaction; raises LeaseLost for a token that is not the newest."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report_plan(self, job: JobId, report: PlanReport) -> Reservation:
        """Reserve an encode, or say whose result to reuse, or whose encode to wait for."""
        with self._database.write() as connection:
            row = held(connection, job, report.token)
            plan = _dump(report.plan)
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job)
                .values(content=report.key.content, media=_dump(report.media), plan=plan)
            )
            key = (
                results.c.content == report.key.content,
                results.c.fingerprint == report.key.fingerprint,
            )
            other = connection.execute(
                select(results.c.done, jobs)
                .join(jobs, jobs.c.id == results.c.job_id)
                .where(*key)
                .with_for_update()
            ).one_or_none()
            if other is None:
                values = {"job_id": job, "done": False}
                key_values = report.key.model_dump()
                connection.execute(insert(results).values(**key_values, **values))
                return Reservation(action="encode")
            if other.id != job and other.done and other.id not in report.refused:
                return _reuse(other)
            if other.id != job and not other.done and other.status == JobStatus.running:
                _requeue(connection, row, blocked_by=other.id)
                return Reservation(action="wait", job=JobId(other.id))
            connection.execute(update(results).where(*key).values(job_id=job, done=False))
            return Reservation(action="encode")

    def reserve_targets(self, job: JobId, request: TargetRequest) -> tuple[PublishTarget, ...]:
        """Final names for verified files; two sources never get the same one."""
        with self._database.write() as connection:
            row = held(connection, job, request.token)
            return tuple(_reserve(connection, row, file) for file in request.files)

    def commit(self, job: JobId, commit: Commit) -> Job:
        """End an attempt; saying it again with the same token changes nothing."""
        with self._database.write() as connection:
            row = connection.execute(select_jobs().where(jobs.c.id == job)).one_or_none()
            if row is not None and row.committed_token == commit.token == row.token:
                return to_job(row)
            held(connection, job, commit.token)
            now = self._database.now(connection)
            _write_outcome(connection, now, job, commit)
            announce_job(connection, now, job)
            return to_job(connection.execute(select_jobs().where(jobs.c.id == job)).one())

    def release(self, job: JobId, release: Release) -> None:
        """Give a job back: it is queued again."""
        with self._database.write() as connection:
            row = held(connection, job, release.token)
            now = self._database.now(connection)
            if row.cancel_requested:
                end_jobs(connection, now, [job], status="cancelled", reason="cancelled")
                return
            _requeue(
                connection, row, not_before=now + release.delay_s, counted=release.count_attempt
            )


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


def _requeue(
    connection: Connection,
    row: Row[Any],
    *,
    blocked_by: int | None = None,
    not_before: float | None = None,
    counted: bool = False,
) -> None:
    connection.execute(
        update(jobs)
        .where(jobs.c.id == row.id)
        .values(
            status="queued",
            attempts=row.attempts if counted else row.attempts - 1,
            blocked_by=blocked_by,
            not_before=not_before if not_before is not None else row.not_before,
            dispatch_id=None,
            lease_until=None,
        )
    )


def _reserve(connection: Connection, job: Row[Any], file: FileToPublish) -> PublishTarget:
    for path in file.candidates:
        place = (targets.c.destination == job.destination, targets.c.path == path)
        if path in file.refused:
            # What is there is not ours: no later version of this source may take it for its own.
            mine = targets.c.source == job.source
            connection.execute(delete(targets).where(*place, mine))
            continue
        taken = connection.execute(select(targets).where(*place)).one_or_none()
        values = {"job_id": job.id, "source": job.source, "blake3": file.blake3}
        if taken is None:
            statement = insert(targets).values(destination=job.destination, path=path, **values)
            connection.execute(statement)
            return PublishTarget(path=path)
        # The name belongs to the source: its newer version replaces its older one.
        if taken.source == job.source:
            connection.execute(update(targets).where(*place).values(**values))
            return PublishTarget(path=path, replaces=taken.blake3)
    raise Conflict("every name that the result may have is taken by another file")


def _write_outcome(connection: Connection, now: float, job: JobId, commit: Commit) -> None:
    outcome = commit.outcome
    slim = outcome.model_copy(update={"media": None, "plan": None, "log": ""})
    values: dict[str, Any] = {
        "status": outcome.status,
        "decision": outcome.decision,
        "reason": outcome.reason,
        "outcome": slim.model_dump_json(),
        "log": _log_of(commit)[-_LOG_CHARACTERS:],
        "ended": now,
        "lease_until": None,
        "dispatch_id": None,
        "committed_token": commit.token,
    }
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
    mine = results.c.job_id == job
    if outcome.status == "done" and commit.key is not None and outcome.reused is None:
        connection.execute(
            update(results)
            .where(mine, results.c.fingerprint == commit.key.fingerprint)
            .values(done=True)
        )
    connection.execute(delete(results).where(mine, results.c.done.is_(False)))


def _log_of(commit: Commit) -> str:
    command = commit.outcome.command
    return f"$ {command}\n{commit.outcome.log}" if command else commit.outcome.log

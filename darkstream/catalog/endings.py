"""The ends of jobs: told to who listens, and passed on to the jobs that wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from darkstream.catalog.batch_rows import to_batch
from darkstream.catalog.dependencies import hold_back, let_begin, stop_followers
from darkstream.catalog.listing import chunks
from darkstream.catalog.outbox import add_events
from darkstream.catalog.records import (
    UNFINISHED,
    WAITING,
    select_jobs,
    select_scans,
    to_job,
    to_scan,
)
from darkstream.catalog.schema import batches, jobs, results, scans
from darkstream.model.job import Job, JobStatus


def end_jobs(
    connection: Connection, now: float, ids: Sequence[int], *, status: str, reason: str
) -> None:
    """End jobs without an outcome of their own, with all that follows from it."""
    values = {"status": status, "reason": reason, "ended": now, "lease_until": None}
    for some in chunks(ids):
        ending = update(jobs).where(jobs.c.id.in_(some))
        connection.execute(ending.values(dispatch_id=None, waits=False, **values))
    pass_on(connection, now, ids)


def cancel_jobs(
    connection: Connection, now: float, ids: Sequence[int], *, reason: str = "cancelled"
) -> None:
    """End those of the jobs that wait, ask those that run to end."""
    waiting: list[int] = []
    for some in chunks(ids):
        these = jobs.c.id.in_(some)
        running = update(jobs).where(these, jobs.c.status == JobStatus.running.value)
        connection.execute(running.values(cancel_requested=True))
        waiting += connection.scalars(select(jobs.c.id).where(these, jobs.c.status.in_(WAITING)))
    end_jobs(connection, now, waiting, status="cancelled", reason=reason)


def pass_on(connection: Connection, now: float, ids: Sequence[int]) -> None:
    """Tell that jobs have ended; those that wait for them may begin, or are stopped by their rule.

    To be called in the transaction of the ends, so that no crash comes in between.
    """
    _conclude(connection, now, [*ids, *stop_followers(connection, now, ids)])


def line_up(connection: Connection, now: float, ids: Sequence[int]) -> None:
    """Let jobs that come into the queue wait for those before them.

    One that waits for a job that failed already is stopped at once, where that is its rule.
    """
    failed = hold_back(connection, ids)
    _conclude(connection, now, stop_followers(connection, now, failed))


def _conclude(connection: Connection, now: float, ended: Sequence[int]) -> None:
    _forget_reservations(connection, ended)
    for some in chunks(ended):
        let_begin(connection, some)
        _announce_jobs(connection, now, some)


def _forget_reservations(connection: Connection, ids: Sequence[int]) -> None:
    for some in chunks(ids):
        theirs = (results.c.job_id.in_(some), results.c.done.is_(False))
        connection.execute(delete(results).where(*theirs))


def _announce_jobs(connection: Connection, now: float, ids: Sequence[int]) -> None:
    """Write the events of these jobs' ends, and of the scans and batches that end with them."""
    rows = connection.execute(select_jobs().where(jobs.c.id.in_(ids)).order_by(jobs.c.id)).all()
    add_events(connection, now, "job.ended", [_ending(to_job(row)) for row in rows])
    for scan in {row.scan_id for row in rows} - {None}:
        announce_scan(connection, now, scan)
    for batch in {row.batch_id for row in rows} - {None}:
        announce_batch(connection, now, batch)


def _ending(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "status": job.status,
        "decision": job.decision,
        "reason": job.reason,
        "source": job.source,
        "outputs": list(job.outputs),
        "source_bytes": job.source_bytes,
        "output_bytes": job.output_bytes,
        "wall_s": job.wall_s,
        "library": job.library,
        "scan": job.scan,
        "batch": job.batch,
    }


def announce_scan(connection: Connection, now: float, scan: int) -> None:
    """Write the event of a scan's end once its walk and all its jobs ended."""
    row = connection.execute(select_scans().where(scans.c.id == scan)).one_or_none()
    if row is None or row.announced or row.status in {"queued", "running"}:
        return
    unfinished = select(jobs.c.id).where(jobs.c.scan_id == scan, jobs.c.status.in_(UNFINISHED))
    if connection.scalar(unfinished.limit(1)) is not None:
        return
    connection.execute(update(scans).where(scans.c.id == scan).values(announced=True))
    payload = to_scan(connection, row).model_dump(mode="json", exclude={"id"}) | {"scan": scan}
    add_events(connection, now, "scan.ended", [payload])


def announce_batch(connection: Connection, now: float, batch: int) -> None:
    """End a batch, and write the event of it, once all its jobs have ended."""
    this = batches.c.id == batch
    row = connection.execute(select(batches).where(this)).one_or_none()
    if row is None or row.ended is not None or row.holders:
        return
    unfinished = select(jobs.c.id).where(jobs.c.batch_id == batch, jobs.c.status.in_(UNFINISHED))
    if connection.scalar(unfinished.limit(1)) is not None:
        return
    connection.execute(update(batches).where(this).values(ended=now))
    row = connection.execute(select(batches).where(this)).one()
    payload = to_batch(connection, now, row, {}).model_dump(mode="json", exclude={"id", "eta_s"})
    payload["batch"] = payload.pop("name")
    add_events(connection, now, "batch.ended", [payload])

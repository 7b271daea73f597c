"""What holds of the catalog between any two transactions, whatever died in between."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, exists, func, not_, or_, select

from darkstream.catalog.outbox import KEPT_S
from darkstream.catalog.records import ENDED, UNFINISHED
from darkstream.catalog.schema import dispatches, jobs, outbox, results, scans
from darkstream.model.job import JobStatus

_ENDED = jobs.c.status.in_(ENDED)
_QUEUED = jobs.c.status == JobStatus.queued.value
_RUNS = jobs.c.status == JobStatus.running.value
_IN_DISPATCH = jobs.c.status.in_((JobStatus.running.value, JobStatus.dispatched.value))
_DISPATCH_IS_OPEN = exists().where(
    dispatches.c.id == jobs.c.dispatch_id, dispatches.c.ended.is_(None)
)


def find_broken(connection: Connection, now: float) -> list[str]:
    """What breaks an invariant (DESIGN's I1, I4 and I7), one sentence each."""
    return [*_jobs(connection), *_results(connection), *_events(connection, now)]


def _jobs(connection: Connection) -> list[str]:
    held = or_(jobs.c.lease_until.is_not(None), jobs.c.dispatch_id.is_not(None))
    rules: dict[str, ColumnElement[bool]] = {
        "has an end state without an end, or an end without its state": or_(
            and_(_ENDED, jobs.c.ended.is_(None)), and_(~_ENDED, jobs.c.ended.is_not(None))
        ),
        "has ended and is still leased or dispatched": and_(_ENDED, held),
        "waits in the queue and is still leased or dispatched": and_(_QUEUED, held),
        "runs without a lease": and_(_RUNS, jobs.c.lease_until.is_(None)),
        "belongs to a dispatch that is over": and_(_IN_DISPATCH, not_(_DISPATCH_IS_OPEN)),
        "counts attempts that it never had": or_(
            jobs.c.attempts > jobs.c.token, jobs.c.attempts < 0
        ),
    }
    return [
        f"I1: job {job} {what}"
        for what, broken in rules.items()
        for job in connection.scalars(select(jobs.c.id).where(broken))
    ]


def _results(connection: Connection) -> list[str]:
    rows = connection.execute(
        select(results.c.content, jobs.c.id, jobs.c.status)
        .join(jobs, jobs.c.id == results.c.job_id)
        .where(or_(and_(results.c.done, jobs.c.status != "done"), and_(~results.c.done, _ENDED)))
    )
    return [
        f"I4: job {row.id} is {row.status}, which its result of {row.content} is not"
        for row in rows
    ]


def _events(connection: Connection, now: float) -> list[str]:
    unfinished = exists().where(jobs.c.scan_id == scans.c.id, jobs.c.status.in_(UNFINISHED))
    untold = select(scans.c.id).where(
        scans.c.ended.is_not(None), scans.c.announced.is_(False), not_(unfinished)
    )
    broken = [f"I7: the end of scan {scan} was not told" for scan in connection.scalars(untold)]
    told = select(func.count()).select_from(outbox).where(outbox.c.type == "job.ended")
    # What was told of others may be forgotten by now.
    ended = select(func.count()).select_from(jobs).where(_ENDED, jobs.c.ended >= now - KEPT_S)
    counts = connection.scalar(told) or 0, connection.scalar(ended) or 0
    if counts[0] < counts[1]:
        broken.append(f"I7: {counts[1]} jobs have ended and {counts[0]} ends were told")
    return broken

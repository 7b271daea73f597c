"""What holds of the catalog between any two transactions, whatever died in between."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, exists, func, not_, or_, select

from darkstream.catalog.chunk_rows import HELPER
from darkstream.catalog.outbox import KEPT_S
from darkstream.catalog.records import ENDED, UNFINISHED, WAITING
from darkstream.catalog.schema import (
    batches,
    chunks,
    dependencies,
    dispatches,
    jobs,
    outbox,
    results,
    scans,
)
from darkstream.model.job import JobStatus

_ENDED = jobs.c.status.in_(ENDED)
_QUEUED = jobs.c.status == JobStatus.queued.value
_RUNS = jobs.c.status == JobStatus.running.value
_IN_DISPATCH = jobs.c.status.in_((JobStatus.running.value, JobStatus.dispatched.value))
_DISPATCH_IS_OPEN = exists().where(
    dispatches.c.id == jobs.c.dispatch_id, dispatches.c.ended.is_(None)
)

_before = jobs.alias("before")
_COMES_AFTER_UNFINISHED = exists().where(
    dependencies.c.job_id == jobs.c.id,
    dependencies.c.after_id == _before.c.id,
    _before.c.status.in_(UNFINISHED),
)


def find_broken(connection: Connection, now: float) -> list[str]:
    """What breaks an invariant (DESIGN's I1, I4 and I7), one sentence each."""
    found = [*_jobs(connection), *_chunks(connection), *_results(connection)]
    return [*found, *_events(connection, now)]


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
        "waits though it may begin, or may begin though it has to wait": or_(
            and_(jobs.c.waits, or_(~_QUEUED, not_(_COMES_AFTER_UNFINISHED))),
            and_(~jobs.c.waits, jobs.c.status.in_(WAITING), _COMES_AFTER_UNFINISHED),
        ),
        "counts attempts that it never had": or_(
            jobs.c.attempts > jobs.c.token, jobs.c.attempts < 0
        ),
    }
    return [
        f"I1: job {job} {what}"
        for what, broken in rules.items()
        for job in connection.scalars(select(jobs.c.id).where(broken))
    ]


def _chunks(connection: Connection) -> list[str]:
    helped = chunks.c.state == HELPER
    is_open = exists().where(dispatches.c.id == chunks.c.dispatch_id, dispatches.c.ended.is_(None))
    leased = chunks.c.lease_until.is_not(None)
    wrong = or_(and_(helped, or_(~leased, ~is_open)), and_(~helped, leased))
    rows = connection.execute(select(chunks).where(wrong))
    return [f"I1: chunk {row.number} of job {row.job_id} is {row.state}, by nobody" for row in rows]


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
    broken += [f"I7: {what}" for what in _batches(connection)]
    told = select(func.count()).select_from(outbox).where(outbox.c.type == "job.ended")
    # What was told of others may be forgotten by now.
    ended = select(func.count()).select_from(jobs).where(_ENDED, jobs.c.ended >= now - KEPT_S)
    counts = connection.scalar(told) or 0, connection.scalar(ended) or 0
    if counts[0] < counts[1]:
        broken.append(f"I7: {counts[1]} jobs have ended and {counts[0]} ends were told")
    return broken


def _batches(connection: Connection) -> list[str]:
    mine = jobs.c.batch_id == batches.c.id
    going_on = or_(batches.c.holders > 0, exists().where(mine, jobs.c.status.in_(UNFINISHED)))
    is_open = batches.c.ended.is_(None)
    wrong = select(batches.c.name, is_open.label("is_open")).where(is_open != going_on)
    return [
        f"batch {row.name} {'has ended untold' if row.is_open else 'goes on after its end'}"
        for row in connection.execute(wrong)
    ]

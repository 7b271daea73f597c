"""Jobs that wait for others: each knows those it comes after, and what it does if one fails.

`jobs.waits` says whether one of them has not ended, so that the queue need not look. A job comes
only after jobs that were there before it, so that no circle can arise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    insert,
    or_,
    select,
    update,
)

from darkstream.catalog.listing import chunks
from darkstream.catalog.records import UNFINISHED, UNSUCCESSFUL, WAITING
from darkstream.catalog.schema import dependencies, jobs
from darkstream.errors import NotFound
from darkstream.model.job import JobStatus

_before = jobs.alias("before")

_WORDS = {"failed": "failed", "rejected": "was rejected", "cancelled": "was cancelled"}


def check_present(connection: Connection, ids: Iterable[int]) -> list[int]:
    """The same jobs, each once; raises NotFound for one that is not there."""
    wanted = sorted(set(ids))
    known: set[int] = set()
    for some in chunks(wanted):
        known.update(connection.scalars(select(jobs.c.id).where(jobs.c.id.in_(some))))
    if missing := [str(job) for job in wanted if job not in known]:
        raise NotFound(f"there is no job {missing[0]} to come after; 'darkstream jobs' lists them")
    return wanted


def add_dependencies(connection: Connection, ids: Sequence[int], after: Sequence[int]) -> None:
    """Let each of the new jobs come after all of `after`."""
    pairs = [{"job_id": job, "after_id": before} for job in ids for before in after]
    if pairs:
        connection.execute(insert(dependencies), pairs)


def find_obstacle(connection: Connection, job: int) -> Row[Any] | None:
    """A job that ended without success, which stops this one; None where none does."""
    query = _pairs().where(
        jobs.c.id == job, jobs.c.if_failed == "stop", _before.c.status.in_(UNSUCCESSFUL)
    )
    return connection.execute(query.limit(1)).one_or_none()


def hold_back(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Mark those that have to wait; returns the jobs that failed and stop some of them.

    Those that come after them and have not begun have to wait again.
    """
    failed: set[int] = set()
    for some in chunks(ids):
        these = (jobs.c.id.in_(some), jobs.c.status == JobStatus.queued.value)
        stops = and_(jobs.c.if_failed == "stop", _before.c.status.in_(UNSUCCESSFUL))
        obstacle = _comes_after(or_(_before.c.status.in_(UNFINISHED), stops))
        connection.execute(update(jobs).where(*these, obstacle).values(waits=True))
        failed.update(row.before for row in connection.execute(_pairs().where(*these, stops)))
    for some in chunks(ids):
        followers = update(jobs).where(
            jobs.c.id.in_(_followers(some)),
            jobs.c.status.in_(WAITING),
            jobs.c.waits.is_(False),
            _comes_after(and_(_before.c.id.in_(some), _before.c.status.in_(UNFINISHED))),
        )
        connection.execute(followers.values(waits=True, status="queued", dispatch_id=None))
    return sorted(failed)


def let_begin(connection: Connection, ended: Sequence[int]) -> None:
    """Let the jobs begin that waited for these and wait for no other."""
    freed = update(jobs).where(
        jobs.c.id.in_(_followers(ended)),
        jobs.c.waits.is_(True),
        ~_comes_after(_before.c.status.in_(UNFINISHED)),
    )
    connection.execute(freed.values(waits=False))


def stop_followers(connection: Connection, now: float, ended: Sequence[int]) -> list[int]:
    """Cancel the jobs that wait for one without success, and those that wait for these in turn.

    Returns them, for the rest of what an end brings.
    """
    stopped: list[int] = []
    causes: dict[int, str] = {}
    layer: Sequence[int] = ended
    while found := _next_to_stop(connection, layer):
        reasons = {row.id: _reason(row, causes) for row in found}
        causes = {row.id: causes.get(row.before, _end_of(row)) for row in found}
        connection.execute(
            update(jobs)
            .where(jobs.c.id == bindparam("job"))
            .values(status="cancelled", reason=bindparam("why"), ended=now, waits=False),
            [{"job": job, "why": reason} for job, reason in reasons.items()],
        )
        layer = list(reasons)
        stopped += layer
    return stopped


def _next_to_stop(connection: Connection, ended: Sequence[int]) -> list[Row[Any]]:
    """The jobs stopped by one of these, each once."""
    found: dict[int, Row[Any]] = {}
    for some in chunks(ended):
        query = _pairs().where(
            dependencies.c.after_id.in_(some),
            _before.c.status.in_(UNSUCCESSFUL),
            jobs.c.waits.is_(True),
            jobs.c.if_failed == "stop",
        )
        for row in connection.execute(query):
            found.setdefault(row.id, row)
    return list(found.values())


def _reason(row: Row[Any], causes: dict[int, str]) -> str:
    text = f"job {row.before}, which it waited for, {_WORDS[row.how]}"
    return f"{text} because {causes[row.before]}" if row.before in causes else text


def _end_of(row: Row[Any]) -> str:
    return f"job {row.before} {_WORDS[row.how]}"


def _pairs() -> Select[Any]:
    """Jobs with each job before them, and how that is."""
    return (
        select(jobs.c.id, _before.c.id.label("before"), _before.c.status.label("how"))
        .join(dependencies, dependencies.c.job_id == jobs.c.id)
        .join(_before, _before.c.id == dependencies.c.after_id)
        .order_by(jobs.c.id, _before.c.id)
    )


def _followers(ids: Sequence[int]) -> Select[Any]:
    return select(dependencies.c.job_id).where(dependencies.c.after_id.in_(ids))


def _comes_after(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a job comes after one of which this holds."""
    return exists().where(
        dependencies.c.job_id == jobs.c.id, _before.c.id == dependencies.c.after_id, which
    )

"""The rows of films and their chunks, as far as the ends of jobs and dispatches touch them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, select, update

from darkstream.catalog.schema import chunks, films, jobs
from darkstream.model.job import JobStatus

WAITING, LEADER, HELPER, DONE = "waiting", "leader", "helper", "done"
NOBODY = {"dispatch_id": None, "node": None, "lease_until": None}
_LATER_S = 60.0
"""After a helper that was of no use nobody is asked to help with a film for so long."""


def give_back_chunks(connection: Connection, dispatch: int, *, alone: bool) -> None:
    """What a dispatch's flow run held and did not finish waits again; `alone`: for the leader."""
    held = (chunks.c.dispatch_id == dispatch, chunks.c.state == HELPER)
    more = {"alone": True} if alone else {}
    connection.execute(update(chunks).where(*held).values(state=WAITING, **NOBODY, **more))


def close_help(connection: Connection, now: float, helper: Row[Any]) -> None:
    """The dispatch of a helper is over: what it held is the leader's, lest it fail others too.

    One that finished nothing is not followed by another one at once.
    """
    give_back_chunks(connection, helper.id, alone=True)
    finished = (chunks.c.dispatch_id == helper.id, chunks.c.state == DONE)
    if connection.scalar(select(chunks.c.number).where(*finished).limit(1)) is None:
        put_off(connection, now, helper.film_id)


def put_off(connection: Connection, now: float, job: int) -> None:
    """Ask nobody to help with a film for a while."""
    later = update(films).where(films.c.job_id == job)
    connection.execute(later.values(not_before=now + _LATER_S))


def close_film(connection: Connection, job: int) -> None:
    """Nobody helps with a job any more."""
    connection.execute(delete(films).where(films.c.job_id == job))


def close_films_that_ended(connection: Connection) -> None:
    """Forget the films whose attempt is over; helpers hear of it at their next beat."""
    leader = exists().where(
        jobs.c.id == films.c.job_id,
        jobs.c.token == films.c.token,
        jobs.c.status == JobStatus.running.value,
    )
    connection.execute(delete(films).where(~leader))


def was_helped(connection: Connection, job: int) -> bool:
    """Whether others encoded chunks of a job whose attempt ends now, or began to."""
    theirs = (chunks.c.job_id == job, chunks.c.token > 0)
    return connection.scalar(select(chunks.c.number).where(*theirs).limit(1)) is not None


def count_helped(connection: Connection) -> dict[str, int]:
    """How many chunks each node encodes for others."""
    held = chunks.c.state == HELPER
    query = select(chunks.c.node, func.count()).where(held).group_by(chunks.c.node)
    return {row[0]: row[1] for row in connection.execute(query)}

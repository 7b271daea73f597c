"""Dispatches: which jobs go together into which flow run, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, and_, func, insert, not_, or_, select, update

from darkstream.catalog.chunk_rows import close_help
from darkstream.catalog.database import Database
from darkstream.catalog.endings import cancel_jobs
from darkstream.catalog.queue import lose
from darkstream.catalog.records import PRIORITIES, UNFINISHED, WAITING, queue_of
from darkstream.catalog.schema import dispatches, jobs, scans
from darkstream.model.base import DispatchId, JobId
from darkstream.model.job import DispatchOrder, JobStatus
from darkstream.model.preset import Preset

_Pool = Literal["cpu", "gpu"]

_LOOKAHEAD = 2_000
_PRIORITY = jobs.c.priority + 0
"""As a sum, so that a database does not take the index of priorities, but that of turns."""


@dataclass(frozen=True)
class UnfinishedDispatch:
    """A dispatch whose flow run has not ended, as far as the catalog knows."""

    id: DispatchId
    pool: str
    flow_run: str | None
    heard: float


class Dispatches:
    """Every method is one transaction."""

    def __init__(self, database: Database, max_attempts: int) -> None:
        self._database = database
        self._max_attempts = max_attempts

    def plan(
        self,
        *,
        pool: _Pool,
        window: int,
        batch_seconds: float,
        live_slots: int,
    ) -> list[DispatchOrder]:
        """Take due jobs of a pool into new dispatches, at most `window` unfinished ones in all.

        A batch holds work for about `batch_seconds`, and no more jobs than give every slot one: who
        is through first adopts what others have not begun.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            unfinished = connection.scalar(
                select(func.count())
                .select_from(dispatches)
                .where(dispatches.c.pool == pool, dispatches.c.ended.is_(None))
            )
            free = window - int(unfinished or 0)
            if free <= 0:
                return []
            due = _due(connection, now, pool)
            most = math.ceil(len(due) / max(1, live_slots))
            batches = _batches(due, batch_seconds, max(1, most))[:free]
            return [_create(connection, now, pool, batch) for batch in batches]

    def choose_pools(self, pool: _Pool, choose: Callable[[Preset], _Pool]) -> None:
        """Choose anew where the queued jobs of a pool go."""
        waiting = (jobs.c.status == JobStatus.queued.value, jobs.c.pool == pool)
        with self._database.read() as connection:  # this is asked every other second
            if connection.scalar(select(jobs.c.id).where(*waiting).limit(1)) is None:
                return
        with self._database.write() as connection:
            for preset in connection.scalars(
                select(jobs.c.preset).where(*waiting).distinct()
            ).all():
                chosen = choose(Preset.model_validate_json(preset))
                if chosen != pool:
                    theirs = update(jobs).where(*waiting, jobs.c.preset == preset)
                    connection.execute(theirs.values(pool=chosen))

    def bind(self, dispatch: DispatchId, flow_run: str) -> None:
        """The flow run of a dispatch is made."""
        with self._database.write() as connection:
            connection.execute(
                update(dispatches).where(dispatches.c.id == dispatch).values(flow_run=flow_run)
            )

    def unfinished(self) -> list[UnfinishedDispatch]:
        """All dispatches that have not ended."""
        with self._database.read() as connection:
            rows = connection.execute(select(dispatches).where(dispatches.c.ended.is_(None)))
            return [
                UnfinishedDispatch(DispatchId(row.id), row.pool, row.flow_run, row.heard)
                for row in rows
            ]

    def end(self, dispatch: DispatchId) -> None:
        """Its flow run is through: what it did not claim is queued again."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            lose_dispatch(connection, now, dispatch, "its flow run ended", self._max_attempts)

    def lose(self, dispatch: DispatchId, reason: str) -> None:
        """Its worker is gone: claimed jobs used up an attempt, the others are queued again."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            lose_dispatch(connection, now, dispatch, reason, self._max_attempts)

    def lose_flow_run(self, flow_run: str, reason: str) -> None:
        """As `lose`, by the Prefect flow run; a scan it walked, or was to walk, is queued again."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            for dispatch in connection.scalars(
                select(dispatches.c.id).where(
                    dispatches.c.flow_run == flow_run, dispatches.c.ended.is_(None)
                )
            ).all():
                lose_dispatch(connection, now, dispatch, reason, self._max_attempts)
            # An overdue scan is taken up by the next look for expired ones.
            connection.execute(
                update(scans)
                .where(scans.c.flow_run == flow_run, scans.c.status.in_(("queued", "running")))
                .values(seen=0.0)
            )

    def cancel(self, dispatch: DispatchId) -> None:
        """Somebody cancelled its flow run: its unfinished jobs are too, and it gets no more."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            this = update(dispatches).where(dispatches.c.id == dispatch)
            connection.execute(this.values(cancelled=True))
            unfinished = select(jobs.c.id).where(
                jobs.c.dispatch_id == dispatch, jobs.c.status.in_(UNFINISHED)
            )
            cancel_jobs(connection, now, list(connection.scalars(unfinished)))
            if connection.scalar(unfinished.limit(1)) is None:
                _close(connection, now, dispatch)


def lose_dispatch(
    connection: Connection, now: float, dispatch: int, reason: str, max_attempts: int
) -> list[JobId]:
    """End a dispatch and queue its unfinished jobs again; returns those that were running."""
    _close(connection, now, dispatch)
    rows = connection.execute(
        select(jobs).where(jobs.c.dispatch_id == dispatch, jobs.c.status.in_(UNFINISHED))
    ).all()
    lost = [lose(connection, now, row, reason, max_attempts) for row in rows]
    return [job for job in lost if job is not None]


def _close(connection: Connection, now: float, dispatch: int) -> None:
    this = select(dispatches).where(dispatches.c.id == dispatch, dispatches.c.ended.is_(None))
    former = connection.execute(this).one_or_none()
    if former is not None and former.film_id is not None:
        close_help(connection, now, former)
    connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch, dispatches.c.ended.is_(None))
        .values(ended=now)
    )


def _due(connection: Connection, now: float, pool: str) -> Sequence[Row[Any]]:
    columns = (jobs.c.id, jobs.c.priority, jobs.c.cost_s)
    waiting = jobs.c.status == JobStatus.queued.value
    query = _ready(now, *columns).where(waiting, jobs.c.pool == pool).limit(_LOOKAHEAD)
    return connection.execute(query).all()


def next_unclaimed(
    connection: Connection, now: float, dispatch: int, most_s: float
) -> Row[Any] | None:
    """The first job in a dispatch's pool and queue that nobody works on, of at most `most_s`.

    It was given to a flow run that has not come to it, or waits for one; a flow run that submitted
    its job itself keeps it. A more urgent queue comes first. None where the slot is wanted: for a
    long job or one of another pool that is more urgent, and for any that waits for the GPU. None
    for a dispatch that was cancelled.
    """
    mine = connection.execute(select(dispatches).where(dispatches.c.id == dispatch)).one()
    if mine.cancelled:
        return None
    least, most = PRIORITIES[mine.queue]
    unclaimed = _unclaimed(now)
    urgent, own, small = jobs.c.priority > most, jobs.c.pool == mine.pool, jobs.c.cost_s <= most_s
    if _is_any(connection, unclaimed.where(urgent, or_(not_(own), not_(small)))):
        return None
    waits_for_gpu = and_(jobs.c.pool == "gpu", least <= _PRIORITY)
    if mine.pool != "gpu" and _is_any(connection, unclaimed.where(waits_for_gpu)):
        return None
    for first, last in ((most + 1, 100), (least, most)):
        # To ask is quick; to look in turn for what is not there is not.
        if _is_any(connection, unclaimed.where(jobs.c.priority.between(first, last))):
            mine_of_band = unclaimed.where(_PRIORITY.between(first, last), own, small)
            if (found := _first_in_turn(connection, mine_of_band)) is not None:
                return found
    return None


def _unclaimed(now: float) -> Select[Any]:
    return (
        _ready(now, jobs)
        .join(dispatches, dispatches.c.id == jobs.c.dispatch_id, isouter=True)
        .where(or_(dispatches.c.id.is_(None), dispatches.c.own_job.is_(False)))
    )


def find_wanted(connection: Connection, now: float) -> frozenset[str]:
    """The pools in which a job waits that somebody with a free slot would take."""
    ready = _ready(now, jobs)
    pools = ("cpu", "gpu")
    return frozenset(
        pool for pool in pools if _is_any(connection, ready.where(jobs.c.pool == pool))
    )


def _is_any(connection: Connection, query: Select[Any]) -> bool:
    some = query.where(jobs.c.status.in_(WAITING)).order_by(None).limit(1)
    return connection.execute(some).first() is not None


def _first_in_turn(connection: Connection, query: Select[Any]) -> Row[Any] | None:
    """Those that were given to a flow run come first; one status at a time is in index order."""
    for status in (JobStatus.dispatched.value, JobStatus.queued.value):
        row = connection.execute(query.where(jobs.c.status == status).limit(1)).first()
        if row is not None:
            return row
    return None


def _ready(now: float, *columns: Any) -> Select[Any]:  # noqa: ANN401 - columns, or a table
    """Jobs in the order of their turns, but for those that wait for a time or another job."""
    blocker = jobs.alias()
    return (
        select(*columns)
        .join(blocker, blocker.c.id == jobs.c.blocked_by, isouter=True)
        .where(
            jobs.c.waits.is_(False),
            or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now),
            # One that waits again itself encodes nothing: whoever comes first does it.
            or_(blocker.c.id.is_(None), blocker.c.status != JobStatus.running.value),
        )
        .order_by(jobs.c.turn, jobs.c.id)
    )


def _batches(due: Sequence[Row[Any]], batch_seconds: float, most: int) -> list[list[Row[Any]]]:
    batches: list[list[Row[Any]]] = []
    room, queue = 0.0, ""
    for row in due:
        band = queue_of(row.priority)
        if not batches or band != queue or row.cost_s > room or len(batches[-1]) >= most:
            batches.append([])
            room, queue = batch_seconds, band
        batches[-1].append(row)
        room -= row.cost_s
    return batches


def _create(
    connection: Connection, now: float, pool: _Pool, batch: list[Row[Any]]
) -> DispatchOrder:
    queue = queue_of(batch[0].priority)
    key = connection.execute(
        insert(dispatches).values(pool=pool, queue=queue, created=now, heard=now)
    ).inserted_primary_key
    dispatch = DispatchId(key[0] if key else 0)
    ids = [row.id for row in batch]
    connection.execute(
        update(jobs)
        .where(jobs.c.id.in_(ids))
        .values(status="dispatched", dispatch_id=dispatch, blocked_by=None)
    )
    return DispatchOrder(id=dispatch, pool=pool, queue=queue, jobs=tuple(map(JobId, ids)))

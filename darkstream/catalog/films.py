"""Films whose chunks several workers encode: who has which, leased like jobs, with tokens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update

from darkstream.catalog.chunk_rows import (
    DONE,
    HELPER,
    LEADER,
    NOBODY,
    WAITING,
    close_film,
    count_helped,
    give_back_chunks,
    put_off,
)
from darkstream.catalog.database import Database
from darkstream.catalog.dispatches import find_wanted
from darkstream.catalog.leases import held
from darkstream.catalog.nodes import find_rest
from darkstream.catalog.records import queue_of
from darkstream.catalog.schema import chunks, dispatches, films, jobs
from darkstream.errors import Conflict
from darkstream.model.base import DispatchId, FencingToken, JobId
from darkstream.model.film import (
    ChunkAnswer,
    ChunkClaim,
    ChunkEnd,
    ChunkLease,
    ChunkPulse,
    ChunkRequest,
    ChunkTurn,
    NextChunk,
    OpenFilm,
    SameFilm,
)
from darkstream.model.job import DispatchOrder, JobStatus
from darkstream.model.plan import Chunking, EncodePlan
from darkstream.settings import LeaseSettings

Pool = Literal["cpu", "gpu"]


class Films:
    """Every method is one transaction."""

    def __init__(self, database: Database, lease: LeaseSettings) -> None:
        self._database = database
        self._lease = lease

    def open(self, job: JobId, request: OpenFilm) -> None:
        """Let others help with the plan that a running job reported last.

        Raises LeaseLost, and Conflict where that plan has no chunks.
        """
        with self._database.write() as connection:
            row = held(connection, job, request.token)
            plan = None if row.plan is None else EncodePlan.model_validate_json(row.plan)
            if plan is None or plan.chunking is None:
                raise Conflict(f"the plan of job {job} has no chunks")
            same = request.film.model_dump_json()
            this = (films.c.job_id == job, films.c.token == request.token, films.c.plan == row.plan)
            known = update(films).where(*this).values(same=same)
            if not connection.execute(known).rowcount:
                close_film(connection, job)
                values = {"job_id": job, "token": request.token, "same": same, "plan": row.plan}
                connection.execute(insert(films).values(**values))
                connection.execute(insert(chunks), _rows(job, plan.chunking, row.cost_s))
            _finish(connection, job, request.done)

    def next(self, job: JobId, request: NextChunk) -> ChunkTurn:
        """What the leader of a film does next; raises LeaseLost.

        It has one chunk at a time: what it got and did not finish is given again, as the answer
        was lost. What others finished and it does not find is its own, and they help no more.
        """
        with self._database.write() as connection:
            held(connection, job, request.token)
            mine = chunks.c.job_id == job
            _finish(connection, job, request.done)
            if request.missing:
                gone = update(chunks).where(mine, chunks.c.number.in_(request.missing))
                connection.execute(gone.values(state=WAITING, alone=True, **NOBODY))
                closed = update(films).where(films.c.job_id == job)
                connection.execute(closed.values(closed=True))
            rows = connection.execute(
                select(chunks).where(mine).order_by(chunks.c.cost_s.desc(), chunks.c.number)
            ).all()
            given = _first(rows, LEADER) or _first(rows, WAITING)
            if given is not None:
                this = update(chunks).where(mine, chunks.c.number == given.number)
                connection.execute(this.values(state=LEADER))
            known = frozenset(request.done)
            done = (row.number for row in rows if row.state == DONE)
            return ChunkTurn(
                number=None if given is None else given.number,
                finished=tuple(sorted(number for number in done if number not in known)),
                elsewhere=tuple(sorted(row.number for row in rows if row.state == HELPER)),
            )

    def plan_help(
        self,
        *,
        pool: Pool,
        batch_seconds: float,
        most: int,
        slots: Mapping[str, int],
        elsewhere: Collection[str] = (),
    ) -> list[DispatchOrder]:
        """At most so many dispatches for free slots (of each node) that no job wants.

        Each finds work for about `batch_seconds`. Nodes that cannot help with a film do not count
        for it, nor do those that serve the other pool (`elsewhere`) while a job waits there.
        """
        if most <= 0 or not self._is_any_open():
            return []
        with self._database.write() as connection:
            now = self._database.now(connection)
            wanted_by = find_wanted(connection, now)
            if pool in wanted_by:
                return []
            free = Counter(slots)
            free.subtract(_count_busy(connection))
            for node in elsewhere if wanted_by else ():
                free.pop(node, None)
            coming = _count_coming(connection)
            left = sum(max(0, count) for count in free.values()) - coming.total()
            left = min(left, most)
            orders: list[DispatchOrder] = []
            for film in _open_films(connection, now, pool):
                unfit = frozenset(json.loads(film.unfit))
                able = sum(max(0, free[node]) for node in free if node not in unfit)
                # The leader has its share of them, and so have those that come to it already.
                shares = min(film.waiting, int(film.left_s // batch_seconds)) - 1
                wanted = min(shares, able) - coming[film.job_id]
                for _ in range(max(0, min(wanted, left))):
                    orders.append(_create(connection, now, pool, film))
                    left -= 1
            return orders

    def claim(self, dispatch: DispatchId, request: ChunkRequest) -> ChunkClaim | None:
        """The longest chunk that waits in the film a dispatch helps with.

        None where there is none left, where a job or a more urgent film waits for the slot, for a
        node that rests or cannot help, and for a dispatch that is over. The same request again gets
        the same answer.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            is_open = (dispatches.c.id == dispatch, dispatches.c.ended.is_(None))
            helper = connection.execute(select(dispatches).where(*is_open)).one_or_none()
            if helper is None or helper.film_id is None:
                return None
            heard = update(dispatches).where(*is_open).values(heard=now, asked=request.id)
            connection.execute(heard)
            if helper.asked == request.id:
                kept = (chunks.c.dispatch_id == dispatch, chunks.c.state == HELPER)
                given = connection.execute(select(chunks).where(*kept)).one_or_none()
            else:
                # What it holds when it asks for the next one was abandoned.
                give_back_chunks(connection, dispatch, alone=True)
                given = self._give(connection, now, helper, request)
            return None if given is None else self._claim(connection, given)

    def beat(self, pulse: ChunkPulse) -> ChunkAnswer:
        """Renew a helper's lease."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            lease = pulse.lease
            rest = find_rest(connection, now, pulse.node)
            if not _is_held(connection, pulse):
                return ChunkAnswer(lost=True, rest=rest)
            until = now + self._lease.expiry_s
            connection.execute(update(chunks).where(*_held(pulse.lease)).values(lease_until=until))
            heard = update(dispatches).where(dispatches.c.id == lease.dispatch)
            connection.execute(heard.values(heard=now))
            return ChunkAnswer(rest=rest)

    def end(self, end: ChunkEnd) -> None:
        """Take the word of a helper; that of one that lost its lease counts for nothing."""
        with self._database.write() as connection:
            if not _is_held(connection, end):
                return
            lease = end.lease
            if end.outcome == "done":
                # By its dispatch it is seen later that this was of use.
                values = {"state": DONE, "node": None, "lease_until": None}
                connection.execute(update(chunks).where(*_held(lease)).values(**values))
                return
            give_back_chunks(connection, lease.dispatch, alone=end.outcome == "failed")
            if end.outcome != "released":
                _exclude(connection, lease.job, end.node, self._database.now(connection))

    def _is_any_open(self) -> bool:
        with self._database.read() as connection:  # this is asked every other second
            is_open = films.c.closed.is_(False)
            return connection.scalar(select(films.c.job_id).where(is_open).limit(1)) is not None

    def _give(
        self, connection: Connection, now: float, helper: Row[Any], request: ChunkRequest
    ) -> Row[Any] | None:
        if not _may_help(connection, now, helper, request.node):
            return None
        if find_wanted(connection, now) & {helper.pool, *request.pools}:
            return None
        row = _longest(connection, helper.film_id)
        if row is None:
            return None
        values = {
            "state": HELPER,
            "dispatch_id": helper.id,
            "node": request.node,
            "token": row.token + 1,
            "lease_until": now + self._lease.expiry_s,
        }
        this = (chunks.c.job_id == row.job_id, chunks.c.number == row.number)
        connection.execute(update(chunks).where(*this).values(**values))
        return connection.execute(select(chunks).where(*this)).one()

    def _claim(self, connection: Connection, row: Row[Any]) -> ChunkClaim | None:
        film = _find_led(connection, row.job_id)
        if film is None:
            return None
        return ChunkClaim(
            job=JobId(row.job_id),
            leader=FencingToken(film.token),
            number=row.number,
            token=FencingToken(row.token),
            source=film.source,
            destination=film.destination,
            film=SameFilm.model_validate_json(film.same),
            plan=json.loads(film.plan),
            heartbeat_s=self._lease.heartbeat_s,
        )


def _rows(job: int, chunking: Chunking, cost_s: float) -> list[dict[str, Any]]:
    pictures = sum(chunk.pictures for chunk in chunking.chunks)
    return [
        {
            "job_id": job,
            "number": chunk.index,
            "cost_s": cost_s * chunk.pictures / pictures,
            "state": WAITING,
        }
        for chunk in chunking.chunks
    ]


def _finish(connection: Connection, job: int, numbers: Collection[int]) -> None:
    """The leader has them, whoever was at it."""
    if numbers:
        news = (chunks.c.job_id == job, chunks.c.number.in_(numbers), chunks.c.state != DONE)
        connection.execute(update(chunks).where(*news).values(state=DONE, **NOBODY))


def _first(rows: Sequence[Row[Any]], state: str) -> Row[Any] | None:
    return next((row for row in rows if row.state == state), None)


def _leads() -> tuple[Any, ...]:
    """Films whose leader still has its job."""
    running = jobs.c.status == JobStatus.running.value
    return films.c.job_id == jobs.c.id, films.c.token == jobs.c.token, running


def _find_led(connection: Connection, job: int) -> Row[Any] | None:
    columns = (films, jobs.c.source, jobs.c.destination, jobs.c.priority)
    query = select(*columns).where(*_leads(), films.c.job_id == job)
    return connection.execute(query).one_or_none()


def _may_help(connection: Connection, now: float, helper: Row[Any], node: str) -> bool:
    film = _find_led(connection, helper.film_id)
    if film is None or film.closed or find_rest(connection, now, node) is not None:
        return False
    if node in json.loads(film.unfit):
        return False
    others = _open_films(connection, now, helper.pool)
    return not any(
        queue_of(other.priority) != helper.queue
        and other.priority > film.priority
        and node not in json.loads(other.unfit)
        for other in others
    )


def _open_films(connection: Connection, now: float, pool: str) -> Sequence[Row[Any]]:
    """Those that want help, the most urgent first, then the one with most work left."""
    left_s = func.sum(chunks.c.cost_s)
    return connection.execute(
        select(
            films.c.job_id,
            films.c.unfit,
            jobs.c.priority,
            func.count().label("waiting"),
            left_s.label("left_s"),
        )
        .where(
            *_leads(),
            jobs.c.pool == pool,
            films.c.closed.is_(False),
            films.c.not_before <= now,
            chunks.c.job_id == films.c.job_id,
            chunks.c.state == WAITING,
            chunks.c.alone.is_(False),
        )
        .group_by(films.c.job_id, films.c.unfit, jobs.c.priority)
        .order_by(jobs.c.priority.desc(), left_s.desc(), films.c.job_id)
    ).all()


def _longest(connection: Connection, job: int) -> Row[Any] | None:
    waits = (
        chunks.c.job_id == job,
        chunks.c.state == WAITING,
        chunks.c.alone.is_(False),
    )
    ordered = select(chunks).where(*waits).order_by(chunks.c.cost_s.desc(), chunks.c.number)
    return connection.execute(ordered.limit(1)).one_or_none()


def _count_busy(connection: Connection) -> Counter[str]:
    """What runs on each node now."""
    running = jobs.c.status == JobStatus.running.value
    query = select(jobs.c.node, func.count()).where(running).group_by(jobs.c.node)
    busy = Counter({row[0]: row[1] for row in connection.execute(query)})
    busy.update(count_helped(connection))
    return busy


def _count_coming(connection: Connection) -> Counter[int]:
    """Flow runs that will take a slot and have not yet, by film; 0: of jobs."""
    working = select(jobs.c.dispatch_id).where(jobs.c.status == JobStatus.running.value)
    helping = select(chunks.c.dispatch_id).where(chunks.c.state == HELPER)
    rows = connection.execute(
        select(dispatches.c.film_id, func.count())
        .where(
            dispatches.c.ended.is_(None),
            dispatches.c.id.not_in(working),
            dispatches.c.id.not_in(helping),
        )
        .group_by(dispatches.c.film_id)
    )
    return Counter({row[0] or 0: row[1] for row in rows})


def _create(connection: Connection, now: float, pool: Pool, film: Row[Any]) -> DispatchOrder:
    queue = queue_of(film.priority)
    key = connection.execute(
        insert(dispatches).values(
            pool=pool, queue=queue, created=now, heard=now, film_id=film.job_id
        )
    ).inserted_primary_key
    number = DispatchId(key[0] if key else 0)
    return DispatchOrder(id=number, pool=pool, queue=queue, film=JobId(film.job_id))


def _held(lease: ChunkLease) -> tuple[Any, ...]:
    return (
        chunks.c.job_id == lease.job,
        chunks.c.number == lease.number,
        chunks.c.token == lease.token,
        chunks.c.dispatch_id == lease.dispatch,
        chunks.c.state == HELPER,
    )


def _is_held(connection: Connection, word: ChunkPulse | ChunkEnd) -> bool:
    lease = word.lease
    if connection.scalar(select(chunks.c.number).where(*_held(lease))) is None:
        return False
    film = _find_led(connection, lease.job)
    return film is not None and film.token == lease.leader


def _exclude(connection: Connection, job: int, node: str, now: float) -> None:
    this = films.c.job_id == job
    text = connection.scalar(select(films.c.unfit).where(this)) or "[]"
    unfit = sorted({*json.loads(text), node})
    connection.execute(update(films).where(this).values(unfit=json.dumps(unfit)))
    put_off(connection, now, job)

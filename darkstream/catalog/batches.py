"""Batches: jobs that people asked for together, under one name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.batch_rows import to_batch
from darkstream.catalog.database import PIECE, Database
from darkstream.catalog.dependencies import add_dependencies, check_present
from darkstream.catalog.endings import announce_batch, cancel_jobs, line_up
from darkstream.catalog.listing import chunks
from darkstream.catalog.queue import insert_jobs, reopen_batches, requeue_ended
from darkstream.catalog.records import UNFINISHED
from darkstream.catalog.schema import batches, jobs, targets
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import BatchId, JobId
from darkstream.model.batch import Batch
from darkstream.model.job import IfFailed
from darkstream.model.preset import Preset

_AGAIN = ("failed", "cancelled")
_NO_PROGRESS: Mapping[JobId, float] = {}


@dataclass(frozen=True)
class BatchWish:
    """What all files of one addition to a batch become, and when."""

    preset: Preset
    priority: int = 50
    not_before: datetime | None = None
    pool: Literal["cpu", "gpu"] = "cpu"
    after: tuple[JobId, ...] = ()
    if_failed: IfFailed = "stop"


@dataclass(frozen=True)
class BatchEntry:
    """One file to add; one that was `found` in a folder is left out where it is a result."""

    source: bytes
    relative: bytes
    destination: bytes
    source_bytes: int | None = None
    found: bool = False


class Batches:
    """Raises NotFound for a batch that is not there.

    Many jobs are added, retried and cancelled in pieces, between which others write; a batch does
    not end before the last piece.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, entries: Sequence[BatchEntry], wish: BatchWish) -> int:
        """Add files to a batch, making it where there is none; returns how many were.

        Left out are those that the batch has not ended with, and results of ours. Nothing is left
        of a new batch without any. Raises NotFound for a job to come after that is not there.
        """
        with self._database.write() as connection:
            after = check_present(connection, wish.after)
            batch = self._open(connection, name)
        with self._held_open(batch):
            return sum(self._add_some(batch, some, wish, after) for some in chunks(entries))

    def _open(self, connection: Connection, name: str) -> int:
        """The batch of that name, made where there is none, kept from ending meanwhile."""
        known = connection.scalar(select(batches.c.id).where(batches.c.name == name))
        if known is None:
            now = self._database.now(connection)
            connection.execute(insert(batches).values(name=name, created=now, begun=now))
        return _hold(connection, name)

    def _add_some(
        self, batch: int, entries: Sequence[BatchEntry], wish: BatchWish, after: Sequence[int]
    ) -> int:
        with self._database.write() as connection:
            now = self._database.now(connection)
            present = _present(connection, batch, wish, entries)
            ours = _own_outputs(connection, [entry.source for entry in entries if entry.found])
            rows = [
                _row_of(entry, batch, wish)
                for entry in entries
                if entry.source not in ours and (entry.source, entry.destination) not in present
            ]
            ids = insert_jobs(connection, now, rows)
            add_dependencies(connection, ids, after)
            reopen_batches(connection, now, ids)
            line_up(connection, now, ids)
            return len(ids)

    @contextmanager
    def _held_open(self, batch: int) -> Iterator[None]:
        """Let a batch end again afterwards."""
        try:
            yield
        finally:
            with self._database.write() as connection:
                _count_holders(connection, batch, -1)
                _conclude(connection, self._database.now(connection), batch)

    def settle(self) -> None:
        """Let go of the batches that a server which is no more was adding to."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            held = select(batches.c.id).where(batches.c.holders > 0)
            for batch in connection.scalars(held).all():
                this = update(batches).where(batches.c.id == batch)
                connection.execute(this.values(holders=0))
                _conclude(connection, now, batch)

    def get(self, name: str, progress: Mapping[JobId, float] = _NO_PROGRESS) -> Batch:
        """One batch; `progress` is the share that is done of each job that runs."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            return to_batch(connection, now, _batch_row(connection, name), progress)

    def find(
        self,
        *,
        after: BatchId | None = None,
        limit: int = 50,
        progress: Mapping[JobId, float] = _NO_PROGRESS,
    ) -> list[Batch]:
        """Batches, newest first, older than `after`."""
        query = select(batches).order_by(batches.c.id.desc()).limit(limit)
        if after is not None:
            query = query.where(batches.c.id < after)
        with self._database.read() as connection:
            now = self._database.now(connection)
            rows = connection.execute(query).all()
            return [to_batch(connection, now, row, progress) for row in rows]

    def cancel(self, name: str) -> None:
        """Cancel all jobs that have not ended; raises Conflict where all have."""
        with self._database.read() as connection:
            if _batch_row(connection, name).ended is not None:
                raise Conflict(f"the batch {name!r} has ended already")
        while self._cancel_some(name):
            pass

    def _cancel_some(self, name: str) -> bool:
        with self._database.write() as connection:
            mine = select(jobs.c.id).where(
                jobs.c.batch_id == _batch_row(connection, name).id,
                jobs.c.status.in_(UNFINISHED),
                jobs.c.cancel_requested.is_(False),
            )
            some = list(connection.scalars(mine.order_by(jobs.c.id).limit(PIECE)))
            cancel_jobs(connection, self._database.now(connection), some)
            return len(some) > 0

    def retry(self, name: str) -> int:
        """Queue all jobs again that failed or were cancelled; returns how many.

        Raises Conflict where there is none. One that waits for a job which failed, and is none of
        these, is cancelled again.
        """
        count, last = 0, 0
        with self._database.write() as connection:
            batch = _hold(connection, name)
        with self._held_open(batch):
            while some := self._retry_some(batch, last):
                count, last = count + len(some), some[-1]
        if count == 0:
            raise Conflict(f"no job of the batch {name!r} has failed or was cancelled")
        return count

    def _retry_some(self, batch: int, last: int) -> list[int]:
        """In the order of their numbers, so that each comes after those that it waits for."""
        with self._database.write() as connection:
            mine = select(jobs.c.id).where(
                jobs.c.batch_id == batch, jobs.c.status.in_(_AGAIN), jobs.c.id > last
            )
            some = list(connection.scalars(mine.order_by(jobs.c.id).limit(PIECE)))
            requeue_ended(connection, self._database.now(connection), some)
            return some


def _batch_row(connection: Connection, name: str) -> Row[Any]:
    row = connection.execute(select(batches).where(batches.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no batch {name!r}; 'darkstream batch list' lists them")
    return row


def _hold(connection: Connection, name: str) -> int:
    """Keep a batch from ending until it is let go of; raises NotFound."""
    batch = int(_batch_row(connection, name).id)
    _count_holders(connection, batch, 1)
    return batch


def _count_holders(connection: Connection, batch: int, change: int) -> None:
    this = update(batches).where(batches.c.id == batch)
    connection.execute(this.values(holders=batches.c.holders + change))


def _conclude(connection: Connection, now: float, batch: int) -> None:
    """Forget a batch that got no job; tell of one whose jobs ended meanwhile."""
    if connection.scalar(select(jobs.c.id).where(jobs.c.batch_id == batch).limit(1)) is None:
        nobody = (batches.c.id == batch, batches.c.holders == 0)
        connection.execute(delete(batches).where(*nobody))
    announce_batch(connection, now, batch)


def _row_of(entry: BatchEntry, batch: int, wish: BatchWish) -> dict[str, Any]:
    moment = wish.not_before
    return {
        "source": entry.source,
        "relative": entry.relative,
        "destination": entry.destination,
        "preset": wish.preset.model_dump_json(),
        "preset_name": wish.preset.name,
        "priority": wish.priority,
        "not_before": None if moment is None else moment.timestamp(),
        "batch_id": batch,
        "source_bytes": entry.source_bytes,
        "pool": wish.pool,
        "if_failed": wish.if_failed,
    }


def _present(
    connection: Connection, batch: int, wish: BatchWish, entries: Sequence[BatchEntry]
) -> set[tuple[bytes, bytes]]:
    """Sources and destinations that the batch holds already, with the same wish."""
    query = select(jobs.c.source, jobs.c.destination).where(
        jobs.c.batch_id == batch,
        jobs.c.status.in_(UNFINISHED),
        jobs.c.preset == wish.preset.model_dump_json(),
        jobs.c.source.in_([entry.source for entry in entries]),
    )
    return {(row.source, row.destination) for row in connection.execute(query)}


def _own_outputs(connection: Connection, paths: Sequence[bytes]) -> set[bytes]:
    """Those that we published, or that are part of a package that we did."""
    above = {path: {path, *_parents(path)} for path in paths}
    ours: set[bytes] = set()
    for some in chunks(set().union(*above.values())):
        ours.update(connection.scalars(select(targets.c.place).where(targets.c.place.in_(some))))
    return {path for path, places in above.items() if not ours.isdisjoint(places)}


def _parents(path: bytes) -> Iterator[bytes]:
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent

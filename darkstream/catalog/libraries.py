"""Libraries and the files the catalog knows of them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, insert, or_, select, update

from darkstream.catalog.database import PIECE, Database
from darkstream.catalog.endings import cancel_jobs
from darkstream.catalog.records import UNFINISHED, exact, to_library
from darkstream.catalog.schema import (
    directories,
    files,
    jobs,
    libraries,
    paces,
    replacements,
    scans,
)
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import ContentId, JobId
from darkstream.model.job import JobStatus
from darkstream.model.library import Library
from darkstream.model.paths import display
from darkstream.model.preset import Preset
from darkstream.model.replacement import InPlace
from darkstream.model.wire import LibraryFile


class Libraries:
    """Every method is one transaction; raises NotFound for a library that is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(  # noqa: PLR0913 - the columns of a library
        self,
        *,
        name: str,
        root: bytes,
        destination: bytes,
        preset: Preset,
        include: tuple[str, ...],
        exclude: tuple[str, ...] = (),
        schedule: str | None = None,
        priority: int = 50,
        in_place: InPlace | None = None,
        replace: bool = False,
    ) -> Library:
        """Remember a library; raises Conflict where the name is taken and not `replace`."""
        values: dict[str, Any] = {
            "root": root,
            "destination": destination,
            "preset": preset.model_dump_json(),
            "preset_name": preset.name,
            "include": json.dumps(include),
            "exclude": json.dumps(exclude),
            "schedule": schedule,
            "priority": priority,
            "in_place": None if in_place is None else in_place.model_dump_json(),
        }
        with self._database.write() as connection:
            known = connection.execute(
                select(libraries).where(libraries.c.name == name)
            ).one_or_none()
            if known is None:
                now = self._database.now(connection)
                connection.execute(insert(libraries).values(name=name, created=now, **values))
            elif not replace:
                raise Conflict(f"there is a library {name!r} already; 'replace' changes it")
            else:
                _change(connection, known, values)
            return to_library(library_row(connection, name))

    def get(self, name: str) -> Library:
        """One library, and what its quarantine takes."""
        with self._database.read() as connection:
            row = library_row(connection, name)
            taken, waiting = _quarantined(connection, row.id)
            known = {"quarantined_bytes": taken, "waiting": waiting}
            return to_library(row).model_copy(update=known)

    def all(self) -> list[Library]:
        """All libraries, by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(libraries).order_by(libraries.c.name))
            return [to_library(row) for row in rows]

    def remove(self, name: str) -> None:
        """Forget a library, its files and scans, and cancel its jobs.

        Raises Conflict while it is scanned.
        """
        while self._cancel_some(name):
            pass
        with self._database.write() as connection:
            row = _at_rest(connection, name)
            connection.execute(delete(libraries).where(libraries.c.id == row.id))
            connection.execute(delete(paces).where(paces.c.library_id == row.id))

    def _cancel_some(self, name: str) -> bool:
        with self._database.write() as connection:
            mine = select(jobs.c.id).where(
                jobs.c.library_id == _at_rest(connection, name).id,
                jobs.c.status.in_(UNFINISHED),
                jobs.c.cancel_requested.is_(False),
            )
            some = list(connection.scalars(mine.limit(PIECE)))
            cancel_jobs(connection, self._database.now(connection), some)
            return len(some) > 0

    def files(self, name: str, *, after: bytes | None, limit: int) -> list[LibraryFile]:
        """Known files in path order, those after a path."""
        with self._database.read() as connection:
            library = library_row(connection, name)
            query = (
                select(files, jobs.c.status)
                .join(jobs, jobs.c.id == files.c.job_id, isouter=True)
                .where(files.c.library_id == library.id)
                .order_by(files.c.path)
                .limit(limit)
            )
            if after is not None:
                query = query.where(files.c.path > after)
            return [_to_file(row) for row in connection.execute(query)]


def _quarantined(connection: Connection, library: int) -> tuple[int, int]:
    """Bytes in quarantine, and how many results wait there."""
    waits = replacements.c.state == "pending"
    kept = case(
        (replacements.c.state == "placed", replacements.c.original_bytes),
        (waits, replacements.c.result_bytes),
        else_=0,
    )
    query = select(func.sum(kept), func.sum(case((waits, 1), else_=0)))
    mine = query.select_from(replacements.join(jobs)).where(jobs.c.library_id == library)
    taken, waiting = connection.execute(mine).one()
    return int(taken or 0), int(waiting or 0)


def _to_file(row: Row[Any]) -> LibraryFile:
    return LibraryFile(
        path=display(row.path),
        path_b64=exact(row.path),
        size=row.size,
        content=None if row.content is None else ContentId(row.content),
        job=None if row.job_id is None else JobId(row.job_id),
        status=None if row.status is None else JobStatus(row.status),
    )


def library_row(connection: Connection, name: str) -> Row[Any]:
    """The row of a library; raises NotFound."""
    row = connection.execute(select(libraries).where(libraries.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no library {name!r}; 'darkstream library list' lists them")
    return row


def _at_rest(connection: Connection, name: str) -> Row[Any]:
    row = library_row(connection, name)
    running = select(scans.c.id).where(
        scans.c.library_id == row.id, scans.c.status.in_(("queued", "running"))
    )
    if connection.scalar(running) is not None:
        raise Conflict(f"the library {name!r} is being scanned: cancel the scan first")
    return row


_DECIDING = ("root", "destination", "preset", "include", "exclude")
_IN_PLACE = ("pending", "placed", "expired")


def _change(connection: Connection, known: Row[Any], values: dict[str, Any]) -> None:
    connection.execute(update(libraries).where(libraries.c.id == known.id).values(**values))
    changed = {name for name in _DECIDING if getattr(known, name) != values[name]}
    if changed:
        mine = directories.c.library_id == known.id
        connection.execute(delete(directories).where(mine))
    if changed & {"root", "destination", "preset"}:
        # What was decided for these files was decided for another wish. But a result that has
        # taken its original's place is none to be encoded again: each time would cost quality.
        ours = select(replacements.c.job_id).where(replacements.c.state.in_(_IN_PLACE))
        mine = update(files).where(files.c.library_id == known.id)
        connection.execute(
            mine.where(or_(files.c.job_id.is_(None), files.c.job_id.not_in(ours))).values(
                stale=True
            )
        )

"""Results that took the place of originals, known by what is in them, wherever they lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, exists, select, update

from darkstream.catalog.listing import chunks
from darkstream.catalog.schema import files, jobs, replacements
from darkstream.model.replacement import Replacement, ReplacementState

_MADE = replacements.c.state.in_(("placed", "expired", "undone"))
"""Undone, a result may still be there under another name."""


def sizes_of_results(connection: Connection, sizes: Iterable[int]) -> set[int]:
    """Which of these sizes a result in place has: only files of them need to be looked into."""
    found: set[int] = set()
    for some in chunks(set(sizes)):
        query = select(replacements.c.result_bytes).where(
            replacements.c.result_bytes.in_(some), _MADE
        )
        found.update(connection.scalars(query))
    return found


def find_results(connection: Connection, contents: Iterable[str]) -> dict[str, list[Row[Any]]]:
    """The replacements whose results have these contents.

    With the library of each one's job, and whether a file of that is `known`.
    """
    found: dict[str, list[Row[Any]]] = {}
    known = exists().where(files.c.job_id == jobs.c.id)
    for some in chunks(set(contents)):
        query = (
            select(replacements, jobs.c.library_id, known.label("known"))
            .join(jobs, jobs.c.id == replacements.c.job_id)
            .where(replacements.c.result_content.in_(some), _MADE)
            .order_by(replacements.c.job_id)
        )
        for row in connection.execute(query):
            found.setdefault(row.result_content, []).append(row)
    return found


def take_over(
    connection: Connection, library: Row[Any], path: bytes, results: Sequence[Row[Any]]
) -> int | None:
    """The job that put this very file in place, which is this library's from now on.

    None where that was another file, or is another library's.
    """
    place = os.path.join(library.root, path)
    for row in results:
        what = Replacement.model_validate_json(row.record)
        undone = row.state == ReplacementState.undone.value
        free = row.library_id in (None, library.id) and not row.known and not undone
        if free and os.path.join(what.root, what.target) == place:
            return _give(connection, library, row.job_id)
    return None


def find_waiting(connection: Connection, places: Iterable[bytes]) -> dict[bytes, Row[Any]]:
    """Results that wait, of libraries that were removed, by the absolute paths of originals."""
    found: dict[bytes, Row[Any]] = {}
    waits = replacements.c.state == ReplacementState.pending.value
    for some in chunks(places):
        query = (
            select(replacements, jobs.c.source)
            .join(jobs, jobs.c.id == replacements.c.job_id)
            .where(waits, jobs.c.library_id.is_(None), jobs.c.source.in_(some))
        )
        found |= {row.source: row for row in connection.execute(query)}
    return found


def take_over_waiting(
    connection: Connection, library: Row[Any], record: Mapping[str, Any], waiting: Row[Any]
) -> int | None:
    """The job whose result waits to replace this file; None where the file has changed since."""
    known = Replacement.model_validate_json(waiting.record).original
    same = (record["size"], record["mtime_ns"], record["inode"]) == (
        known.size,
        known.mtime_ns,
        known.inode,
    )
    if not same or known.ctime_ns not in (None, record["ctime_ns"]):
        return None
    return _give(connection, library, waiting.job_id)


def _give(connection: Connection, library: Row[Any], job: int) -> int:
    mine = update(jobs).where(jobs.c.id == job)
    connection.execute(mine.values(library_id=library.id, in_place=True))
    return job

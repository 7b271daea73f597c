"""Directories that differ, held against the known files: what is a candidate, what is gone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, delete, exists, insert, select, update

from darkstream.catalog.in_place import IN_PLACE
from darkstream.catalog.schema import (
    files,
    replacements,
    scan_candidates,
    scan_directories,
    targets,
)
from darkstream.model.library import Candidate, DirectoryListing
from darkstream.model.source import ChangeHint

_T = TypeVar("_T")
_CHUNK = 500


def chunks(values: Iterable[_T]) -> Iterator[list[_T]]:
    """Values in lists that a statement can hold."""
    iterator = iter(values)
    while some := list(islice(iterator, _CHUNK)):
        yield some


def compare(
    connection: Connection, scan: Row[Any], root: bytes, listings: Sequence[DirectoryListing]
) -> list[Candidate]:
    """The files to sample; a dry run leaves everything as it was."""
    known = _known(connection, scan.library_id, listings)
    ours = _own_outputs(connection, root, listings)
    found: list[tuple[Candidate, bytes]] = []
    present: set[bytes] = set()
    for listing in listings:
        for entry in listing.entries:
            path = os.path.join(listing.path, entry.name)
            row = known.get(path)
            present.add(path)
            if row is None and (path in ours or listing.path in ours):
                continue
            if (candidate := _judge(path, entry.hint, row)) is not None:
                found.append((candidate, listing.path))
    if not scan.dry_run:
        gone = [row.id for path, row in known.items() if path not in present]
        for some in chunks(gone):
            connection.execute(update(files).where(files.c.id.in_(some)).values(gone=True))
        _remember(connection, scan.id, listings, found)
    return [candidate for candidate, _ in found]


def _judge(path: bytes, hint: ChangeHint, row: Row[Any] | None) -> Candidate | None:
    if row is None or row.stale or row.job_id is None:
        return Candidate(path=path)
    before = (row.size, row.mtime_ns, row.ctime_ns, row.inode)
    if before != (hint.size, hint.mtime_ns, hint.ctime_ns, hint.inode):
        return Candidate(path=path, sample=row.sample)
    return None


def _known(
    connection: Connection, library: int, listings: Sequence[DirectoryListing]
) -> dict[bytes, Row[Any]]:
    found: dict[bytes, Row[Any]] = {}
    for some in chunks(listing.path for listing in listings):
        query = select(files).where(files.c.library_id == library, files.c.directory.in_(some))
        found |= {row.path: row for row in connection.execute(query)}
    return found


def _own_outputs(
    connection: Connection, root: bytes, listings: Sequence[DirectoryListing]
) -> set[bytes]:
    """Published files, and directories at or above which one is a package, of these listings."""
    below = os.path.join(root, b"")
    within = (targets.c.place > below, targets.c.place < below[:-1] + b"0")
    if connection.scalar(select(targets.c.place).where(*within).limit(1)) is None:
        return set()
    above = {one.path: [*_upwards(one.path)] for one in listings}
    paths = {path for paths in above.values() for path in paths}
    paths.update(os.path.join(one.path, entry.name) for one in listings for entry in one.entries)
    ours: set[bytes] = set()
    for some in chunks(os.path.join(root, path) for path in paths):
        # What took an original's place is a film of the library, not a copy beside it.
        query = select(targets.c.place).where(
            targets.c.place.in_(some),
            ~exists().where(replacements.c.job_id == targets.c.job_id, IN_PLACE),
        )
        ours.update(place[len(below) :] for place in connection.scalars(query))
    packages = {path for path, parents in above.items() if not ours.isdisjoint(parents)}
    return ours | packages


def _upwards(path: bytes) -> Iterator[bytes]:
    while path:
        yield path
        path = os.path.dirname(path)


def _remember(
    connection: Connection,
    scan: int,
    listings: Sequence[DirectoryListing],
    found: Sequence[tuple[Candidate, bytes]],
) -> None:
    """Directories whose digest becomes known once all their candidates are recorded."""
    for some in chunks(listing.path for listing in listings):
        for table, column in (
            (scan_directories, scan_directories.c.path),
            (scan_candidates, scan_candidates.c.directory),
        ):
            connection.execute(delete(table).where(table.c.scan_id == scan, column.in_(some)))
    digests = {listing.path: listing.digest for listing in listings}
    connection.execute(
        insert(scan_directories),
        [{"scan_id": scan, "path": path, "digest": digest} for path, digest in digests.items()],
    )
    candidates = {candidate.path: directory for candidate, directory in found}
    if candidates:
        connection.execute(
            insert(scan_candidates),
            [{"scan_id": scan, "path": p, "directory": d} for p, d in candidates.items()],
        )

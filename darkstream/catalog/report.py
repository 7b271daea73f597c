"""The report of a scan, read page by page, so that its size does not matter."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import Column, Row, Select, select

from darkstream.catalog.database import Database
from darkstream.catalog.records import ENDED, select_jobs, to_line
from darkstream.catalog.schema import files, jobs, scan_lines
from darkstream.model.job import ReportLine

_PAGE = 1_000

Line = tuple[bytes, int, ReportLine]


def read_report(database: Database, scan: int, library: int) -> Iterator[ReportLine]:
    """Lines in path order: what the scan wrote, and the present outcome of every other file."""
    written = select(scan_lines.c.path.label("file_path"), scan_lines.c.line).where(
        scan_lines.c.scan_id == scan
    )
    ended = (
        select_jobs()
        .add_columns(files.c.path.label("file_path"))
        .join(files, files.c.job_id == jobs.c.id)
        .where(files.c.library_id == library, jobs.c.status.in_(ENDED))
    )
    return _merge(
        _pages(database, written, scan_lines.c.path, 0, _parse),
        _pages(database, ended, files.c.path, 1, to_line),
    )


def _parse(row: Row[Any]) -> ReportLine:
    return ReportLine.model_validate_json(row.line)


def _pages(
    database: Database,
    query: Select[Any],
    path: Column[Any],
    rank: int,
    parse: Callable[[Row[Any]], ReportLine],
) -> Iterator[Line]:
    after: bytes | None = None
    while True:
        page = query.order_by(path).limit(_PAGE)
        if after is not None:
            page = page.where(path > after)
        with database.read() as connection:
            rows = connection.execute(page).all()
        yield from ((row.file_path, rank, parse(row)) for row in rows)
        if len(rows) < _PAGE:
            return
        after = rows[-1].file_path


def _merge(*sources: Iterable[Line]) -> Iterator[ReportLine]:
    """Lines by path; of two lines of one path the first source's wins."""
    last: bytes | None = None
    for path, _, line in heapq.merge(*sources, key=lambda entry: entry[:2]):
        if path != last:
            yield line
        last = path

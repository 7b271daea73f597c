"""What a forecast is made of: the queue, a dry scan's files, and what became of earlier ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from darkstream.catalog.database import Database
from darkstream.catalog.libraries import library_row
from darkstream.catalog.records import UNFINISHED, moment
from darkstream.catalog.schema import jobs, libraries, scan_lines, scans
from darkstream.catalog.speeds import Costs
from darkstream.model.base import JobId, ScanId
from darkstream.model.job import JobStatus, ReportLine
from darkstream.model.preset import Preset
from darkstream.model.work import Estimate, Rates, Work

_LATEST = 200
_FEW = 4


@dataclass(frozen=True)
class WaitingJob:
    """One job that waits or runs; `work` where it was planned before, else `estimate` is all."""

    job: JobId
    mine: bool
    running: bool
    pool: str
    source_bytes: int
    due: datetime | None
    work: Work | None
    estimate: Estimate


@dataclass(frozen=True)
class FoundFile:
    """A file of a dry scan that would be converted."""

    line: ReportLine
    estimate: Estimate


@dataclass(frozen=True)
class Outlook:
    """All that is known of what is to come; jobs in the order of the queue, running ones first."""

    now: datetime
    preset: Preset
    waiting: tuple[WaitingJob, ...]
    scan: ScanId | None
    found: tuple[FoundFile, ...]
    shares: Rates
    """Sizes of the library's latest results by those of their sources."""
    worked: float
    """The share of its files that were converted, not left as they were."""


class Forecasts:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self, library: str) -> Outlook:
        """What a forecast of a library is made of; raises NotFound."""
        with self._database.read() as connection:
            mine = library_row(connection, library)
            now = moment(self._database.now(connection))
            costs = Costs(connection)
            scan = _dry_scan(connection, mine.id)
            return Outlook(
                now=now or datetime.min,
                preset=Preset.model_validate_json(mine.preset),
                waiting=tuple(_waiting(connection, mine.id, costs)),
                scan=scan,
                found=() if scan is None else tuple(_found(connection, scan, mine, costs)),
                shares=_shares(connection, mine.id),
                worked=_worked(connection, mine.id),
            )


def _waiting(connection: Connection, library: int, costs: Costs) -> Iterator[WaitingJob]:
    """All jobs of the queue, as others go first too; of films of libraries by what they took."""
    presets = {
        row.id: row.preset for row in connection.execute(select(libraries.c.id, libraries.c.preset))
    }
    columns = (jobs.c.id, jobs.c.status, jobs.c.pool, jobs.c.library_id, jobs.c.source_bytes)
    query = (
        select(*columns, jobs.c.cost_s, jobs.c.work, jobs.c.not_before)
        .where(jobs.c.status.in_(UNFINISHED))
        .order_by(jobs.c.status != JobStatus.running.value, jobs.c.turn, jobs.c.id)
    )
    for row in connection.execute(query):
        yield WaitingJob(
            job=JobId(row.id),
            mine=row.library_id == library,
            running=row.status == JobStatus.running.value,
            pool=row.pool,
            source_bytes=row.source_bytes or 0,
            due=moment(row.not_before),
            work=None if row.work is None else Work.model_validate_json(row.work),
            estimate=_estimate(row, presets, costs),
        )


def _estimate(row: Row[Any], presets: Mapping[int, str], costs: Costs) -> Estimate:
    preset = presets.get(row.library_id)
    if preset is not None and row.source_bytes is not None:
        known = {"preset": preset, "library_id": row.library_id, "pool": row.pool}
        return costs.estimate(known, row.source_bytes)
    cost = row.cost_s
    return Estimate(seconds=cost, low=cost / 3, high=cost * 3, basis="table")


def _dry_scan(connection: Connection, library: int) -> ScanId | None:
    """The library's last scan, if it was a dry one: what it found has no jobs yet."""
    query = select(scans.c.id, scans.c.dry_run, scans.c.status).where(scans.c.library_id == library)
    last = connection.execute(query.order_by(scans.c.id.desc()).limit(1)).one_or_none()
    return ScanId(last.id) if last is not None and last.dry_run and last.status == "done" else None


def _found(
    connection: Connection, scan: ScanId, library: Row[Any], costs: Costs
) -> Iterator[FoundFile]:
    known = {"preset": library.preset, "library_id": library.id, "pool": "cpu"}
    for text in connection.scalars(select(scan_lines.c.line).where(scan_lines.c.scan_id == scan)):
        line = ReportLine.model_validate_json(text)
        if line.status == "planned" and line.decision in {"convert", "remux"}:
            yield FoundFile(line, costs.estimate(known, line.source_bytes))


def _shares(connection: Connection, library: int) -> Rates:
    done = (jobs.c.status == JobStatus.done.value, jobs.c.source_bytes > 0)
    query = select(jobs.c.source_bytes, jobs.c.output_bytes).where(
        *done, jobs.c.library_id == library, jobs.c.output_bytes.is_not(None)
    )
    latest = connection.execute(query.order_by(jobs.c.id.desc()).limit(_LATEST)).all()
    return tuple(row.output_bytes / row.source_bytes for row in latest)


def _worked(connection: Connection, library: int) -> float:
    query = select(jobs.c.status, func.count()).where(jobs.c.library_id == library)
    counts = {row[0]: row[1] for row in connection.execute(query.group_by(jobs.c.status))}
    done = counts.get("done", 0)
    left = counts.get("skipped", 0) + counts.get("rejected", 0)
    return 1.0 if done + left < _FEW else float(done / (done + left))

"""Scans: what a worker is told to walk, and what becomes of what it found."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, delete, insert, literal, select, union, update

from darkstream.catalog.database import PIECE, Database
from darkstream.catalog.endings import announce_scan, cancel_jobs
from darkstream.catalog.intake import Intake, forget_files, settle_directories
from darkstream.catalog.libraries import library_row
from darkstream.catalog.listing import chunks, compare
from darkstream.catalog.queue import requeue_ended
from darkstream.catalog.records import (
    UNFINISHED,
    preset_of,
    select_scans,
    to_library,
    to_scan,
)
from darkstream.catalog.report import read_report
from darkstream.catalog.schema import (
    directories,
    files,
    jobs,
    libraries,
    replacements,
    scan_candidates,
    scan_directories,
    scan_lines,
    scans,
    targets,
)
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import ScanId
from darkstream.model.job import JobStatus, ReportLine
from darkstream.model.library import Candidate, DirectoryDigest, Scan, ScanOrder, ScanSummary
from darkstream.model.preset import Preset
from darkstream.model.wire import Listings, SampledFiles, ScanKeepAlive, ScanLines, StartScan

_SILENT_S = 30.0
_MAX_ATTEMPTS = 3


class Scans:
    """Every method is one transaction; raises NotFound for a scan that is not there."""

    def __init__(self, database: Database, settle_s: float) -> None:
        self._database = database
        self._settle_s = settle_s

    def start(self, library: str, request: StartScan) -> Scan:
        """Queue a scan; raises Conflict while one of that library runs."""
        with self._database.write() as connection:
            row = library_row(connection, library)
            running = connection.scalar(
                select(scans.c.id).where(
                    scans.c.library_id == row.id, scans.c.status.in_(("queued", "running"))
                )
            )
            if running is not None:
                raise Conflict(f"the library {library!r} is being scanned already (scan {running})")
            key = connection.execute(
                insert(scans).values(
                    library_id=row.id,
                    status="queued",
                    dry_run=request.dry_run,
                    check_outputs=request.check_outputs,
                    created=self._database.now(connection),
                    flow_run=request.flow_run,
                )
            ).inserted_primary_key
            scan = int(key[0]) if key else 0
            if request.retry_failed and not request.dry_run:
                failed = select(jobs.c.id).join(files, files.c.job_id == jobs.c.id)
                mine = (files.c.library_id == row.id, jobs.c.status == JobStatus.failed.value)
                ids = list(connection.scalars(failed.where(*mine)))
                requeue_ended(connection, self._database.now(connection), ids, scan=scan)
            return to_scan(connection, _row(connection, scan))

    def get(self, scan: ScanId) -> Scan:
        """One scan."""
        with self._database.read() as connection:
            return to_scan(connection, _row(connection, scan))

    def preset(self, scan: ScanId) -> Preset:
        """The preset of the scan's library."""
        with self._database.read() as connection:
            return preset_of(_library(connection, _row(connection, scan)))

    def queued(self) -> list[Scan]:
        """Scans that need a flow run."""
        with self._database.read() as connection:
            rows = connection.execute(
                select_scans().where(scans.c.status == "queued", scans.c.flow_run.is_(None))
            ).all()
            return [to_scan(connection, row) for row in rows]

    def bind(self, scan: ScanId, flow_run: str) -> None:
        """The flow run of a scan is made."""
        with self._database.write() as connection:
            mine = scans.c.id == scan
            connection.execute(update(scans).where(mine).values(flow_run=flow_run))

    def order(self, scan: ScanId, request: ScanKeepAlive) -> ScanOrder:
        """Give the walk to a worker; raises Conflict where it is over or another's."""
        with self._database.write() as connection:
            row = _row(connection, scan)
            if row.status == "running" and not _is_walked_by(row, request):
                raise Conflict(f"scan {scan} is walked by another flow run")
            if row.status not in {"queued", "running"}:
                raise Conflict(f"scan {scan} is {row.status}: there is nothing to walk")
            _forget_walk(connection, scan)
            connection.execute(
                update(scans)
                .where(scans.c.id == scan)
                .values(
                    status="running",
                    node=request.node,
                    flow_run=request.flow_run or row.flow_run,
                    seen=self._database.now(connection),
                )
            )
            library = _library(connection, row)
            # What a walk that was never finished missed may be there again.
            gone = (files.c.library_id == library.id, files.c.gone)
            connection.execute(update(files).where(*gone).values(gone=False))
            return ScanOrder(
                scan=scan,
                library=to_library(library),
                dry_run=row.dry_run,
                settle_s=self._settle_s,
                directories=_known_directories(connection, library.id),
                preset=preset_of(library),
                outputs=_outputs(connection, library) if row.check_outputs else (),
            )

    def alive(self, scan: ScanId, request: ScanKeepAlive) -> bool:
        """Renew a scan; false once it is over or another's."""
        with self._database.write() as connection:
            row = connection.execute(select_scans().where(scans.c.id == scan)).one_or_none()
            if row is None or row.status != "running" or not _is_walked_by(row, request):
                return False
            now = self._database.now(connection)
            connection.execute(update(scans).where(scans.c.id == scan).values(seen=now))
            return True

    def expire(self) -> None:
        """Queue the scans of silent workers again; a scan lost three times has failed."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            silent = connection.execute(
                select(scans).where(
                    scans.c.status.in_(("queued", "running")), scans.c.seen < now - _SILENT_S
                )
            ).all()
            for row in silent:
                if row.attempts + 1 >= _MAX_ATTEMPTS:
                    reason = f"the worker was lost {_MAX_ATTEMPTS} times"
                    _end(connection, now, row.id, "failed", reason=reason)
                    continue
                connection.execute(
                    update(scans)
                    .where(scans.c.id == row.id)
                    .values(status="queued", flow_run=None, seen=None, attempts=row.attempts + 1)
                )

    def list_directories(self, scan: ScanId, listings: Listings) -> tuple[Candidate, ...]:
        """Compare directories with the known files; the answer names those to sample."""
        with self._database.write() as connection:
            row = self._running(connection, scan)
            root = _library(connection, row).root
            return tuple(compare(connection, row, root, listings.directories))

    def add_files(
        self, scan: ScanId, sampled: SampledFiles, *, pool: Literal["cpu", "gpu"]
    ) -> tuple[bytes, ...]:
        """Make jobs of the files that need one; the answer names those to be hashed in full."""
        with self._database.write() as connection:
            row = self._running(connection, scan, pool=pool)
            return tuple(self._intake(connection, row, pool).take(sampled.files))

    def add_lines(self, scan: ScanId, lines: ScanLines) -> None:
        """Remember report lines that need no job."""
        with self._database.write() as connection:
            self._running(connection, scan)
            told = {_path_of(line): line.model_dump_json() for line in lines.lines}
            for some in chunks(told):
                connection.execute(
                    delete(scan_lines).where(
                        scan_lines.c.scan_id == scan, scan_lines.c.path.in_(some)
                    )
                )
                values = [{"scan_id": scan, "path": path, "line": told[path]} for path in some]
                connection.execute(insert(scan_lines), values)

    def finish(self, scan: ScanId, summary: ScanSummary) -> None:
        """The walk is complete; saying it again changes nothing.

        Whole directories may have been renamed: that is worked off in pieces, between which others
        write, and goes on from there when it is said again.
        """
        with self._finishing(scan) as (connection, row):
            if row and not row.dry_run:
                settle_directories(connection, row, summary.vanished_directories)
        while self._decide(scan):
            pass
        with self._finishing(scan) as (connection, row):
            if row is None:
                return
            now = self._database.now(connection)
            if not row.dry_run:
                _forget_gone(connection, now, row, summary.missing_outputs)
            counts = {name: getattr(summary, name) for name in ("met", "ignored", "unchanged")}
            _end(connection, now, scan, "done", **counts)

    def _decide(self, scan: ScanId) -> bool:
        with self._finishing(scan) as (connection, row):
            if row is None or row.dry_run:
                return False
            return self._intake(connection, row, row.pool or "cpu").decide(PIECE)

    @contextmanager
    def _finishing(self, scan: ScanId) -> Iterator[tuple[Connection, Row[Any] | None]]:
        """One transaction of an end; None for the scan that has been finished already."""
        with self._database.write() as connection:
            done = _row(connection, scan).status == "done"
            yield connection, None if done else self._running(connection, scan)

    def _intake(
        self, connection: Connection, scan: Row[Any], pool: Literal["cpu", "gpu"]
    ) -> Intake:
        now = self._database.now(connection)
        return Intake(connection, now, scan.id, _library(connection, scan), pool)

    def fail(self, scan: ScanId, reason: str) -> None:
        """The walk could not be completed."""
        with self._database.write() as connection:
            row = _row(connection, scan)
            if row.status in {"queued", "running"}:
                now = self._database.now(connection)
                _end(connection, now, scan, "failed", reason=reason)

    def cancel(self, scan: ScanId) -> Scan:
        """End a scan and cancel the jobs it made; the next scan makes them again."""
        with self._database.write() as connection:
            if _row(connection, scan).status in {"queued", "running"}:
                now = self._database.now(connection)
                _end(connection, now, scan, "cancelled", reason="cancelled")
        while self._cancel_some(scan):
            pass
        return self.get(scan)

    def _cancel_some(self, scan: ScanId) -> bool:
        with self._database.write() as connection:
            mine = select(jobs.c.id).where(
                jobs.c.scan_id == scan,
                jobs.c.status.in_(UNFINISHED),
                jobs.c.cancel_requested.is_(False),
            )
            some = list(connection.scalars(mine.order_by(jobs.c.id).limit(PIECE)))
            forget_files(connection, some)
            cancel_jobs(connection, self._database.now(connection), some)
            return len(some) > 0

    def report(self, scan: ScanId) -> Iterator[ReportLine]:
        """Every file that was met, in path order; unchanged ones with their former outcome."""
        with self._database.read() as connection:
            row = _row(connection, scan)
        return read_report(self._database, scan, row.library_id)

    def _running(self, connection: Connection, scan: ScanId, **values: Any) -> Row[Any]:  # noqa: ANN401 - columns
        row = _row(connection, scan)
        if row.status != "running":
            raise Conflict(f"scan {scan} is {row.status}: stop walking")
        now = self._database.now(connection)
        connection.execute(update(scans).where(scans.c.id == scan).values(seen=now, **values))
        return row


def _path_of(line: ReportLine) -> bytes:
    text = line.source_b64
    return line.source.encode() if text is None else base64.b64decode(text)


def _is_walked_by(scan: Row[Any], request: ScanKeepAlive) -> bool:
    if scan.flow_run is None or request.flow_run is None:
        return bool(scan.node == request.node)
    return bool(scan.flow_run == request.flow_run)


def _row(connection: Connection, scan: int) -> Row[Any]:
    row = connection.execute(select_scans().where(scans.c.id == scan)).one_or_none()
    if row is None:
        raise NotFound(f"there is no scan {scan}")
    return row


def _library(connection: Connection, scan: Row[Any]) -> Row[Any]:
    return connection.execute(select(libraries).where(libraries.c.id == scan.library_id)).one()


def _known_directories(connection: Connection, library: int) -> tuple[DirectoryDigest, ...]:
    """Directories that were complete, and (no digest is theirs) others that held known files."""
    complete = select(directories.c.path, directories.c.digest).where(
        directories.c.library_id == library
    )
    others = select(files.c.directory, literal("")).where(
        files.c.library_id == library,
        files.c.directory.not_in(
            select(directories.c.path).where(directories.c.library_id == library)
        ),
    )
    found = connection.execute(union(complete, others).order_by(directories.c.path))
    return tuple(DirectoryDigest(path=path, digest=digest) for path, digest in found)


def _outputs(connection: Connection, library: Row[Any]) -> tuple[tuple[bytes, bytes], ...]:
    """Source and name of each output that was committed last; one of another name is history."""
    rows = connection.execute(
        select(files.c.path, targets.c.path.label("output"))
        .join(jobs, jobs.c.id == files.c.job_id)
        .join(
            targets,
            and_(targets.c.job_id == jobs.c.id, targets.c.token == jobs.c.committed_token),
        )
        .join(replacements, replacements.c.job_id == jobs.c.id, isouter=True)
        .where(
            files.c.library_id == library.id,
            jobs.c.status == JobStatus.done.value,
            # Where a result took its original's place there is nothing to make it of again.
            replacements.c.job_id.is_(None),
        )
        .order_by(files.c.path)
    )
    return tuple((row.path, row.output) for row in rows)


def _end(connection: Connection, now: float, scan: int, status: str, **values: Any) -> None:  # noqa: ANN401 - columns
    connection.execute(
        update(scans).where(scans.c.id == scan).values(status=status, ended=now, **values)
    )
    _forget_walk(connection, scan)
    announce_scan(connection, now, scan)


def _forget_gone(
    connection: Connection, now: float, scan: Row[Any], missing: Sequence[bytes]
) -> None:
    """Forget files that are gone; those whose outputs are missing are done again."""
    mine = files.c.library_id == scan.library_id
    connection.execute(delete(files).where(mine, files.c.gone))
    for some in chunks(missing):
        lost = select(files.c.job_id).where(mine, files.c.path.in_(some))
        requeue_ended(connection, now, list(connection.scalars(lost)), scan=scan.id)


def _forget_walk(connection: Connection, scan: int) -> None:
    """Drop what is only of use while a walk lasts."""
    for table in (scan_directories, scan_candidates):
        connection.execute(delete(table).where(table.c.scan_id == scan))

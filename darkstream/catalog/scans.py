"""Scans: what a worker is told to walk, and what becomes of what it found."""

from __future__ import annotations

import base64
import heapq
import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.database import Database
from darkstream.catalog.jobs import insert_job, requeue_ended
from darkstream.catalog.libraries import library_row
from darkstream.catalog.records import (
    ENDED,
    WAITING,
    announce_scan,
    end_jobs,
    preset_of,
    select_jobs,
    select_scans,
    to_library,
    to_line,
    to_scan,
)
from darkstream.catalog.schema import (
    directories,
    files,
    jobs,
    libraries,
    scan_directories,
    scan_lines,
    scans,
    targets,
)
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import ScanId
from darkstream.model.job import JobStatus, ReportLine
from darkstream.model.library import (
    Candidate,
    DirectoryDigest,
    DirectoryListing,
    SampledFile,
    Scan,
    ScanOrder,
    ScanSummary,
)
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
                requeue_ended(connection, ids, scan=scan)
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
            mine = row.flow_run in {None, request.flow_run} or row.node == request.node
            if row.status not in {"queued", "running"} or (row.status == "running" and not mine):
                raise Conflict(f"scan {scan} is {row.status}: there is nothing to walk")
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
            known = connection.execute(
                select(directories.c.path, directories.c.digest)
                .where(directories.c.library_id == library.id)
                .order_by(directories.c.path)
            )
            return ScanOrder(
                scan=scan,
                library=to_library(library),
                dry_run=row.dry_run,
                settle_s=self._settle_s,
                directories=tuple(DirectoryDigest(path=p, digest=d) for p, d in known),
                outputs=_outputs(connection, library) if row.check_outputs else (),
            )

    def alive(self, scan: ScanId, request: ScanKeepAlive) -> bool:
        """Renew a scan; false once it is over or another's."""
        with self._database.write() as connection:
            touched = connection.execute(
                update(scans)
                .where(
                    scans.c.id == scan, scans.c.status == "running", scans.c.node == request.node
                )
                .values(seen=self._database.now(connection))
            )
            return bool(touched.rowcount)

    def expire(self) -> None:
        """Queue the scans of silent workers again; a scan lost three times has failed."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            silent = connection.execute(
                select(scans).where(scans.c.status == "running", scans.c.seen < now - _SILENT_S)
            ).all()
            for row in silent:
                if row.attempts + 1 >= _MAX_ATTEMPTS:
                    reason = f"the worker was lost {_MAX_ATTEMPTS} times"
                    _end(connection, now, row.id, "failed", reason=reason)
                    continue
                connection.execute(
                    update(scans)
                    .where(scans.c.id == row.id)
                    .values(status="queued", flow_run=None, attempts=row.attempts + 1)
                )

    def list_directories(self, scan: ScanId, listings: Listings) -> tuple[Candidate, ...]:
        """Compare directories with the known files; the answer names those to sample."""
        with self._database.write() as connection:
            row = self._running(connection, scan)
            found = [
                candidate
                for listing in listings.directories
                for candidate in _compare(connection, row, listing)
            ]
        return tuple(found)

    def add_files(
        self, scan: ScanId, sampled: SampledFiles, *, pool: Literal["cpu", "gpu"]
    ) -> tuple[bytes, ...]:
        """Make jobs of the files that need one; the answer names those to be hashed in full."""
        with self._database.write() as connection:
            row = self._running(connection, scan)
            library = _library(connection, row)
            now = self._database.now(connection)
            wanted = [
                file.path
                for file in sampled.files
                if not _add(connection, now, row.id, library, file, pool)
            ]
        return tuple(wanted)

    def add_lines(self, scan: ScanId, lines: ScanLines) -> None:
        """Remember report lines that need no job."""
        with self._database.write() as connection:
            self._running(connection, scan)
            for line in lines.lines:
                text = line.source_b64
                path = line.source.encode() if text is None else base64.b64decode(text)
                key = (scan_lines.c.scan_id == scan, scan_lines.c.path == path)
                connection.execute(delete(scan_lines).where(*key))
                connection.execute(
                    insert(scan_lines).values(scan_id=scan, path=path, line=line.model_dump_json())
                )

    def finish(self, scan: ScanId, summary: ScanSummary) -> None:
        """The walk is complete."""
        with self._database.write() as connection:
            row = self._running(connection, scan)
            if not row.dry_run:
                _settle(connection, row, summary)
            _end(
                connection,
                self._database.now(connection),
                scan,
                "done",
                met=summary.met,
                ignored=summary.ignored,
                unchanged=summary.unchanged,
            )

    def fail(self, scan: ScanId, reason: str) -> None:
        """The walk could not be completed."""
        with self._database.write() as connection:
            row = _row(connection, scan)
            if row.status in {"queued", "running"}:
                now = self._database.now(connection)
                _end(connection, now, scan, "failed", reason=reason)

    def cancel(self, scan: ScanId) -> Scan:
        """End a scan and cancel the jobs it made."""
        with self._database.write() as connection:
            row = _row(connection, scan)
            now = self._database.now(connection)
            if row.status in {"queued", "running"}:
                _end(connection, now, scan, "cancelled", reason="cancelled")
            mine = jobs.c.scan_id == scan
            waiting = select(jobs.c.id).where(mine, jobs.c.status.in_(WAITING))
            ids = list(connection.scalars(waiting))
            end_jobs(connection, now, ids, status="cancelled", reason="cancelled")
            running = update(jobs).where(mine, jobs.c.status == JobStatus.running.value)
            connection.execute(running.values(cancel_requested=True))
            return to_scan(connection, _row(connection, scan))

    def report(self, scan: ScanId) -> Iterator[ReportLine]:
        """Every file that was met, in path order; unchanged ones with their former outcome."""
        with self._database.read() as connection:
            row = _row(connection, scan)
            written = connection.execution_options(stream_results=True).execute(
                select(scan_lines.c.path, scan_lines.c.line)
                .where(scan_lines.c.scan_id == scan)
                .order_by(scan_lines.c.path)
            )
            ended = connection.execute(
                select_jobs()
                .add_columns(files.c.path.label("file_path"))
                .join(files, files.c.job_id == jobs.c.id)
                .where(files.c.library_id == row.library_id, jobs.c.status.in_(ENDED))
                .order_by(files.c.path)
            )
            lines = ((one.path, 0, ReportLine.model_validate_json(one.line)) for one in written)
            outcomes = ((one.file_path, 1, to_line(one)) for one in ended)
            yield from _merge(lines, outcomes)

    def _running(self, connection: Connection, scan: ScanId) -> Row[Any]:
        row = _row(connection, scan)
        if row.status != "running":
            raise Conflict(f"scan {scan} is {row.status}: stop walking")
        now = self._database.now(connection)
        connection.execute(update(scans).where(scans.c.id == scan).values(seen=now))
        return row


def _merge(*sources: Iterable[tuple[bytes, int, ReportLine]]) -> Iterator[ReportLine]:
    """Lines by path; of two lines of one path the first source's wins."""
    last: bytes | None = None
    for path, _, line in heapq.merge(*sources, key=lambda entry: entry[:2]):
        if path != last:
            yield line
        last = path


def _row(connection: Connection, scan: int) -> Row[Any]:
    row = connection.execute(select_scans().where(scans.c.id == scan)).one_or_none()
    if row is None:
        raise NotFound(f"there is no scan {scan}")
    return row


def _library(connection: Connection, scan: Row[Any]) -> Row[Any]:
    return connection.execute(select(libraries).where(libraries.c.id == scan.library_id)).one()


def _outputs(connection: Connection, library: Row[Any]) -> tuple[tuple[bytes, bytes], ...]:
    rows = connection.execute(
        select(files.c.path, targets.c.path.label("output"))
        .join(targets, targets.c.job_id == files.c.job_id)
        .join(jobs, jobs.c.id == files.c.job_id)
        .where(files.c.library_id == library.id, jobs.c.status == JobStatus.done.value)
        .order_by(files.c.path)
    )
    return tuple((row.path, row.output) for row in rows)


def _end(connection: Connection, now: float, scan: int, status: str, **values: Any) -> None:  # noqa: ANN401 - columns
    connection.execute(
        update(scans).where(scans.c.id == scan).values(status=status, ended=now, **values)
    )
    announce_scan(connection, now, scan)


def _compare(connection: Connection, scan: Row[Any], listing: DirectoryListing) -> list[Candidate]:
    known = {
        row.path: row
        for row in connection.execute(
            select(files).where(
                files.c.library_id == scan.library_id, files.c.directory == listing.path
            )
        )
    }
    found: list[Candidate] = []
    for entry in listing.entries:
        path = os.path.join(listing.path, entry.name)
        row = known.pop(path, None)
        hint = entry.hint
        if row is None or row.stale or row.job_id is None:
            found.append(Candidate(path=path))
        elif (row.size, row.mtime_ns, row.ctime_ns, row.inode) != (
            hint.size,
            hint.mtime_ns,
            hint.ctime_ns,
            hint.inode,
        ):
            found.append(Candidate(path=path, sample=row.sample))
    if not scan.dry_run:
        gone = [row.id for row in known.values()]
        connection.execute(update(files).where(files.c.id.in_(gone)).values(gone=True))
        _await_digest(connection, scan.id, listing, len(found))
    return found


def _await_digest(
    connection: Connection, scan: int, listing: DirectoryListing, remaining: int
) -> None:
    key = (scan_directories.c.scan_id == scan, scan_directories.c.path == listing.path)
    connection.execute(delete(scan_directories).where(*key))
    connection.execute(
        insert(scan_directories).values(
            scan_id=scan, path=listing.path, digest=listing.digest, remaining=remaining
        )
    )


def _add(
    connection: Connection,
    now: float,
    scan: int,
    library: Row[Any],
    file: SampledFile,
    pool: Literal["cpu", "gpu"],
) -> bool:
    """Record one file; false where its full hash is wanted first."""
    known = connection.execute(
        select(files).where(files.c.library_id == library.id, files.c.path == file.path)
    ).one_or_none()
    values: dict[str, Any] = {
        **file.hint.model_dump(),
        "sample": file.sample,
        "stale": False,
        "gone": False,
    }
    same = known is not None and known.sample == file.sample and known.size == file.hint.size
    if known is not None and same and not known.stale and known.job_id is not None:
        connection.execute(update(files).where(files.c.id == known.id).values(**values))
        _recorded(connection, scan, file.path)
        return True
    if known is None and file.content is None and _is_like_a_known_one(connection, file):
        return False
    values["content"] = file.content
    moved = _gone_with(connection, library, file) if known is None else None
    if moved is not None:
        place = {"path": file.path, "directory": os.path.dirname(file.path)}
        connection.execute(update(files).where(files.c.id == moved.id).values(**values, **place))
    else:
        values["job_id"] = _make_job(connection, now, scan, library, file, pool)
        _upsert(connection, library, known, file, values)
    _recorded(connection, scan, file.path)
    return True


def _upsert(
    connection: Connection,
    library: Row[Any],
    known: Row[Any] | None,
    file: SampledFile,
    values: dict[str, Any],
) -> None:
    if known is not None:
        connection.execute(update(files).where(files.c.id == known.id).values(**values))
        return
    place = {"path": file.path, "directory": os.path.dirname(file.path)}
    connection.execute(insert(files).values(library_id=library.id, **place, **values))


def _is_like_a_known_one(connection: Connection, file: SampledFile) -> bool:
    query = select(files.c.id).where(
        files.c.size == file.hint.size,
        files.c.sample == file.sample,
        files.c.content.is_not(None),
    )
    return connection.scalar(query.limit(1)) is not None


def _gone_with(connection: Connection, library: Row[Any], file: SampledFile) -> Row[Any] | None:
    """The row of a file of this content that is no longer where it was: it was renamed."""
    if file.content is None:
        return None
    return connection.execute(
        select(files)
        .where(
            files.c.library_id == library.id,
            files.c.content == file.content,
            files.c.gone,
            files.c.job_id.is_not(None),
        )
        .limit(1)
    ).one_or_none()


def _make_job(
    connection: Connection,
    now: float,
    scan: int,
    library: Row[Any],
    file: SampledFile,
    pool: Literal["cpu", "gpu"],
) -> int:
    return insert_job(
        connection,
        now,
        source=os.path.join(library.root, file.path),
        relative=file.path,
        destination=library.destination,
        preset=library.preset,
        preset_name=library.preset_name,
        priority=library.priority,
        library_id=library.id,
        scan_id=scan,
        source_bytes=file.hint.size,
        pool=pool,
    )


def _recorded(connection: Connection, scan: int, path: bytes) -> None:
    connection.execute(
        update(scan_directories)
        .where(
            scan_directories.c.scan_id == scan,
            scan_directories.c.path == os.path.dirname(path),
        )
        .values(remaining=scan_directories.c.remaining - 1)
    )


def _settle(connection: Connection, scan: Row[Any], summary: ScanSummary) -> None:
    """Know the directories whose every file was recorded, forget what vanished."""
    library = scan.library_id
    seen = connection.execute(
        select(scan_directories).where(scan_directories.c.scan_id == scan.id)
    ).all()
    for row in seen:
        key = (directories.c.library_id == library, directories.c.path == row.path)
        connection.execute(delete(directories).where(*key))
        if row.remaining <= 0:
            values = {"library_id": library, "path": row.path, "digest": row.digest}
            connection.execute(insert(directories).values(**values))
    connection.execute(delete(scan_directories).where(scan_directories.c.scan_id == scan.id))
    for path in summary.vanished_directories:
        mine = (files.c.library_id == library, files.c.directory == path)
        connection.execute(update(files).where(*mine).values(gone=True))
        key = (directories.c.library_id == library, directories.c.path == path)
        connection.execute(delete(directories).where(*key))
    connection.execute(delete(files).where(files.c.library_id == library, files.c.gone))
    for path in summary.missing_outputs:
        lost = select(files.c.job_id).where(files.c.library_id == library, files.c.path == path)
        job = connection.scalar(lost)
        if job is not None:
            requeue_ended(connection, [job], scan=scan.id)

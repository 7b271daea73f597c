"""Rows of the catalog as values of the model, and the ends of jobs and scans as events."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from darkstream.catalog.outbox import add_events
from darkstream.catalog.schema import jobs, libraries, results, scans
from darkstream.model.base import JobId, LibraryId, ScanId
from darkstream.model.job import Job, JobStatus, Outcome, ReportLine
from darkstream.model.library import Library, Scan
from darkstream.model.paths import display, is_text
from darkstream.model.preset import Preset

ENDED = tuple(status.value for status in JobStatus if status.ended)
WAITING = (JobStatus.queued.value, JobStatus.dispatched.value)
UNFINISHED = (*WAITING, JobStatus.running.value)
_HEAVY = frozenset({"preset", "media", "plan", "log"})
_CHUNK = 500


def moment(seconds: float | None) -> datetime | None:
    """Seconds since the epoch as a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def exact(path: bytes) -> str | None:
    """The path as base64 where its display form is not the path itself."""
    return None if display(path).encode() == path else _base64(path)


def _base64(path: bytes) -> str:
    return base64.b64encode(path).decode("ascii")


def _written(path: bytes) -> str:
    """The path as it stands in a report: exact where it is text."""
    return path.decode() if is_text(path) else display(path)


PRIORITIES = {"urgent": (80, 100), "normal": (20, 79), "bulk": (0, 19)}
"""The least and the highest priority of each work queue."""


def queue_of(priority: int) -> str:
    """The work queue of a priority."""
    return next(queue for queue, (least, _) in PRIORITIES.items() if priority >= least)


def select_jobs() -> Select[Any]:
    """What `to_job` needs of jobs, with the name of their library."""
    light = (column for column in jobs.c if column.name not in _HEAVY)
    return select(*light, libraries.c.name.label("library_name")).join(
        libraries, libraries.c.id == jobs.c.library_id, isouter=True
    )


def outcome_of(row: Row[Any]) -> Outcome | None:
    """How the last attempt ended, if one did."""
    return None if row.outcome is None else Outcome.model_validate_json(row.outcome)


def _outputs_of(outcome: Outcome | None) -> tuple[bytes, ...]:
    """Published files, first what to open."""
    if outcome is None:
        return ()
    paths = tuple(output.path for output in outcome.outputs)
    first = outcome.presentation
    if first is None or len(paths) == 1:
        return paths
    return (first, *(path for path in paths if path != first))


def to_job(row: Row[Any]) -> Job:
    """One row of `select_jobs`."""
    outcome = outcome_of(row)
    outputs = _outputs_of(outcome)
    inexact = any(exact(path) is not None for path in outputs)
    return Job(
        id=JobId(row.id),
        status=JobStatus(row.status),
        source=display(row.source),
        source_b64=exact(row.source),
        preset=row.preset_name,
        destination=display(row.destination),
        library=row.library_name,
        scan=None if row.scan_id is None else ScanId(row.scan_id),
        pool=row.pool,
        queue=queue_of(row.priority),
        priority=row.priority,
        created=moment(row.created),
        not_before=moment(row.not_before),
        started=moment(row.started),
        ended=moment(row.ended),
        attempts=row.attempts,
        node=row.node,
        flow_run=row.flow_run,
        cancel_requested=row.cancel_requested,
        source_bytes=row.source_bytes,
        decision=row.decision,
        reason=row.reason,
        findings=outcome.findings if outcome else (),
        outputs=tuple(map(display, outputs)),
        outputs_b64=tuple(map(_base64, outputs)) if inexact else None,
        output_bytes=outcome.output_bytes if outcome else None,
        wall_s=outcome.wall_s if outcome else None,
        cpu_s=outcome.cpu_s if outcome else None,
        reused=outcome.reused if outcome else None,
    )


_DECISION_OF_STATUS = {"skipped": "skip", "rejected": "reject"}


def to_line(row: Row[Any]) -> ReportLine:
    """One ended job as a line of the report, with the file's present path `file_path`."""
    outcome = outcome_of(row) or Outcome(status=row.status)
    outputs = _outputs_of(outcome)
    text = all(map(is_text, outputs))
    return ReportLine(
        source=_written(row.file_path),
        source_b64=None if is_text(row.file_path) else _base64(row.file_path),
        decision=row.decision or _DECISION_OF_STATUS.get(row.status, "convert"),
        status=row.status,
        reason=row.reason,
        findings=outcome.findings,
        outputs=tuple(map(_written, outputs)),
        outputs_b64=None if text else tuple(map(_base64, outputs)),
        source_bytes=row.source_bytes or 0,
        output_bytes=outcome.output_bytes,
        wall_s=outcome.wall_s,
        cpu_s=outcome.cpu_s,
        attempts=row.attempts,
        job=JobId(row.id),
    )


def to_library(row: Row[Any]) -> Library:
    """One row of libraries."""
    return Library(
        id=LibraryId(row.id),
        name=row.name,
        root=row.root,
        destination=row.destination,
        preset=row.preset_name,
        include=tuple(json.loads(row.include)),
        exclude=tuple(json.loads(row.exclude)),
        schedule=row.schedule,
        priority=row.priority,
        created=moment(row.created),
    )


def preset_of(row: Row[Any]) -> Preset:
    """The preset stored with a job or a library."""
    return Preset.model_validate_json(row.preset)


def to_scan(connection: Connection, row: Row[Any]) -> Scan:
    """One row of scans with the name of its library; its job counts are counted, not kept."""
    query = select(jobs.c.status, func.count()).where(jobs.c.scan_id == row.id)
    rows = connection.execute(query.group_by(jobs.c.status))
    counts: dict[str, int] = {row[0]: row[1] for row in rows}
    return Scan(
        id=ScanId(row.id),
        library=row.library_name,
        status=row.status,
        dry_run=row.dry_run,
        created=moment(row.created),
        ended=moment(row.ended),
        node=row.node,
        reason=row.reason,
        met=row.met,
        ignored=row.ignored,
        unchanged=row.unchanged,
        jobs=sum(counts.values()),
        jobs_ended=sum(count for status, count in counts.items() if status in ENDED),
        jobs_failed=counts.get("failed", 0),
        attempts=row.attempts,
    )


def select_scans() -> Select[Any]:
    """Scans with the name of their library."""
    return select(scans, libraries.c.name.label("library_name")).join(
        libraries, libraries.c.id == scans.c.library_id
    )


def end_jobs(
    connection: Connection, now: float, ids: list[int], *, status: str, reason: str
) -> None:
    """End jobs without an outcome of their own, and tell of it."""
    values = {"status": status, "reason": reason, "ended": now, "lease_until": None}
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK]
        connection.execute(
            update(jobs).where(jobs.c.id.in_(some)).values(dispatch_id=None, **values)
        )
        connection.execute(
            delete(results).where(results.c.job_id.in_(some), results.c.done.is_(False))
        )
        announce_jobs(connection, now, some)


def cancel_jobs(
    connection: Connection, now: float, ids: list[int], *, reason: str = "cancelled"
) -> None:
    """End those of the jobs that wait, ask those that run to end."""
    waiting: list[int] = []
    for start in range(0, len(ids), _CHUNK):
        some = jobs.c.id.in_(ids[start : start + _CHUNK])
        running = update(jobs).where(some, jobs.c.status == JobStatus.running.value)
        connection.execute(running.values(cancel_requested=True))
        waiting += connection.scalars(select(jobs.c.id).where(some, jobs.c.status.in_(WAITING)))
    end_jobs(connection, now, waiting, status="cancelled", reason=reason)


def announce_jobs(connection: Connection, now: float, ids: list[int]) -> None:
    """Write the events of these jobs' ends, and of their scans' where they were the last."""
    rows = connection.execute(select_jobs().where(jobs.c.id.in_(ids)).order_by(jobs.c.id)).all()
    add_events(connection, now, "job.ended", [_ending(to_job(row)) for row in rows])
    for scan in {row.scan_id for row in rows} - {None}:
        announce_scan(connection, now, scan)


def _ending(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "status": job.status,
        "decision": job.decision,
        "reason": job.reason,
        "source": job.source,
        "outputs": list(job.outputs),
        "source_bytes": job.source_bytes,
        "output_bytes": job.output_bytes,
        "wall_s": job.wall_s,
        "library": job.library,
        "scan": job.scan,
    }


def announce_scan(connection: Connection, now: float, scan: int) -> None:
    """Write the event of a scan's end once its walk and all its jobs ended."""
    row = connection.execute(select_scans().where(scans.c.id == scan)).one_or_none()
    if row is None or row.announced or row.status in {"queued", "running"}:
        return
    unfinished = select(jobs.c.id).where(jobs.c.scan_id == scan, jobs.c.status.in_(UNFINISHED))
    if connection.scalar(unfinished.limit(1)) is not None:
        return
    connection.execute(update(scans).where(scans.c.id == scan).values(announced=True))
    payload = to_scan(connection, row).model_dump(mode="json", exclude={"id"}) | {"scan": scan}
    add_events(connection, now, "scan.ended", [payload])

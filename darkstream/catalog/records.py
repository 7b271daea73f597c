"""Rows of the catalog as values of the model, and the ends of jobs and scans as events."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update

from darkstream.catalog.outbox import add_event
from darkstream.catalog.schema import jobs, libraries, scans
from darkstream.model.base import JobId, LibraryId, ScanId
from darkstream.model.job import Job, JobStatus, Outcome, ReportLine
from darkstream.model.library import Library, Scan
from darkstream.model.paths import display, is_text
from darkstream.model.preset import Preset

ENDED = tuple(status.value for status in JobStatus if status.ended)
WAITING = (JobStatus.queued.value, JobStatus.dispatched.value)


def moment(seconds: float | None) -> datetime | None:
    """Seconds since the epoch as a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def exact(path: bytes) -> str | None:
    """The path as base64 where its display form cannot hold it."""
    return None if is_text(path) else base64.b64encode(path).decode("ascii")


def queue_of(priority: int) -> str:
    """The work queue of a priority."""
    return "urgent" if priority >= 80 else "normal" if priority >= 20 else "bulk"


def select_jobs() -> Select[Any]:
    """Jobs with the name of their library."""
    return select(jobs, libraries.c.name.label("library_name")).join(
        libraries, libraries.c.id == jobs.c.library_id, isouter=True
    )


def outcome_of(row: Row[Any]) -> Outcome | None:
    """How the last attempt ended, if one did."""
    return None if row.outcome is None else Outcome.model_validate_json(row.outcome)


def to_job(row: Row[Any]) -> Job:
    """One row of `select_jobs`."""
    outcome = outcome_of(row)
    outputs = tuple(one.path for one in outcome.outputs) if outcome else ()
    if outcome and outcome.presentation is not None and len(outputs) != 1:
        outputs = (outcome.presentation, *(one for one in outputs if one != outcome.presentation))
    inexact = any(not is_text(path) for path in outputs)
    encoded = tuple(base64.b64encode(path).decode("ascii") for path in outputs)
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
        outputs_b64=encoded if inexact else None,
        output_bytes=outcome.output_bytes if outcome else None,
        wall_s=outcome.wall_s if outcome else None,
        cpu_s=outcome.cpu_s if outcome else None,
        reused=outcome.reused if outcome else None,
    )


_DECISION_OF_STATUS = {"skipped": "skip", "rejected": "reject"}


def to_line(row: Row[Any]) -> ReportLine:
    """One ended job as a line of the report; its source relative to the library."""
    job = to_job(row)
    return ReportLine(
        source=display(row.relative),
        source_b64=exact(row.relative),
        decision=job.decision or _DECISION_OF_STATUS.get(row.status, "convert"),
        status=row.status,
        reason=job.reason,
        findings=job.findings,
        outputs=job.outputs,
        outputs_b64=job.outputs_b64,
        source_bytes=job.source_bytes or 0,
        output_bytes=job.output_bytes or 0,
        wall_s=job.wall_s or 0.0,
        cpu_s=job.cpu_s or 0.0,
        attempts=job.attempts,
        job=job.id,
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
    for job in ids:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job)
            .values(status=status, reason=reason, ended=now, lease_until=None, dispatch_id=None)
        )
        announce_job(connection, now, job)


def announce_job(connection: Connection, now: float, job: int) -> None:
    """Write the event of a job's end, and of its scan's where it was the last."""
    row = connection.execute(select_jobs().where(jobs.c.id == job)).one()
    value = to_job(row)
    add_event(
        connection,
        now,
        "job.ended",
        {
            "job": value.id,
            "status": value.status,
            "decision": value.decision,
            "reason": value.reason,
            "source": value.source,
            "outputs": list(value.outputs),
            "source_bytes": value.source_bytes,
            "output_bytes": value.output_bytes,
            "wall_s": value.wall_s,
            "library": value.library,
            "scan": value.scan,
        },
    )
    if row.scan_id is not None:
        announce_scan(connection, now, row.scan_id)


def announce_scan(connection: Connection, now: float, scan: int) -> None:
    """Write the event of a scan's end once its walk and all its jobs ended."""
    row = connection.execute(select_scans().where(scans.c.id == scan)).one_or_none()
    if row is None or row.announced or row.status in {"queued", "running"}:
        return
    value = to_scan(connection, row)
    if value.jobs_ended < value.jobs:
        return
    connection.execute(update(scans).where(scans.c.id == scan).values(announced=True))
    payload = value.model_dump(mode="json", exclude={"id"}) | {"scan": scan}
    add_event(connection, now, "scan.ended", payload)

"""Rows of the catalog as values of the model."""

from __future__ import annotations

import base64
import json
import os
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    Select,
    String,
    cast,
    func,
    select,
)

from darkstream.catalog.schema import batches, dependencies, jobs, libraries, replacements, scans
from darkstream.model.base import JobId, LibraryId, ScanId
from darkstream.model.job import Job, JobStatus, Outcome, ReportLine
from darkstream.model.library import Library, Scan
from darkstream.model.paths import display, is_text
from darkstream.model.preset import Preset
from darkstream.model.replacement import (
    CLIP,
    InPlace,
    Replacement,
    ReplacementInfo,
    ReplacementState,
)

ENDED = tuple(status.value for status in JobStatus if status.ended)
WAITING = (JobStatus.queued.value, JobStatus.dispatched.value)
UNFINISHED = (*WAITING, JobStatus.running.value)
UNSUCCESSFUL = ("failed", "rejected", "cancelled")
"""Ends that stop the jobs that wait for them; a skipped file needed nothing."""
_before = jobs.alias("before")
_HEAVY = frozenset({"preset", "media", "plan", "log"})
_PLACE = (
    *("state", "root", "quarantine", "original_bytes", "result_bytes", "kept_until"),
    *("requested", "error", "record"),
)
"""What is told of a replacement."""


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
    """What `to_job` needs of jobs, with the names of their library and batch."""
    light = (column for column in jobs.c if column.name not in _HEAVY)
    places = (replacements.c[name].label(f"place_{name}") for name in _PLACE)
    return select(
        *light,
        *places,
        libraries.c.name.label("library_name"),
        batches.c.name.label("batch_name"),
        _numbers_before().label("after"),
        _numbers_before(_before.c.status.in_(UNFINISHED)).label("waits_for"),
    ).select_from(
        jobs.outerjoin(libraries, libraries.c.id == jobs.c.library_id)
        .outerjoin(batches, batches.c.id == jobs.c.batch_id)
        .outerjoin(replacements, replacements.c.job_id == jobs.c.id)
    )


def _numbers_before(*only: ColumnElement[bool]) -> ScalarSelect[Any]:
    """The jobs that a job was to come after, as one text."""
    number = cast(dependencies.c.after_id, String)
    return (
        select(func.aggregate_strings(number, " "))
        .join(_before, _before.c.id == dependencies.c.after_id)
        .where(dependencies.c.job_id == jobs.c.id, *only)
        .correlate(jobs)
        .scalar_subquery()
    )


def _read_numbers(text: str | None) -> tuple[JobId, ...]:
    return tuple(sorted(JobId(int(number)) for number in (text or "").split()))


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


def _replacement_of(row: Row[Any]) -> ReplacementInfo | None:
    if row.place_state is None:
        return None
    text, evidence, clip = row.place_record, None, None
    if text is not None and row.place_state == ReplacementState.pending:
        evidence = Replacement.model_validate_json(text).evidence
        if evidence is not None and evidence.clip:
            clip = display(os.path.join(row.place_root, row.place_quarantine, CLIP))
    return ReplacementInfo(
        state=ReplacementState(row.place_state),
        requested=row.place_requested,
        error=row.place_error,
        quarantine=display(os.path.join(row.place_root, row.place_quarantine)),
        original_bytes=row.place_original_bytes,
        result_bytes=row.place_result_bytes,
        kept_until=moment(row.place_kept_until),
        evidence=evidence,
        clip=clip,
    )


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
        batch=row.batch_name,
        scan=None if row.scan_id is None else ScanId(row.scan_id),
        pool=row.pool,
        queue=queue_of(row.priority),
        priority=row.priority,
        created=moment(row.created),
        not_before=moment(row.not_before),
        after=_read_numbers(row.after),
        if_failed=row.if_failed,
        waits_for=_read_numbers(row.waits_for) if row.waits else (),
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
        replacement=_replacement_of(row),
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
        in_place=None if row.in_place is None else InPlace.model_validate_json(row.in_place),
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

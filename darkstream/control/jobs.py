"""What people do with jobs: submit, look, cancel, retry, prioritise."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from darkstream.control.nodes import choose_pool
from darkstream.control.places import absolute_path
from darkstream.control.wing import Wing
from darkstream.control.wishes import resolve_preset
from darkstream.errors import UsageError
from darkstream.model.base import JobId, ScanId
from darkstream.model.job import Job, JobStatus
from darkstream.model.paths import display
from darkstream.model.replacement import ReplacementState
from darkstream.model.wire import SubmitJob


def submit_job(wing: Wing, request: SubmitJob) -> Job:
    """Queue one conversion.

    Raises UsageError for a path that cannot be, UnknownPreset, NotFound where it is to come after a
    job that is not there, and Conflict where the preset demands a GPU that no live worker has
    proved.
    """
    if request.flow_run is not None and request.after:
        raise UsageError("a flow run's own job begins at once: it cannot come after others")
    source, relative, destination = _places(request)
    preset = resolve_preset(wing, request.preset)
    job = wing.catalog.jobs.submit(
        source=source,
        relative=relative,
        destination=destination,
        preset=preset,
        source_bytes=request.source_bytes,
        priority=request.priority,
        not_before=read_moment(request.at),
        pool=choose_pool(preset, wing.catalog.nodes.all()),
        flow_run=request.flow_run,
        after=request.after,
        if_failed=request.if_failed,
    )
    wing.jobs_wake.set()
    return job


def get_job(wing: Wing, job: JobId) -> Job:
    """One job with its latest progress; raises NotFound."""
    return wing.board.overlay(wing.catalog.jobs.get(job))


def find_jobs(
    wing: Wing,
    *,
    status: JobStatus | None,
    library: str | None,
    scan: ScanId | None,
    batch: str | None,
    replacement: ReplacementState | None,
    after: JobId | None,
    limit: int,
) -> list[Job]:
    """Jobs, newest first; those older than `after`, at most `limit`."""
    found = wing.catalog.jobs.find(
        status=status,
        library=library,
        scan=scan,
        batch=batch,
        replacement=replacement,
        after=after,
        limit=limit,
    )
    return [wing.board.overlay(job) for job in found]


def read_log(wing: Wing, job: JobId) -> str:
    """What the tools said during the attempts of a job; raises NotFound."""
    return wing.catalog.jobs.log(job)


def cancel_job(wing: Wing, job: JobId) -> Job:
    """End a waiting job at once; a running one learns of it by its next heartbeat."""
    cancelled = wing.board.overlay(wing.catalog.jobs.cancel(job))
    wing.jobs_wake.set()  # those that wait for it may begin
    return cancelled


def retry_job(wing: Wing, job: JobId) -> Job:
    """Queue an ended job again; raises NotFound, Conflict where it may not be."""
    queued = wing.catalog.jobs.retry(job)
    wing.jobs_wake.set()
    return queued


def prioritise_job(wing: Wing, job: JobId, priority: int) -> Job:
    """Change the priority of a waiting job; raises NotFound, Conflict."""
    return wing.board.overlay(wing.catalog.jobs.prioritise(job, priority))


def _places(request: SubmitJob) -> tuple[bytes, bytes, bytes]:
    source = absolute_path(request.source, request.source_b64, "source")
    relative = os.path.basename(source)
    if relative in {b"", b".", b".."}:
        raise UsageError(f"the source names no file: {display(source)!r}")
    if request.destination is None and request.destination_b64 is None:
        return source, relative, os.path.dirname(source)
    to = absolute_path(request.destination, request.destination_b64, "destination")
    return source, relative, to


def read_moment(at: datetime | None) -> datetime | None:
    """The time a request means, in UTC; raises UsageError for one without a zone."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise UsageError(f"the time {at.isoformat()} has no time zone: write {at.isoformat()}Z")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise UsageError(f"the time {at.isoformat()} is beyond the calendar") from error

"""Routes of jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse

from darkstream.control import jobs
from darkstream.model.base import JobId, ScanId
from darkstream.model.job import Job, JobStatus
from darkstream.model.replacement import ReplacementState
from darkstream.model.wire import Prioritise, SubmitJob
from darkstream.server.requests import After, Id, InWing, Limit, json_body, takes

router = APIRouter(tags=["jobs"])


@router.post("/jobs", status_code=201, openapi_extra=takes(SubmitJob))
def submit_job(wing: InWing, body: Annotated[SubmitJob, Depends(json_body(SubmitJob))]) -> Job:
    """Queue one conversion."""
    return jobs.submit_job(wing, body)


@router.get("/jobs")
def find_jobs(
    wing: InWing,
    status: JobStatus | None = None,
    library: str | None = None,
    scan: Annotated[int | None, Query(ge=1)] = None,
    batch: str | None = None,
    replacement: ReplacementState | None = None,
    after: After = None,
    limit: Limit = 100,
) -> list[Job]:
    """List jobs, newest first; `after` is the last id of the page before."""
    return jobs.find_jobs(
        wing,
        status=status,
        library=library,
        scan=None if scan is None else ScanId(scan),
        batch=batch,
        replacement=replacement,
        after=None if after is None else JobId(after),
        limit=limit,
    )


@router.get("/jobs/{job}")
def get_job(wing: InWing, job: Id) -> Job:
    """Show one job with its progress."""
    return jobs.get_job(wing, JobId(job))


@router.patch("/jobs/{job}", openapi_extra=takes(Prioritise))
def prioritise_job(
    wing: InWing, job: Id, body: Annotated[Prioritise, Depends(json_body(Prioritise))]
) -> Job:
    """Change the priority of a waiting job."""
    return jobs.prioritise_job(wing, JobId(job), body.priority)


@router.get("/jobs/{job}/log", response_class=PlainTextResponse)
def read_log(wing: InWing, job: Id) -> str:
    """Show what the tools said during the attempts of a job."""
    return jobs.read_log(wing, JobId(job))


@router.post("/jobs/{job}/cancel")
def cancel_job(wing: InWing, job: Id) -> Job:
    """Ask a job to end; a running one ends within seconds."""
    return jobs.cancel_job(wing, JobId(job))


@router.post("/jobs/{job}/retry")
def retry_job(wing: InWing, job: Id) -> Job:
    """Queue an ended job again."""
    return jobs.retry_job(wing, JobId(job))

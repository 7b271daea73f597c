"""Routes of results that take the place of their originals: approve, keep, undo."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from darkstream.control import replacements
from darkstream.model.base import JobId, ScanId
from darkstream.model.job import Job
from darkstream.model.wire import (
    JobList,
    Judge,
    ReplacementEnd,
    ReplacementOrders,
    ReplacementReport,
    Undo,
)
from darkstream.server.requests import Id, InWing, json_body, takes

router = APIRouter(tags=["replacements"])
worker_router = APIRouter(prefix="/worker", tags=["worker: jobs"])


@router.post("/jobs/{job}/undo", status_code=202, openapi_extra=takes(Undo))
def undo_job(wing: InWing, job: Id, body: Annotated[Undo, Depends(json_body(Undo))]) -> Job:
    """Ask for the original of a job to be put back; a worker does it within seconds."""
    return replacements.undo_job(wing, JobId(job), body)


@router.post("/jobs/{job}/approve", status_code=202)
def approve_job(wing: InWing, job: Id) -> Job:
    """Ask for a result that waits to be put in its original's place."""
    return replacements.approve_job(wing, JobId(job))


@router.post("/jobs/{job}/keep", status_code=202)
def keep_job(wing: InWing, job: Id) -> Job:
    """Ask for a result that waits to be thrown away; the original stays, and is not done again."""
    return replacements.keep_job(wing, JobId(job))


@router.post("/scans/{scan}/undo", status_code=202, openapi_extra=takes(Undo))
def undo_scan(wing: InWing, scan: Id, body: Annotated[Undo, Depends(json_body(Undo))]) -> JobList:
    """Ask for all originals of a scan's jobs to be put back; the answer names the jobs."""
    return replacements.undo_scan(wing, ScanId(scan), body)


@router.post("/replacements/approve", status_code=202, openapi_extra=takes(Judge))
def approve_all(wing: InWing, body: Annotated[Judge, Depends(json_body(Judge))]) -> JobList:
    """Approve all results that wait, or those of one library; the answer names the jobs."""
    return replacements.approve_all(wing, body)


@router.post("/replacements/keep", status_code=202, openapi_extra=takes(Judge))
def keep_all(wing: InWing, body: Annotated[Judge, Depends(json_body(Judge))]) -> JobList:
    """Throw away all results that wait, or those of one library; the answer names the jobs."""
    return replacements.keep_all(wing, body)


@worker_router.post(
    "/jobs/{job}/replacement", status_code=204, openapi_extra=takes(ReplacementReport)
)
def report_replacement(
    wing: InWing, job: Id, body: Annotated[ReplacementReport, Depends(json_body(ReplacementReport))]
) -> None:
    """Say that an attempt is about to replace its original."""
    replacements.report_replacement(wing, JobId(job), body)


@worker_router.get("/replacements")
def find_orders(wing: InWing) -> ReplacementOrders:
    """Say what is to be done with replacements now."""
    return replacements.find_orders(wing)


@worker_router.post(
    "/replacements/{job}/settled", status_code=204, openapi_extra=takes(ReplacementEnd)
)
def settle_replacement(
    wing: InWing, job: Id, body: Annotated[ReplacementEnd, Depends(json_body(ReplacementEnd))]
) -> None:
    """Say what became of it; the same may be said again."""
    replacements.settle_replacement(wing, JobId(job), body)

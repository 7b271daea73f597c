"""Routes for workers: the walk of a scan."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from darkstream.control import scans
from darkstream.model.base import ScanId
from darkstream.model.library import ScanOrder, ScanSummary
from darkstream.model.wire import (
    Candidates,
    GoOn,
    Listings,
    Reason,
    SampledFiles,
    ScanKeepAlive,
    ScanLines,
    WantedContent,
)
from darkstream.server.requests import Id, InWing, json_body, takes

router = APIRouter(prefix="/worker/scans/{scan}", tags=["worker: scans"])

KeepAlive = Annotated[ScanKeepAlive, Depends(json_body(ScanKeepAlive))]


@router.post("/start", openapi_extra=takes(ScanKeepAlive))
def order_scan(wing: InWing, scan: Id, body: KeepAlive) -> ScanOrder:
    """Begin the walk of a scan."""
    return scans.order_scan(wing, ScanId(scan), body)


@router.post("/alive", openapi_extra=takes(ScanKeepAlive))
def keep_scan(wing: InWing, scan: Id, body: KeepAlive) -> GoOn:
    """Renew a scan; the answer says whether to go on."""
    return GoOn(go_on=scans.keep_scan(wing, ScanId(scan), body))


@router.post("/directories", openapi_extra=takes(Listings))
def list_directories(
    wing: InWing, scan: Id, body: Annotated[Listings, Depends(json_body(Listings))]
) -> Candidates:
    """Send directories that differ; the answer names the files to sample."""
    return Candidates(candidates=scans.list_directories(wing, ScanId(scan), body))


@router.post("/files", openapi_extra=takes(SampledFiles))
def add_files(
    wing: InWing, scan: Id, body: Annotated[SampledFiles, Depends(json_body(SampledFiles))]
) -> WantedContent:
    """Send sampled files; the answer names those to be hashed in full."""
    return WantedContent(paths=scans.add_files(wing, ScanId(scan), body))


@router.post("/lines", status_code=204, openapi_extra=takes(ScanLines))
def add_lines(
    wing: InWing, scan: Id, body: Annotated[ScanLines, Depends(json_body(ScanLines))]
) -> None:
    """Send report lines that need no job."""
    scans.add_lines(wing, ScanId(scan), body)


@router.post("/finish", status_code=204, openapi_extra=takes(ScanSummary))
def finish_scan(
    wing: InWing, scan: Id, body: Annotated[ScanSummary, Depends(json_body(ScanSummary))]
) -> None:
    """Say that the walk is complete."""
    scans.finish_scan(wing, ScanId(scan), body)


@router.post("/fail", status_code=204, openapi_extra=takes(Reason))
def fail_scan(wing: InWing, scan: Id, body: Annotated[Reason, Depends(json_body(Reason))]) -> None:
    """Say that the walk could not be completed."""
    scans.fail_scan(wing, ScanId(scan), body.reason)

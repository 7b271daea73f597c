"""Routes of scans."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from darkstream.control import scans
from darkstream.model.base import ScanId
from darkstream.model.library import Scan
from darkstream.server.answers import json_lines
from darkstream.server.requests import Id, InWing

router = APIRouter(tags=["scans"])


@router.get("/scans/{scan}")
def get_scan(wing: InWing, scan: Id) -> Scan:
    """Show one scan."""
    return scans.get_scan(wing, ScanId(scan))


@router.get("/scans/{scan}/report", response_class=StreamingResponse)
def read_report(wing: InWing, scan: Id) -> StreamingResponse:
    """Show what became of each file: JSON Lines in path order."""
    lines = scans.read_report(wing, ScanId(scan))
    return StreamingResponse(json_lines(lines), media_type="application/jsonl")


@router.post("/scans/{scan}/cancel")
def cancel_scan(wing: InWing, scan: Id) -> Scan:
    """End a scan and cancel the jobs it made."""
    return scans.cancel_scan(wing, ScanId(scan))

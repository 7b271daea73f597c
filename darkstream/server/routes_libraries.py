"""Routes of libraries and their files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from darkstream.control import forecasts, libraries, scans
from darkstream.model.forecast import Forecast
from darkstream.model.library import Library, Scan
from darkstream.model.wire import AddLibrary, LibraryFile, StartScan
from darkstream.server.requests import InWing, Limit, json_body, takes

router = APIRouter(tags=["libraries"])


@router.post("/libraries", status_code=201, openapi_extra=takes(AddLibrary))
def add_library(
    wing: InWing, body: Annotated[AddLibrary, Depends(json_body(AddLibrary))]
) -> Library:
    """Remember a library."""
    return libraries.add_library(wing, body)


@router.get("/libraries")
def list_libraries(wing: InWing) -> list[Library]:
    """List all libraries."""
    return libraries.list_libraries(wing)


@router.get("/libraries/{name}")
def get_library(wing: InWing, name: str) -> Library:
    """Show one library; its paths are base64."""
    return libraries.get_library(wing, name)


@router.delete("/libraries/{name}", status_code=204)
def remove_library(wing: InWing, name: str) -> None:
    """Forget a library, never its files."""
    libraries.remove_library(wing, name)


@router.get("/libraries/{name}/files")
def list_files(
    wing: InWing,
    name: str,
    after: str | None = None,
    after_b64: str | None = None,
    limit: Limit = 100,
) -> list[LibraryFile]:
    """List the files of a library in path order; `after` is the last path of the page before."""
    return libraries.list_files(wing, name, after=after, after_b64=after_b64, limit=limit)


@router.get("/libraries/{name}/forecast")
def forecast_library(wing: InWing, name: str) -> Forecast:
    """Say when the work on a library will probably be done, and what it saves."""
    return forecasts.forecast_library(wing, name)


@router.post("/libraries/{name}/scans", status_code=201, openapi_extra=takes(StartScan))
def start_scan(
    wing: InWing, name: str, body: Annotated[StartScan, Depends(json_body(StartScan))]
) -> Scan:
    """Look over a library, and convert what needs it."""
    return scans.start_scan(wing, name, body)

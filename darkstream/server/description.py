"""The API's description: OpenAPI 3.1 with examples, and a page of it that needs no network."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic.json_schema import models_json_schema

from darkstream import __version__
from darkstream.model.analyses import (
    AnalysisEnd,
    AnalysisPulse,
    AnalysisResults,
    AnalysisWorker,
    StartAnalysis,
)
from darkstream.model.film import ChunkEnd, ChunkPulse, ChunkRequest, NextChunk, OpenFilm
from darkstream.model.library import ScanSummary
from darkstream.model.node import PauseNode
from darkstream.model.wire import (
    AddLibrary,
    AddToBatch,
    ClaimRequest,
    Commit,
    Heartbeat,
    Judge,
    Listings,
    NodeReport,
    PlanReport,
    Prioritise,
    Problem,
    Reason,
    Release,
    ReplacementEnd,
    ReplacementReport,
    SampledFiles,
    SavePreset,
    ScanKeepAlive,
    ScanLines,
    StartScan,
    SubmitJob,
    TargetRequest,
    Undo,
)
from darkstream.server.examples import EXAMPLES

_BODIES = (
    AddLibrary,
    AddToBatch,
    AnalysisEnd,
    AnalysisPulse,
    AnalysisResults,
    AnalysisWorker,
    ChunkEnd,
    ChunkPulse,
    ChunkRequest,
    ClaimRequest,
    Commit,
    Heartbeat,
    Judge,
    Listings,
    NextChunk,
    NodeReport,
    OpenFilm,
    PauseNode,
    PlanReport,
    Prioritise,
    Problem,
    Reason,
    Release,
    ReplacementEnd,
    ReplacementReport,
    SampledFiles,
    SavePreset,
    ScanKeepAlive,
    ScanLines,
    ScanSummary,
    StartAnalysis,
    StartScan,
    SubmitJob,
    TargetRequest,
    Undo,
)
"""Models that FastAPI does not see, because `requests.json_body` reads them."""

_ABOUT = (
    "Convert video libraries. Paths are absolute; where a path is not valid UTF-8, a field with "
    "the ending `_b64` holds its exact bytes as base64. Errors are problem details (RFC 9457)."
)

PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": meaning,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    for status, meaning in (("4XX", "What was asked cannot be."), ("5XX", "The server failed."))
}


def describe(app: FastAPI) -> None:
    """Give an app its `/openapi.json` and `/docs`."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way

    @app.get("/openapi.json", include_in_schema=False)
    def description() -> JSONResponse:
        """Give the whole description."""
        return JSONResponse(app.openapi())

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        """Show the routes as a plain page."""
        return HTMLResponse(_page(app.openapi()))


def _build(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title="DarkStream",
        version=__version__,
        description=_ABOUT,
        routes=app.routes,
        servers=[{"url": "/api/v1"}],
        separate_input_output_schemas=False,
    )
    _, bodies = models_json_schema(
        [(model, "validation") for model in _BODIES],
        ref_template="#/components/schemas/{model}",
    )
    known = schema.setdefault("components", {}).setdefault("schemas", {})
    for name, body in bodies["$defs"].items():
        known.setdefault(name, body)
    for example in EXAMPLES:
        known[type(example).__name__]["examples"] = [example.model_dump(mode="json")]
    return schema


def _page(schema: dict[str, Any]) -> str:
    rows = "\n".join(
        f"<tr><td><code>{method.upper()}</code></td><td><code>/api/v1{escape(path)}</code></td>"
        f"<td>{escape(route.get('description', ''))}</td></tr>"
        for path, routes in schema["paths"].items()
        for method, route in routes.items()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>DarkStream API</title>"
        "<style>body{font:16px system-ui;margin:2rem;max-width:70rem}td{padding:.3rem 1rem .3rem 0;"
        "vertical-align:top}</style>"
        f"<h1>DarkStream API {escape(schema['info']['version'])}</h1>"
        f"<p>{escape(schema['info']['description'])}</p>"
        "<p>The whole description, with every field and examples: "
        "<a href=openapi.json>openapi.json</a> (OpenAPI 3.1).</p>"
        f"<table>{rows}</table></html>"
    )

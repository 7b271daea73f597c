"""Routes of analyses: what is in files and folders that workers see."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from darkstream.control import analyses
from darkstream.model.analyses import (
    AnalysisEnd,
    AnalysisOrder,
    AnalysisProgress,
    AnalysisPulse,
    AnalysisResults,
    AnalysisRun,
    AnalysisWorker,
    StartAnalysis,
)
from darkstream.model.base import AnalysisId
from darkstream.model.wire import GoOn
from darkstream.server.answers import text_lines
from darkstream.server.requests import After, Id, InWing, Limit, json_body, takes

router = APIRouter(tags=["analyses"])
worker_router = APIRouter(prefix="/worker/analyses/{analysis}", tags=["worker: analyses"])

_LINES = {
    "description": "One object a file, in the order they were met; as `darkstream analyze --json`.",
    "content": {"application/jsonl": {"schema": {"$ref": "#/components/schemas/Analysis"}}},
}


@router.post("/analyses", status_code=202, openapi_extra=takes(StartAnalysis))
def start_analysis(
    wing: InWing, body: Annotated[StartAnalysis, Depends(json_body(StartAnalysis))]
) -> AnalysisRun:
    """Have files and folders analysed by a worker."""
    return analyses.start_analysis(wing, body)


@router.get("/analyses")
def find_analyses(wing: InWing, after: After = None, limit: Limit = 100) -> list[AnalysisRun]:
    """List analyses, newest first, each with its first three paths.

    `after` is the last id of the page before.
    """
    last = None if after is None else AnalysisId(after)
    return analyses.find_analyses(wing, after=last, limit=limit)


@router.get("/analyses/{analysis}")
def get_analysis(wing: InWing, analysis: Id) -> AnalysisRun:
    """Show an analysis with all its paths, and how far it is."""
    return analyses.get_analysis(wing, AnalysisId(analysis))


@router.get("/analyses/{analysis}/progress")
def get_progress(wing: InWing, analysis: Id) -> AnalysisProgress:
    """Show how far an analysis is: small, to be asked again and again."""
    return analyses.get_progress(wing, AnalysisId(analysis))


@router.get(
    "/analyses/{analysis}/results", response_class=StreamingResponse, responses={200: _LINES}
)
def read_results(wing: InWing, analysis: Id) -> StreamingResponse:
    """Show what was found in each file so far: JSON Lines."""
    lines = analyses.read_results(wing, AnalysisId(analysis))
    return StreamingResponse(text_lines(lines), media_type="application/jsonl")


@router.delete("/analyses/{analysis}", status_code=204)
def remove_analysis(wing: InWing, analysis: Id) -> None:
    """Forget an analysis; one that is under way ends. After seven days all are forgotten."""
    analyses.remove_analysis(wing, AnalysisId(analysis))


@worker_router.post("/start", openapi_extra=takes(AnalysisWorker))
def order_analysis(
    wing: InWing, analysis: Id, body: Annotated[AnalysisWorker, Depends(json_body(AnalysisWorker))]
) -> AnalysisOrder:
    """Begin an analysis."""
    return analyses.order_analysis(wing, AnalysisId(analysis), body)


@worker_router.post("/alive", openapi_extra=takes(AnalysisPulse))
def keep_analysis(
    wing: InWing, analysis: Id, body: Annotated[AnalysisPulse, Depends(json_body(AnalysisPulse))]
) -> GoOn:
    """Renew an analysis; the answer says whether to go on."""
    return GoOn(go_on=analyses.keep_analysis(wing, AnalysisId(analysis), body))


@worker_router.post("/results", openapi_extra=takes(AnalysisResults))
def add_results(
    wing: InWing,
    analysis: Id,
    body: Annotated[AnalysisResults, Depends(json_body(AnalysisResults))],
) -> GoOn:
    """Send results; the same may be sent again. The answer says whether to go on."""
    return GoOn(go_on=analyses.add_results(wing, AnalysisId(analysis), body))


@worker_router.post("/release", status_code=204, openapi_extra=takes(AnalysisWorker))
def release_analysis(
    wing: InWing, analysis: Id, body: Annotated[AnalysisWorker, Depends(json_body(AnalysisWorker))]
) -> None:
    """Give an analysis back before its end: another worker begins it anew."""
    analyses.release_analysis(wing, AnalysisId(analysis), body)


@worker_router.post("/end", status_code=204, openapi_extra=takes(AnalysisEnd))
def finish_analysis(
    wing: InWing, analysis: Id, body: Annotated[AnalysisEnd, Depends(json_body(AnalysisEnd))]
) -> None:
    """Say that there are no more results, and why where some are missing."""
    analyses.finish_analysis(wing, AnalysisId(analysis), body)

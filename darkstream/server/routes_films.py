"""Routes for workers that encode one film together."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from darkstream.control import films
from darkstream.model.base import DispatchId, JobId
from darkstream.model.film import (
    ChunkAnswer,
    ChunkClaim,
    ChunkEnd,
    ChunkPulse,
    ChunkRequest,
    ChunkTurn,
    NextChunk,
    OpenFilm,
)
from darkstream.server.requests import Id, InWing, json_body, takes

router = APIRouter(prefix="/worker", tags=["worker: films"])


@router.post("/jobs/{job}/film", status_code=204, openapi_extra=takes(OpenFilm))
def open_film(
    wing: InWing, job: Id, body: Annotated[OpenFilm, Depends(json_body(OpenFilm))]
) -> None:
    """Let others help with the chunks of a running job."""
    films.open_film(wing, JobId(job), body)


@router.post("/jobs/{job}/film/next", openapi_extra=takes(NextChunk))
def next_chunk(
    wing: InWing, job: Id, body: Annotated[NextChunk, Depends(json_body(NextChunk))]
) -> ChunkTurn:
    """Say what is finished of a film; the answer is what its leader does next."""
    return films.next_chunk(wing, JobId(job), body)


@router.post(
    "/dispatches/{dispatch}/chunk",
    response_model=ChunkClaim,
    responses={204: {"description": "No chunk is left for this helper."}},
    openapi_extra=takes(ChunkRequest),
)
def claim_chunk(
    wing: InWing, dispatch: Id, body: Annotated[ChunkRequest, Depends(json_body(ChunkRequest))]
) -> ChunkClaim | Response:
    """Take the next chunk of the film a dispatch helps with."""
    claim = films.claim_chunk(wing, DispatchId(dispatch), body)
    return Response(status_code=204) if claim is None else claim


@router.post("/chunks/beat", openapi_extra=takes(ChunkPulse))
def renew_chunk(
    wing: InWing, body: Annotated[ChunkPulse, Depends(json_body(ChunkPulse))]
) -> ChunkAnswer:
    """Renew the lease of a chunk."""
    return films.renew_chunk(wing, body)


@router.post("/chunks/end", status_code=204, openapi_extra=takes(ChunkEnd))
def end_chunk(wing: InWing, body: Annotated[ChunkEnd, Depends(json_body(ChunkEnd))]) -> None:
    """Say what became of a chunk."""
    films.end_chunk(wing, body)

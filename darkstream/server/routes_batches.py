"""Routes of batches."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from darkstream.control import batches
from darkstream.model.base import BatchId
from darkstream.model.batch import Batch
from darkstream.model.wire import AddToBatch, BatchAddition
from darkstream.server.requests import After, InWing, Limit, json_body, takes

router = APIRouter(tags=["batches"])

Name = Annotated[str, Path(description="The name of the batch.")]


@router.get("/batches")
def find_batches(wing: InWing, after: After = None, limit: Limit = 100) -> list[Batch]:
    """List batches, newest first; `after` is the last id of the page before."""
    last = None if after is None else BatchId(after)
    return batches.find_batches(wing, after=last, limit=limit)


@router.get("/batches/{name}")
def get_batch(wing: InWing, name: Name) -> Batch:
    """Show how far a batch is; `GET /jobs?batch=` lists its jobs."""
    return batches.get_batch(wing, name)


@router.post("/batches/{name}/files", status_code=201, openapi_extra=takes(AddToBatch))
def add_to_batch(
    wing: InWing, name: Name, body: Annotated[AddToBatch, Depends(json_body(AddToBatch))]
) -> BatchAddition:
    """Add files to a batch, which is made where there is none of that name."""
    return batches.add_to_batch(wing, name, body)


@router.post("/batches/{name}/cancel")
def cancel_batch(wing: InWing, name: Name) -> Batch:
    """Cancel all jobs of a batch that have not ended."""
    return batches.cancel_batch(wing, name)


@router.post("/batches/{name}/retry")
def retry_batch(wing: InWing, name: Name) -> Batch:
    """Queue the jobs of a batch again that failed or were cancelled."""
    return batches.retry_batch(wing, name)

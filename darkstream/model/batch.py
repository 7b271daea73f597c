"""A batch: files that somebody asked for together, and follows together."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from darkstream.model.base import BatchId, Frozen
from darkstream.model.job import JobStatus


class Batch(Frozen):
    """Jobs under one name; it ends when all of them have, and again after a retry."""

    id: BatchId
    name: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    """Its end is `failed` where a job failed, else `cancelled` where one was, else `done`."""
    created: datetime
    ended: datetime | None = None
    jobs: int
    counts: dict[JobStatus, int]
    """How many jobs are in each state; those that none is in are left out."""
    done: float
    """The share that is through, 0 to 1, by the estimated work."""
    eta_s: float | None = None
    """At the pace of its jobs so far; None until one has been worked on."""
    source_bytes: int = 0
    """Of the files that were converted; `output_bytes` is what they became."""
    output_bytes: int = 0

"""What leaders and helpers of films do: open, next, claim, renew, end."""

from __future__ import annotations

from darkstream.control.wing import Wing
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


def open_film(wing: Wing, job: JobId, request: OpenFilm) -> None:
    """Let others help with a job; raises LeaseLost, Conflict."""
    wing.catalog.films.open(job, request)
    wing.jobs_wake.set()


def next_chunk(wing: Wing, job: JobId, request: NextChunk) -> ChunkTurn:
    """What the leader of a film does next; raises LeaseLost."""
    return wing.catalog.films.next(job, request)


def claim_chunk(wing: Wing, dispatch: DispatchId, request: ChunkRequest) -> ChunkClaim | None:
    """The next chunk for a helper; None when none is left for it."""
    return wing.catalog.films.claim(dispatch, request)


def renew_chunk(wing: Wing, pulse: ChunkPulse) -> ChunkAnswer:
    """Renew the lease of a helper."""
    return wing.catalog.films.beat(pulse)


def end_chunk(wing: Wing, end: ChunkEnd) -> None:
    """Take the word of a helper about its chunk."""
    wing.catalog.films.end(end)

"""A film whose chunks several workers encode: one leads it, others help."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import Field

from darkstream.model.base import DispatchId, FencingToken, Frozen, JobId, NodeName
from darkstream.model.job import ContentKey
from darkstream.model.node import PauseKind
from darkstream.model.source import ChangeHint

Number = Annotated[int, Field(ge=0, le=1_000_000)]
"""A chunk's index in the plan."""
Numbers = Annotated[tuple[Number, ...], Field(max_length=100_000)]


class SameFilm(Frozen):
    """What a helper must find on its own machine, so that its chunks are those of the film.

    `mark`: the name of a file beside the finished chunks; `sample`: xxh3 of the source.
    """

    key: ContentKey
    mark: str = Field(max_length=64)
    hint: ChangeHint
    sample: str = Field(max_length=64)


class OpenFilm(Frozen):
    """Lets others help with the plan that was reported last; `done`: chunks that are there."""

    token: FencingToken
    film: SameFilm
    done: Numbers = ()


class NextChunk(Frozen):
    """Asks for the next chunk to encode; `done`: all that this worker found or encoded.

    `missing`: what others said to have finished, and is not there.
    """

    token: FencingToken
    done: Numbers = ()
    missing: Numbers = ()


class ChunkTurn(Frozen):
    """What the leader of a film does next: encode `number`, take what others `finished`, or wait.

    `elsewhere`: what others encode now. Nothing of all: no chunk is left, as far as the server
    knows.
    """

    number: Number | None = None
    finished: Numbers = ()
    elsewhere: Numbers = ()


class ChunkRequest(Frozen):
    """The next chunk to help with; asked again with the same `id` it gets the same answer."""

    id: str = Field(default_factory=lambda: uuid.uuid4().hex, min_length=1, max_length=64)
    node: NodeName
    pools: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Those that the node serves: its slot is wanted where a job waits in one of them."""


class ChunkClaim(Frozen):
    """One chunk given to one helper: valid while its token is the newest; paths absolute.

    `leader` is the token of the attempt that leads the film: another one counts chunks anew.
    """

    job: JobId
    leader: FencingToken
    number: Number
    token: FencingToken
    source: bytes
    destination: bytes
    film: SameFilm
    plan: dict[str, Any]
    heartbeat_s: float


class ChunkLease(Frozen):
    """Which chunk a helper holds."""

    dispatch: DispatchId
    job: JobId
    leader: FencingToken
    number: Number
    token: FencingToken


class ChunkPulse(Frozen):
    """Renews a helper's lease."""

    node: NodeName
    lease: ChunkLease


class ChunkAnswer(Frozen):
    """Whether the chunk is still the sender's, and how its node is to rest."""

    lost: bool = False
    rest: PauseKind | None = None


ChunkOutcome = Literal["done", "failed", "unfit", "released"]
"""`failed`: the leader does it itself. After that, and where it is `unfit`, this node helps no more
with the film."""


class ChunkEnd(Frozen):
    """What became of a chunk, by the word of its helper."""

    node: NodeName
    lease: ChunkLease
    outcome: ChunkOutcome
    reason: str = ""

"""The helper's side of a film that several workers encode: chunk by chunk, each leased."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from darkstream.errors import Cancelled, DarkstreamError, LeaseLost, NodePaused, SourceError
from darkstream.library.identity import identify, sample, stat_hint, unchanged
from darkstream.media.chunks import encode_chunk
from darkstream.model.base import DispatchId
from darkstream.model.film import (
    ChunkClaim,
    ChunkEnd,
    ChunkLease,
    ChunkOutcome,
    ChunkPulse,
    ChunkRequest,
)
from darkstream.model.paths import display
from darkstream.model.plan import Chunk, EncodePlan
from darkstream.model.source import ChangeHint
from darkstream.observe.cancel import CancelToken
from darkstream.stages.patience import outlast
from darkstream.stages.pulse import Pulse
from darkstream.stages.toolbox import Toolbox
from darkstream.storage.chunks import ChunkStore
from darkstream.storage.faults import storage_faults
from darkstream.storage.parts import occupy

_FAREWELL_S = 2.0


class Helping:
    """One chunk of another's film on its way; `str()` of it is what Prefect's pages show."""

    def __init__(self, claim: ChunkClaim, dispatch: DispatchId, tools: Toolbox) -> None:
        self.claim = claim
        self.lease = ChunkLease(
            dispatch=dispatch,
            job=claim.job,
            leader=claim.leader,
            number=claim.number,
            token=claim.token,
        )
        self.tools = tools
        self.cancel = CancelToken()
        self._busy = threading.Lock()

    def __str__(self) -> str:
        """The chunk and its film."""
        return f"chunk {self.claim.number} of {display(self.claim.source)}"

    @contextmanager
    def work(self) -> Iterator[None]:
        """Do the work, of which `stop` awaits the end; raises what it was cancelled with before."""
        with self._busy:
            self.cancel.check()
            yield

    def stop(self, reason: str, *, within_s: float) -> bool:
        """End the work; whether it ended in time."""
        self.cancel.cancel(Cancelled(reason))
        ended = self._busy.acquire(timeout=within_s)
        if ended:
            self._busy.release()
        return ended


def claim_chunk(tools: Toolbox, dispatch: DispatchId) -> Helping | None:
    """The next chunk that a dispatch helps with; None when none is left for this node."""
    request = ChunkRequest(node=tools.node, pools=tools.settings.worker.pools)
    claim = outlast(lambda: tools.client.claim_chunk(dispatch, request))
    return None if claim is None else Helping(claim, dispatch, tools)


def keep_chunk(helping: Helping) -> Pulse:
    """A context that keeps the lease of a chunk alive in a thread, as that of a job is kept."""

    def renew() -> None:
        tools = helping.tools
        answer = tools.client.renew_chunk(ChunkPulse(node=tools.node, lease=helping.lease))
        if answer.lost:
            helping.cancel.cancel(LeaseLost(f"{helping} is not this worker's any more"))
        if answer.rest == "hard":
            helping.cancel.cancel(NodePaused(f"the node {tools.node} was paused"))

    return Pulse(renew, helping.claim.heartbeat_s, name="chunk lease")


def finish_chunk(helping: Helping) -> None:
    """Say that it is done, however long the server is away; raises LeaseLost."""
    end = _end(helping, "done", "")
    outlast(lambda: helping.tools.client.end_chunk(end), helping.cancel)


def leave_chunk(helping: Helping, outcome: ChunkOutcome, reason: str) -> None:
    """Say why it is not done; where nobody listens, its lease runs out."""
    end = _end(helping, outcome, reason)
    with suppress(DarkstreamError):
        outlast(lambda: helping.tools.client.end_chunk(end), at_most_s=_FAREWELL_S)


def _end(helping: Helping, outcome: ChunkOutcome, reason: str) -> ChunkEnd:
    return ChunkEnd(node=helping.tools.node, lease=helping.lease, outcome=outcome, reason=reason)


def help_out(helping: Helping) -> str | None:
    """Encode the chunk and lay it beside the others; why not, where this node cannot help.

    One that is there already is left. Raises IndexDiffers, ProcessFailed, ProcessTimeout,
    SourceChanged, SourceVanished, StorageFull, StorageError, and what `helping` was cancelled with.
    """
    claim, tools = helping.claim, helping.tools
    plan = EncodePlan.model_validate(claim.plan)
    store = ChunkStore(claim.destination, claim.film.key)
    try:
        hint = stat_hint(claim.source)
        why = _find_misfit(helping, plan, store, hint)
    except SourceError as error:
        why = str(error)
    if why is not None:
        return why
    chunk = _chunk_of(plan, claim.number)
    if store.find((chunk,), len(plan.renditions), helping.cancel):
        return None
    decoder = tools.decoder(helping.cancel)
    with _room(helping) as directory, storage_faults(directory):
        work = os.path.join(directory, b"chunk")
        with unchanged(claim.source, hint):
            made = encode_chunk(plan, chunk, claim.source, work, decoder, lambda _: None)
        store.keep(work, made, helping.cancel, mark=claim.film.mark)
    return None


def _find_misfit(
    helping: Helping, plan: EncodePlan, store: ChunkStore, hint: ChangeHint
) -> str | None:
    """Why what this node would make is not a chunk of that film; raises SourceError."""
    claim, film = helping.claim, helping.claim.film
    build = helping.tools.capabilities.build
    if build != plan.build:
        return f"its ffmpeg is {build}, and the film's is {plan.build}"
    if not store.has_mark(film.mark):
        return f"{display(claim.destination)} is not the leader's directory on this node"
    other = f"{display(claim.source)} is another file on this node"
    if hint.size != film.hint.size or sample(claim.source) != film.sample:
        return other
    if hint == film.hint:
        return None
    # Perhaps a copy, perhaps the same by another file system: then only its content tells.
    known = helping.tools.contents
    if claim.source not in known or known[claim.source][0] != hint:
        known[claim.source] = hint, identify(claim.source, helping.cancel).content
    return None if known[claim.source][1] == film.key.content else other


def _chunk_of(plan: EncodePlan, number: int) -> Chunk:
    if plan.chunking is None:
        raise ValueError("the plan has no chunks")
    return next(chunk for chunk in plan.chunking.chunks if chunk.index == number)


@contextmanager
def _room(helping: Helping) -> Iterator[bytes]:
    """A directory of its own below the work directory, locked while it is there."""
    lease = helping.lease
    name = f"chunk-{lease.job}-{lease.number}-{lease.leader}-{lease.token}"
    path = os.fsencode(helping.tools.settings.work_directory / name)
    with storage_faults(path):
        descriptor = occupy(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)

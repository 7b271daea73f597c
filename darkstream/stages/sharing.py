"""The leader's side of a film that several workers encode: what it does next, and what others did.

Only a hint to the server and to helpers: without either the leader encodes all chunks itself.
"""

from __future__ import annotations

import time

import structlog

from darkstream.errors import DarkstreamError, LeaseLost
from darkstream.model.encoded import EncodedChunk
from darkstream.model.film import ChunkTurn, NextChunk, OpenFilm, SameFilm
from darkstream.model.plan import Chunk, EncodePlan, VideoEncode
from darkstream.stages.attempt import Attempt
from darkstream.storage.chunks import ChunkStore

log = structlog.get_logger(__name__)

_LEAST = 3
"""Of fewer chunks the leader has done its own before a helper has begun."""
_LOOK_S = 1.0
_PATIENCE_S = 120.0
_PATIENCE = 3.0
"""A chunk that takes others so many times what the leader's slowest one took is not waited for."""


class Sharing:
    """Which chunk the leader of a film encodes next.

    `found` are the chunks that are there, by index; those of others are added to it.
    """

    def __init__(
        self, attempt: Attempt, plan: EncodePlan, store: ChunkStore, found: dict[int, EncodedChunk]
    ) -> None:
        if plan.chunking is None:
            raise ValueError("the plan has no chunks")
        self.found = found
        self.helped = 0
        """Chunks that others finished meanwhile."""
        self._attempt = attempt
        self._store = store
        self._renditions = len(plan.renditions)
        # The longest first: so the end does not wait long for a single one.
        self._chunks = sorted(plan.chunking.chunks, key=lambda one: (-one.pictures, one.index))
        self._elsewhere: tuple[int, ...] = ()
        self._missing: tuple[int, ...] = ()
        self._mark: str | None = None
        self._is_open = False
        self._shares = self._is_worth_it(plan)
        self._given: float | None = None
        self._slowest_s = 0.0

    def next(self) -> Chunk | None:
        """The chunk to encode now; None once all are there. Waits for those that others encode.

        But not for ever: one that hangs elsewhere is encoded here as well. Raises LeaseLost,
        StorageError, and what the attempt was cancelled with.
        """
        now = time.monotonic()
        if self._given is not None:
            self._slowest_s = max(self._slowest_s, now - self._given)
        patient_until = now + max(_PATIENCE_S, _PATIENCE * self._slowest_s)
        while left := [chunk for chunk in self._chunks if chunk.index not in self.found]:
            chosen = self._choose(left, hurry=time.monotonic() > patient_until)
            if chosen is not None and not self._take((chosen.index,)):
                self._given = time.monotonic()
                return chosen
            if chosen is None and self._attempt.cancel.wait(_LOOK_S):
                self._attempt.cancel.check()
        return None

    def _choose(self, left: list[Chunk], *, hurry: bool) -> Chunk | None:
        """What to encode of what is not there, as far as anybody knows; None: wait for others."""
        turn = self._ask() if self._shares else None
        if turn is None:
            # Others may well be at those, or through: each is looked for before it is encoded.
            elsewhere = frozenset(self._elsewhere)
            return next((one for one in left if one.index not in elsewhere), left[0])
        if turn.finished:
            got = self._take(turn.finished)
            self._missing = tuple(number for number in turn.finished if number not in got)
        if turn.number is not None:
            return next(chunk for chunk in self._chunks if chunk.index == turn.number)
        if hurry or not (turn.finished or turn.elsewhere):
            return next((one for one in left if one.index not in self.found), None)
        return None

    def _is_worth_it(self, plan: EncodePlan) -> bool:
        encodes = [one for one in plan.renditions if isinstance(one, VideoEncode)]
        if any(one.hardware or one.hwaccel for one in encodes):
            return False  # another machine's GPU may make other pictures
        return len(self._chunks) - len(self.found) >= _LEAST

    def _ask(self) -> ChunkTurn | None:
        """The server's word; None where it gives none: the encode goes on without it."""
        client, job = self._attempt.tools.client, self._attempt.claim.job
        done = tuple(sorted(self.found))
        request = NextChunk(token=self._attempt.claim.token, done=done, missing=self._missing)
        try:
            if not self._is_open:
                client.open_film(job, self._invitation(done))
                self._is_open = True
            turn = client.next_chunk(job, request)
        except LeaseLost:
            raise
        except DarkstreamError as error:
            log.warning("film_not_shared", job=job, reason=str(error))
            return None
        self._missing, self._elsewhere = (), turn.elsewhere
        return turn

    def _invitation(self, done: tuple[int, ...]) -> OpenFilm:
        attempt = self._attempt
        if attempt.source is None or attempt.identity is None or attempt.key is None:
            raise ValueError("only a plan of a source that was identified is shared")
        if self._mark is None:
            self._mark = self._store.mark()
        same = SameFilm(
            key=attempt.key,
            mark=self._mark,
            hint=attempt.source.hint,
            sample=attempt.identity.sample,
        )
        return OpenFilm(token=attempt.claim.token, film=same, done=done)

    def _take(self, numbers: tuple[int, ...]) -> frozenset[int]:
        """Those of some chunks that others laid there."""
        wanted = [chunk for chunk in self._chunks if chunk.index in numbers]
        got = self._store.find(wanted, self._renditions, self._attempt.cancel)
        self.found.update(got)
        self.helped += len(got)
        self._attempt.helped_s += sum(chunk.cpu_s for chunk in got.values())
        return frozenset(got)

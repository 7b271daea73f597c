"""A film in parts: what others finished is taken, the rest is encoded, the longest first."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

from darkstream.errors import NodePaused
from darkstream.library.identity import unchanged
from darkstream.media.chunks import Joint, encode_chunk, join_chunks
from darkstream.media.process import FfmpegProgress
from darkstream.model.encoded import Assembled, EncodedChunk
from darkstream.model.job import ContentKey
from darkstream.model.plan import Chunk, Chunking, EncodePlan
from darkstream.planning.estimates import outgrows
from darkstream.stages.attempt import Attempt
from darkstream.stages.sharing import Sharing
from darkstream.stages.soundtrack import SoundBeside, clear_sound
from darkstream.storage.chunks import ChunkStore
from darkstream.storage.faults import storage_faults

_CHUNK, _JOINED = b"chunk", b"joined"


def encode_in_chunks(
    attempt: Attempt, plan: EncodePlan, source: bytes, directory: bytes
) -> Assembled | None:
    """The video of a plan that has chunks, and its sound where that can be encoded beside them.

    None once it is clear that it would not be small enough. Raises IndexDiffers, ProcessFailed,
    ProcessTimeout, StorageFull, StorageError, SourceChanged, SourceVanished, LeaseLost, and what
    the attempt was cancelled with.
    """
    if plan.chunking is None or attempt.key is None or attempt.source is None:
        raise ValueError("the plan has no chunks, or its source was not found")
    store = ChunkStore(attempt.claim.destination, attempt.key)
    decoder = attempt.tools.decoder(attempt.cancel)
    found = store.find(plan.chunking.chunks, len(plan.renditions), attempt.cancel)
    known, encoded = len(found), 0
    sharing = Sharing(attempt, plan, store, found)
    work = os.path.join(directory, _CHUNK)
    with SoundBeside(attempt, plan, store, source, directory) as sound:
        while (chunk := sharing.next()) is not None:
            if _outgrows(attempt, plan, found):
                return None
            _rest(attempt)
            sound.check()
            watch = _Watch(attempt, plan.chunking, chunk, found, known)
            with storage_faults(directory), unchanged(source, attempt.source.hint):
                made = encode_chunk(plan, chunk, source, work, decoder, watch)
            found[chunk.index] = store.keep(work, made, attempt.cancel)
            encoded += 1
            shutil.rmtree(work, ignore_errors=True)
        if _outgrows(attempt, plan, found):
            return None
        joints = [
            Joint(found[chunk.index], store.paths(found[chunk.index]))
            for chunk in plan.chunking.chunks
        ]
        with storage_faults(directory):
            joined = os.path.join(directory, _JOINED)
            made_of = join_chunks(plan, joints, joined, decoder, encoded=encoded)
        attempt.note_wait()
        more = {"helped": sharing.helped, "soundtrack": sound.take()}
    return made_of.model_copy(update=more)


def forget_chunks(attempt: Attempt) -> None:
    """Remove the chunks of a job that has ended well, or whose output was not what was planned."""
    key: ContentKey | None = attempt.key
    if key is not None:
        ChunkStore(attempt.claim.destination, key).remove()


def clear_parts(directory: bytes) -> None:
    """Remove the joined video and the sound, once they are in the output."""
    clear_sound(directory)
    shutil.rmtree(os.path.join(directory, _JOINED), ignore_errors=True)


class _Watch:
    """Progress of one chunk as that of the whole film."""

    def __init__(
        self,
        attempt: Attempt,
        chunking: Chunking,
        chunk: Chunk,
        found: dict[int, EncodedChunk],
        known: int,
    ) -> None:
        self._attempt = attempt
        self._finished = len(found) - known
        self._done = sum(one.pictures for one in chunking.chunks if one.index in found)
        self._pictures = sum(one.pictures for one in chunking.chunks)
        self._chunk = chunk

    def __call__(self, seen: FfmpegProgress) -> None:
        done = self._done + min(seen.frame or 0, self._chunk.pictures)
        self._attempt.note_pictures(replace(seen, frame=done), self._pictures, self._finished)


def _rest(attempt: Attempt) -> None:
    """Give the job back between two chunks where this node is to rest."""
    if attempt.rest == "soft":
        reason = f"the node {attempt.tools.node} rests: it goes on with the next chunk elsewhere"
        attempt.cancel.cancel(NodePaused(reason))
        attempt.cancel.check()


def _outgrows(attempt: Attempt, plan: EncodePlan, found: dict[int, EncodedChunk]) -> bool:
    """Whether the chunks so far say that the output becomes larger than the plan allows."""
    if plan.smaller_by is None or plan.chunking is None or attempt.source is None or not found:
        return False
    allowed = int(attempt.source.hint.size * (1 - plan.smaller_by))
    pictures = {chunk.index: chunk.pictures for chunk in plan.chunking.chunks}
    done = sum(pictures[index] for index in found) / sum(pictures.values())
    size = sum(file.size for chunk in found.values() for file in chunk.files)
    return outgrows(size, done, allowed)

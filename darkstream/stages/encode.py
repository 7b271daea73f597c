"""Encoding: what the plan says, from a source that stayed the same."""

from __future__ import annotations

from darkstream.errors import SourceVanished
from darkstream.library.identity import unchanged
from darkstream.media import encode as media
from darkstream.media.faults import hardware_faults
from darkstream.model.encoded import Encoded
from darkstream.model.plan import EncodePlan
from darkstream.stages.attempt import Attempt
from darkstream.stages.chunks import clear_parts, encode_in_chunks
from darkstream.stages.keys import content_key
from darkstream.storage.faults import storage_faults


def encode(attempt: Attempt, plan: EncodePlan, directory: bytes) -> Encoded:
    """Encode into a directory (absolute, existing).

    Raises SourceChanged or SourceVanished where the source did not stay, whatever ffmpeg made of
    it; HardwareFailed, IndexDiffers, ProcessFailed, ProcessTimeout, SourceRejected,
    VerificationFailed, StorageFull, KeyUnavailable, and what the attempt was cancelled with.
    """
    tools = attempt.tools
    if attempt.source is None:
        raise SourceVanished("the source was not found")
    source = attempt.source
    content_key(attempt, plan)  # before the work, not after it
    with unchanged(source.path, source.hint), storage_faults(directory), hardware_faults(plan):
        if plan.chunking is not None:
            return _encode_chunked(attempt, plan, source.path, directory)
        return media.encode(
            plan,
            source.path,
            directory,
            capabilities=tools.capabilities,
            sandbox=tools.sandbox,
            limits=tools.limits,
            max_pixels=tools.settings.media.max_pixels,
            threads=tools.settings.worker.threads,
            fonts=tools.settings.media.fonts,
            prober=tools.prober,
            cancel=attempt.cancel,
            on_progress=lambda seen: attempt.note(seen, plan.expect.duration),
        )


def _encode_chunked(attempt: Attempt, plan: EncodePlan, source: bytes, directory: bytes) -> Encoded:
    if (earlier := media.read_verified(directory)) is not None:
        return earlier
    video = encode_in_chunks(attempt, plan, source, directory)
    if video is None:
        return media.give_up(plan, directory, "its chunks are not small enough")
    tools = attempt.tools
    made = media.encode_rest(
        plan,
        video,
        source,
        directory,
        capabilities=tools.capabilities,
        sandbox=tools.sandbox,
        limits=tools.limits,
        max_pixels=tools.settings.media.max_pixels,
        cancel=attempt.cancel,
        on_progress=lambda seen: attempt.note(seen, plan.expect.duration),
    )
    clear_parts(directory)
    return made

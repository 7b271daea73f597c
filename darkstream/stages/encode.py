"""Encoding: what the plan says, from a source that stayed the same."""

from __future__ import annotations

from darkstream.errors import SourceVanished
from darkstream.library.identity import unchanged
from darkstream.media import encode as media
from darkstream.model.encoded import Encoded
from darkstream.model.plan import EncodePlan
from darkstream.stages.attempt import Attempt
from darkstream.storage.faults import storage_faults


def encode(attempt: Attempt, plan: EncodePlan, directory: bytes) -> Encoded:
    """Encode into a directory (absolute, existing).

    Raises SourceChanged or SourceVanished where the source did not stay, whatever ffmpeg made of
    it; ProcessFailed, ProcessTimeout, SourceRejected, VerificationFailed, StorageFull, and what the
    attempt was cancelled with.
    """
    tools = attempt.tools
    if attempt.source is None:
        raise SourceVanished("the source was not found")
    source = attempt.source
    with unchanged(source.path, source.hint), storage_faults(directory):
        return media.encode(
            plan,
            source.path,
            directory,
            capabilities=tools.capabilities,
            sandbox=tools.sandbox,
            limits=tools.limits,
            max_pixels=tools.settings.media.max_pixels,
            cancel=attempt.cancel,
            on_progress=lambda seen: attempt.note(seen, plan.expect.duration),
        )

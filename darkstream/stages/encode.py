"""Encoding: what the plan says, from a source that stayed the same."""

from __future__ import annotations

from darkstream.errors import MediaError
from darkstream.library.identity import check_unchanged
from darkstream.media import encode as media
from darkstream.model.encoded import Encoded
from darkstream.model.plan import EncodePlan
from darkstream.stages.attempt import Attempt


def encode(attempt: Attempt, plan: EncodePlan, directory: bytes) -> Encoded:
    """Encode into a directory (absolute, existing).

    Raises SourceChanged or SourceVanished where the source did not stay, whatever ffmpeg made of
    it; ProcessFailed, ProcessTimeout, SourceRejected, VerificationFailed, StorageFull, and what the
    attempt was cancelled with.
    """
    tools = attempt.tools
    try:
        encoded = media.encode(
            plan,
            attempt.claim.source,
            directory,
            capabilities=tools.capabilities,
            sandbox=tools.sandbox,
            limits=tools.limits,
            max_pixels=tools.settings.media.max_pixels,
            cancel=attempt.cancel,
            on_progress=lambda seen: attempt.note(seen, plan.expect.duration),
        )
    except MediaError:
        _check_source(attempt)
        raise
    _check_source(attempt)
    return encoded


def _check_source(attempt: Attempt) -> None:
    if attempt.source is not None:
        check_unchanged(attempt.source.path, attempt.source.hint)

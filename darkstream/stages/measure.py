"""Measuring: outputs are decoded to their end, and sources that are to stay as they are."""

from __future__ import annotations

from darkstream.errors import SourceVanished
from darkstream.library.identity import unchanged
from darkstream.media.verify import inspect as media_inspect
from darkstream.media.verify import verify as media_verify
from darkstream.model.encoded import Encoded, Verification
from darkstream.model.media import Finding, MediaInfo
from darkstream.model.plan import EncodePlan
from darkstream.stages.attempt import Attempt
from darkstream.storage.faults import storage_faults


def verify(attempt: Attempt, plan: EncodePlan, encoded: Encoded) -> Verification:
    """Hold an output against its plan; what passed is found again by a later attempt.

    Raises VerificationFailed, ProcessTimeout, StorageFull, and what the attempt was cancelled with.
    """
    tools = attempt.tools
    with storage_faults(encoded.directory):
        return media_verify(
            plan,
            encoded,
            capabilities=tools.capabilities,
            sandbox=tools.sandbox,
            prober=tools.prober,
            limits=tools.limits,
            cancel=attempt.cancel,
        )


def inspect(attempt: Attempt, media: MediaInfo) -> tuple[Finding, ...]:
    """What is damaged in a source that a plan would leave as it is; nothing: it may stay.

    Raises SourceRejected, SourceChanged, SourceVanished, ProcessTimeout, and what the attempt was
    cancelled with.
    """
    if attempt.source is None:
        raise SourceVanished("the source was not found")
    tools = attempt.tools
    with unchanged(attempt.source.path, attempt.source.hint):
        return media_inspect(
            media,
            attempt.source.path,
            capabilities=tools.capabilities,
            sandbox=tools.sandbox,
            limits=tools.limits,
            max_pixels=tools.settings.media.max_pixels,
            cancel=attempt.cancel,
        )

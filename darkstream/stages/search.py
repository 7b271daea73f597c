"""Searching: which settings of the encoders reach the quality that is wished for this film."""

from __future__ import annotations

from darkstream.library.identity import unchanged
from darkstream.media import quality as media
from darkstream.media.faults import hardware_faults
from darkstream.model.plan import EncodePlan
from darkstream.stages.attempt import Attempt
from darkstream.stages.measure import source_of
from darkstream.stages.plan import key_of
from darkstream.stages.workplace import workplace
from darkstream.storage.faults import storage_faults


def search(attempt: Attempt, plan: EncodePlan) -> EncodePlan:
    """The plan with the qualities that reach its targets, measured on samples of the source.

    Raises HardwareFailed where hardware failed, SourceChanged or SourceVanished where the source
    did not stay, VerificationFailed where nothing could be measured, ProcessFailed,
    ProcessTimeout, StorageFull, and what the attempt was cancelled with.
    """
    source = source_of(attempt)
    with (
        workplace(attempt, key_of(attempt.content, plan)) as directory,
        unchanged(source.path, source.hint),
        storage_faults(directory),
        hardware_faults(plan),
    ):
        return media.search(
            plan,
            source.path,
            directory,
            attempt.tools.decoder(attempt.cancel),
            hints=attempt.claim.hints,
            on_progress=lambda seen: attempt.note(seen, None),
        )

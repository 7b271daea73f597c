"""Packaging: what is published of an encode, a file or a directory, and what goes beside it."""

from __future__ import annotations

from darkstream.errors import SourceVanished
from darkstream.library.identity import unchanged
from darkstream.media import package as media
from darkstream.media.companions import look_at, make_companions, tell_missing
from darkstream.model.encoded import Encoded, Presentation, Verification
from darkstream.model.plan import EncodePlan
from darkstream.planning import merge_findings
from darkstream.stages.attempt import Attempt
from darkstream.stages.keys import content_key
from darkstream.storage.faults import storage_faults


def package(
    attempt: Attempt, plan: EncodePlan, encoded: Encoded, verification: Verification
) -> Presentation:
    """The file or directory to publish, complete, with its companions.

    Raises VerificationFailed, ProcessFailed, ProcessTimeout, StorageFull, SourceChanged,
    SourceVanished, KeyUnavailable, and what the attempt was cancelled with.
    """
    key = content_key(attempt, plan)
    if not plan.companions:
        with storage_faults(encoded.directory):
            return media.package(plan, encoded, key, attempt.cancel)
    if attempt.source is None:
        raise SourceVanished("the source was not found")
    tools, source = attempt.tools, attempt.source
    decoder = tools.decoder(attempt.cancel)
    look = look_at(plan, encoded, verification.duration or plan.expect.duration)
    with unchanged(source.path, source.hint), storage_faults(encoded.directory):
        made = make_companions(plan, source.path, look, encoded.directory + b".beside", decoder)
        attempt.findings = merge_findings(attempt.findings, tuple(tell_missing(plan, made)))
        finished = media.package(plan, encoded, key, attempt.cancel)
        return finished.model_copy(update={"companions": made})

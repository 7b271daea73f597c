"""Measuring: outputs are decoded to their end, and sources that are to stay as they are."""

from __future__ import annotations

from darkstream.errors import SourceVanished
from darkstream.library.identity import unchanged
from darkstream.media.analysis import measure_picture
from darkstream.media.faults import hardware_faults
from darkstream.media.quality import score_output
from darkstream.media.verify import inspect as media_inspect
from darkstream.media.verify import verify as media_verify
from darkstream.model.encoded import Encoded, Verification
from darkstream.model.media import Finding, MediaInfo
from darkstream.model.plan import EncodePlan
from darkstream.model.source import SourceFile
from darkstream.planning.targets import has_targets
from darkstream.planning.video import main_video
from darkstream.stages.attempt import Attempt
from darkstream.storage.faults import storage_faults


def verify(attempt: Attempt, plan: EncodePlan, encoded: Encoded) -> Verification:
    """Hold an output against its plan; what passed is found again by a later attempt.

    Where a quality was wished, it is measured. Raises HardwareFailed where hardware made what
    failed, VerificationFailed, ProcessTimeout, StorageFull, SourceChanged and SourceVanished, and
    what the attempt was cancelled with.
    """
    tools = attempt.tools
    with storage_faults(encoded.directory), hardware_faults(plan):
        verification = media_verify(
            plan,
            encoded,
            capabilities=tools.capabilities,
            sandbox=tools.sandbox,
            prober=tools.prober,
            limits=tools.limits,
            threads=tools.settings.worker.threads,
            cancel=attempt.cancel,
        )
    if verification.damaged_source or not has_targets(plan):
        return verification
    return _score(attempt, plan, encoded, verification)


def _score(
    attempt: Attempt, plan: EncodePlan, encoded: Encoded, verification: Verification
) -> Verification:
    source = source_of(attempt)
    with unchanged(source.path, source.hint):
        scores, findings = score_output(
            plan,
            source.path,
            encoded,
            attempt.tools.decoder(attempt.cancel),
            on_progress=lambda seen: attempt.note(seen, None),
        )
    told = (*verification.findings, *findings)
    return verification.model_copy(update={"quality": scores, "findings": told})


def source_of(attempt: Attempt) -> SourceFile:
    """The source as it was found; raises SourceVanished before that."""
    if attempt.source is None:
        raise SourceVanished("the source was not found")
    return attempt.source


def see_picture(attempt: Attempt, media: MediaInfo) -> MediaInfo:
    """The same with bars and fields as they are seen in the pictures, not as the headers say.

    Raises SourceChanged, SourceVanished, ProcessTimeout, and what the attempt was cancelled with.
    """
    source = source_of(attempt)
    with unchanged(source.path, source.hint):
        seen = measure_picture(media, source.path, attempt.tools.decoder(attempt.cancel))
    main = main_video(media)
    rule = attempt.claim.preset.video
    if main is None or rule is None:
        return media
    known: dict[str, object] = {"active": seen.crop}
    if rule.fields == "measured" and seen.interlacing.scan in {"progressive", "tff", "bff"}:
        known["field_order"] = seen.interlacing.scan
    video = tuple(s.model_copy(update=known) if s is main else s for s in media.video)
    return media.model_copy(update={"video": video})


def inspect(attempt: Attempt, media: MediaInfo) -> tuple[Finding, ...]:
    """What is damaged in a source that a plan would leave as it is; nothing: it may stay.

    Raises SourceRejected, SourceChanged, SourceVanished, ProcessTimeout, and what the attempt was
    cancelled with.
    """
    source = source_of(attempt)
    tools = attempt.tools
    if attempt.level == "full":
        return ()  # validation did just that
    with unchanged(source.path, source.hint):
        return media_inspect(
            media,
            source.path,
            capabilities=tools.capabilities,
            sandbox=tools.sandbox,
            limits=tools.limits,
            max_pixels=tools.settings.media.max_pixels,
            cancel=attempt.cancel,
        )

"""What is done to a source: every decision, by the node that will encode."""

from __future__ import annotations

from collections.abc import Mapping

from darkstream.errors import SourceVanished
from darkstream.library.identity import unchanged
from darkstream.media.drawing import note_content
from darkstream.model.base import ContentId
from darkstream.model.job import ContentKey
from darkstream.model.media import Finding, MediaInfo, ValidationReport
from darkstream.model.plan import Decision, EncodePlan
from darkstream.model.preset import Preset
from darkstream.planning import fingerprint, make_plan, merge_findings
from darkstream.planning.chunks import cut, in_one_piece, wants_chunks, whole_because
from darkstream.stages.attempt import Attempt
from darkstream.stages.toolbox import Toolbox


def plan(
    tools: Toolbox,
    preset: Preset,
    media: MediaInfo,
    report: ValidationReport,
    damage: tuple[Finding, ...] = (),
    failed: Mapping[str, Finding] | None = None,
) -> Decision:
    """Decide, against what this node's ffmpeg was proved to do.

    `damage` is what decoding the source has shown since it was validated, `failed` the families of
    hardware that failed in this attempt: they are planned around. Raises CapabilityMissing, and
    NoSuchPath where the preset's mark cannot be read.
    """
    failed = failed or {}
    seen = (*damage, *failed.values())
    found = ValidationReport(findings=merge_findings(report.findings, seen))
    decision = make_plan(media, preset, tools.capabilities.without(failed), found)
    if isinstance(decision, EncodePlan) and decision.overlay is not None:
        return decision.model_copy(update={"overlay": note_content(decision.overlay)})
    return decision


def cut_film(attempt: Attempt, decision: Decision, media: MediaInfo) -> Decision:
    """The decision with the chunks of a film that takes long to encode: its packets are read.

    Raises what probing does, and what the attempt was cancelled with.
    """
    preset, source = attempt.claim.preset, attempt.source
    if not isinstance(decision, EncodePlan) or not wants_chunks(decision, media, preset):
        return decision
    if (why := whole_because(decision, media)) is not None:
        return in_one_piece(decision, why)
    if source is None:
        raise SourceVanished("the source was not found")
    index = decision.renditions[0].source_index
    with unchanged(source.path, source.hint):
        times = attempt.tools.prober.list_times(source.path, index, attempt.cancel)
    return cut(decision, media, preset, times)


def key_of(content: ContentId, chosen: EncodePlan) -> ContentKey:
    """What makes two encodes the same: the content and the plan."""
    return ContentKey(content=content, fingerprint=fingerprint(chosen))

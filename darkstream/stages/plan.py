"""What is done to a source: every decision, by the node that will encode."""

from __future__ import annotations

from darkstream.model.base import ContentId
from darkstream.model.job import ContentKey
from darkstream.model.media import Finding, MediaInfo, ValidationReport
from darkstream.model.plan import Decision, EncodePlan
from darkstream.model.preset import Preset
from darkstream.planning import fingerprint, make_plan, merge_findings
from darkstream.stages.toolbox import Toolbox


def plan(
    tools: Toolbox,
    preset: Preset,
    media: MediaInfo,
    report: ValidationReport,
    damage: tuple[Finding, ...] = (),
) -> Decision:
    """Decide, against what this node's ffmpeg was proved to do.

    `damage` is what decoding the source has shown since it was validated. Raises CapabilityMissing.
    """
    found = ValidationReport(findings=merge_findings(report.findings, damage))
    return make_plan(media, preset, tools.capabilities, found)


def key_of(content: ContentId, chosen: EncodePlan) -> ContentKey:
    """What makes two encodes the same: the content and the plan."""
    return ContentKey(content=content, fingerprint=fingerprint(chosen))

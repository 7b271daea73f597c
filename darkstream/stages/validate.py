"""What is wrong with a source, and whether it can be converted all the same."""

from __future__ import annotations

from darkstream.errors import SourceVanished
from darkstream.library.identity import unchanged
from darkstream.media.soundness import check
from darkstream.model.media import MediaInfo, ValidationReport
from darkstream.planning import merge_findings, validation
from darkstream.stages.attempt import Attempt
from darkstream.stages.toolbox import Toolbox


def validate(tools: Toolbox, media: MediaInfo) -> ValidationReport:
    """Judge what probing found, within this node's limits."""
    return validation.validate(media, max_pixels=tools.settings.media.max_pixels)


def look_over(attempt: Attempt, media: MediaInfo) -> ValidationReport:
    """Judge a source as thoroughly as its preset or the settings say.

    Raises SourceRejected, SourceChanged, SourceVanished, ProcessTimeout, and what the attempt was
    cancelled with.
    """
    tools = attempt.tools
    report = validate(tools, media)
    if attempt.level == "headers":
        return report
    if attempt.source is None:
        raise SourceVanished("the source was not found")
    decoder = tools.decoder(attempt.cancel)
    with unchanged(attempt.source.path, attempt.source.hint):
        _, found = check(
            media,
            attempt.source.path,
            attempt.level,
            prober=tools.prober,
            decoder=decoder,
        )
    return ValidationReport(findings=merge_findings(report.findings, found))

"""What is wrong with a source, and whether it can be converted all the same."""

from __future__ import annotations

from darkstream.model.media import MediaInfo, ValidationReport
from darkstream.planning import validation
from darkstream.stages.toolbox import Toolbox


def validate(tools: Toolbox, media: MediaInfo) -> ValidationReport:
    """Judge what probing found, within this node's limits."""
    return validation.validate(media, max_pixels=tools.settings.media.max_pixels)

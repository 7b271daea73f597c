"""What is in a source: streams, times, colour."""

from __future__ import annotations

from darkstream.model.media import MediaInfo
from darkstream.model.source import SourceFile
from darkstream.stages.toolbox import Toolbox


def probe(tools: Toolbox, source: SourceFile) -> MediaInfo:
    """Look into a file; raises SourceRejected, SourceUnreadable, SourceVanished."""
    return tools.prober.probe(source.path)

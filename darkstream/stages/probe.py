"""What is in a source: streams, times, colour."""

from __future__ import annotations

from darkstream.library.identity import unchanged
from darkstream.model.media import MediaInfo
from darkstream.model.source import SourceFile
from darkstream.stages.toolbox import Toolbox


def probe(tools: Toolbox, source: SourceFile) -> MediaInfo:
    """Look into a file.

    Raises SourceRejected, SourceUnreadable, SourceVanished, and SourceChanged where it is not the
    one that was discovered: what is found must never be kept for another content.
    """
    with unchanged(source.path, source.hint):
        return tools.prober.probe(source.path)

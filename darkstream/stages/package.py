"""Packaging: what is published of an encode, a file or a directory for streaming."""

from __future__ import annotations

from darkstream.media import package as media
from darkstream.model.encoded import Encoded, Presentation
from darkstream.model.plan import EncodePlan


def package(plan: EncodePlan, encoded: Encoded) -> Presentation:
    """The file or directory to publish, complete."""
    return media.package(plan, encoded)

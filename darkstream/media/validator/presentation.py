"""All manifests of one presentation."""

from __future__ import annotations

import os

from darkstream.media.validator.dash import check_dash
from darkstream.media.validator.hls import check_hls
from darkstream.media.validator.segments import Segments
from darkstream.media.validator.violations import Violation


def check_presentation(directory: bytes, master: str, manifest: str) -> tuple[Violation, ...]:
    """What is wrong with the manifests that are there, in the order in which it is found."""
    segments = Segments(directory)
    there = {os.fsdecode(name) for name in os.listdir(directory)}
    found: list[Violation] = []
    if master in there:
        found += check_hls(segments, master)
    if manifest in there:
        found += check_dash(segments, manifest)
    return tuple(found)

"""The mark on every picture: its place and size in pixels of the largest rendition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from darkstream.model.plan import Overlay, VideoCopy, VideoEncode
from darkstream.model.preset import OverlayRule

_Side = Literal[-1, 0, 1]
_ACROSS: Mapping[str, _Side] = {"left": -1, "right": 1}
_DOWN: Mapping[str, _Side] = {"top": -1, "bottom": 1}


def plan_overlay(
    rule: OverlayRule | None, largest: VideoEncode | VideoCopy | None
) -> Overlay | None:
    """What is drawn; None: nothing is."""
    if rule is None or not isinstance(largest, VideoEncode):
        return None
    words = rule.position.split("-")
    return Overlay(
        image=rule.image,
        text=rule.text,
        width=None if rule.image is None else max(2, round(largest.width * rule.size)),
        height=None if rule.text is None else max(4, round(largest.height * rule.size)),
        x=next((_ACROSS[word] for word in words if word in _ACROSS), 0),
        y=next((_DOWN[word] for word in words if word in _DOWN), 0),
        margin=round(largest.width * rule.margin),
        opacity=rule.opacity,
        start=rule.start,
        end=rule.end,
    )

"""The ladder: which sizes an adaptive presentation holds, never above the source."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from darkstream.model.base import Frozen
from darkstream.model.preset import Rung
from darkstream.planning.picture import Size, fit


class Step(Frozen):
    """One rendition of a ladder: its size in pixels and its ceiling in bit/s."""

    width: int
    height: int
    max_bit_rate: int


def make_ladder(
    size: tuple[Fraction, Fraction], rungs: Sequence[Rung], box: Size
) -> tuple[Step, ...]:
    """The renditions for a picture of that display size, highest first.

    A rung is the box 16:9 of its height, so that a wide film of 1280x534 is a 720 rung. Rungs the
    source does not fill would repeat its own size: only the lowest of them, with the least
    ceiling, is kept.
    """
    steps: dict[Size, Step] = {}
    for rung in sorted(rungs, key=lambda rung: rung.height, reverse=True):
        rung_box = (min(max(box), _wide(rung.height)), min(*box, rung.height))
        width, height = fit(size, rung_box)
        steps[width, height] = Step(width=width, height=height, max_bit_rate=rung.max_bit_rate)
    return tuple(sorted(steps.values(), key=lambda step: step.width * step.height, reverse=True))


def _wide(height: int) -> int:
    return -(-height * 16 // 9)

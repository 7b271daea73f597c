"""How much there is to do, and how long it probably takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from darkstream.model.base import Frozen

Rates = tuple[float, ...]
"""What was measured last, in units a second, oldest first; empty: nothing yet."""


class WorkClass(Frozen):
    """What is done alike: one speed of a node holds for all of it."""

    encoder: str
    """An encoder of ffmpeg's; `copy`: streams are copied as they are."""
    speed: str = ""
    """The encoder's preset; empty: it has none."""
    size: Literal["", "sd", "hd", "full-hd", "uhd"] = ""
    """Of the largest picture."""


class Work(WorkClass):
    """How much one plan has to do: pixels to encode, seconds of sound, or bytes to copy."""

    codec: str
    amount: float = Field(ge=0)


class Estimate(Frozen):
    """How long something takes on one slot, seconds: probably, and at best and at worst.

    `basis` is where it comes from: what this node, this library or like presets took before (the
    quartiles of it), or the fixed table, which is a guess (a third to three times of it).
    """

    seconds: float
    low: float
    high: float
    basis: Literal["node", "library", "preset", "table"]

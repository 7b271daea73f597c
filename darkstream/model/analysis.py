"""What analysis measures in a file, beyond what its headers say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from darkstream.model.base import Frozen, Rational
from darkstream.model.media import Crop, Finding, MediaInfo
from darkstream.model.survey import Level

Scan = Literal["progressive", "tff", "bff", "mixed", "unknown"]


class Depth(Frozen):
    """How much is measured: some pictures, all of the sound, how much of it for damage."""

    pictures: bool = Field(True, description="Look for bars and interlacing at up to ten places.")
    loudness: bool = Field(False, description="Listen to all sound: EBU R 128.")
    level: Level = Field(
        "headers",
        description="Look for damage in headers, all packets, key frames and sound, or everything.",
    )


class Interlacing(Frozen):
    """How pictures were shot, and how many of those looked at say so.

    `mixed`: some of two fields and some not, or with either field first; `unknown`: nothing moved.
    """

    scan: Scan = "unknown"
    progressive: int = 0
    tff: int = 0
    bff: int = 0


class Picture(Frozen):
    """What was seen at some places of the main video.

    `crop` is None where there is nothing to cut, or too little was bright enough to say.
    """

    crop: Crop | None = None
    interlacing: Interlacing = Interlacing()
    places: int = 0
    """How many places had a picture."""


class Loudness(Frozen):
    """EBU R 128 of one audio track; None: it is silent, or nothing of it could be decoded."""

    index: int
    integrated: float | None = None
    """LUFS."""
    true_peak: float | None = None
    """dBTP."""


class Analysis(Frozen):
    """One file: what is in it, what was measured, what is wrong with it.

    `media` is None where the file was rejected or could not be read; `reason` says why. What was
    not asked for is None, or empty.
    """

    source: str
    """Absolute path."""
    source_b64: str | None = Field(None, exclude_if=lambda value: value is None)
    """Only where the name is not UTF-8."""
    status: Literal["done", "rejected", "failed"] = "done"
    reason: str | None = None
    media: MediaInfo | None = None
    bit_rate: int | None = None
    """Bits a second of the whole file."""
    rate: Rational | None = None
    """Pictures a second of the main video; counted, from level `quick` on."""
    variable_rate: bool | None = None
    picture: Picture | None = None
    loudness: tuple[Loudness, ...] = ()
    level: Level = "headers"
    """How thoroughly it was looked over for damage."""
    findings: tuple[Finding, ...] = ()

"""Hardware encoders: what each family takes, and which is chosen of those that were proved.

Sources: NVIDIA's Video Encode and Decode Support Matrix, Intel's oneVPL and media-delivery
documents, AMD's AMF documents, Apple's VideoToolbox, the kernel's V4L2 documents. The bounds are
those of a family at large: a device that takes less fails, and is planned around
(docs/hardware.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from darkstream.model.capabilities import Capabilities, Encoder, HardwareFamily
from darkstream.model.preset import VideoCodec


@dataclass(frozen=True)
class Family:
    """One row of the table: encoders by codec, bits to prove, and sides in pixels."""

    encoders: Mapping[VideoCodec, str]
    deep: frozenset[VideoCodec]
    """Codecs that are tried with ten bits a sample too."""
    smallest: int
    largest: Mapping[VideoCodec, int] = field(default_factory=lambda: {"h264": 4096})
    """The longer side, where it is not 8192."""


_DEEP: frozenset[VideoCodec] = frozenset(("hevc", "av1", "vp9"))
_LARGEST = 8192

FAMILIES: Mapping[HardwareFamily, Family] = {
    "nvenc": Family(
        {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"},
        deep=_DEEP | {"h264"},
        smallest=160,
    ),
    "qsv": Family(
        {"h264": "h264_qsv", "hevc": "hevc_qsv", "av1": "av1_qsv", "vp9": "vp9_qsv"},
        deep=_DEEP,
        smallest=128,
    ),
    "videotoolbox": Family(
        {"h264": "h264_videotoolbox", "hevc": "hevc_videotoolbox"}, deep=_DEEP, smallest=128
    ),
    "amf": Family(
        {"h264": "h264_amf", "hevc": "hevc_amf", "av1": "av1_amf"}, deep=_DEEP, smallest=128
    ),
    "vaapi": Family(
        {"h264": "h264_vaapi", "hevc": "hevc_vaapi", "av1": "av1_vaapi", "vp9": "vp9_vaapi"},
        deep=_DEEP,
        smallest=128,
    ),
    "vulkan": Family(
        {"h264": "h264_vulkan", "hevc": "hevc_vulkan", "av1": "av1_vulkan"},
        deep=_DEEP,
        smallest=128,
    ),
    "v4l2m2m": Family(
        {"h264": "h264_v4l2m2m", "hevc": "hevc_v4l2m2m"},
        deep=frozenset(),
        smallest=128,
        largest={"h264": 1920, "hevc": 4096},
    ),
}
"""In order of preference: a vendor's own way first, as it says best what quality is wished; then
what is common to several vendors; last what knows bit rates alone."""


@dataclass(frozen=True)
class Need:
    """What one rendition asks of an encoder; `rung`: of a ladder, `hdr10`: with its static data."""

    codec: VideoCodec
    width: int
    height: int
    bits: int = 8
    rung: bool = False
    hdr10: bool = False


def choose_hardware(need: Need, capabilities: Capabilities) -> Encoder | None:
    """The first family's encoder that was proved for such a rendition; None: there is none."""
    return next(
        (one for one in _proved(need.codec, capabilities) if not any(_lacks(one, need))), None
    )


def say_why_not(need: Need, capabilities: Capabilities) -> str:
    """Why no hardware encoder is chosen, as a part of a sentence."""
    why = [f"{one.name} {next(_lacks(one, need))}" for one in _proved(need.codec, capabilities)]
    return "; ".join(why) or "this node has none that works"


def _proved(codec: VideoCodec, capabilities: Capabilities) -> Iterator[Encoder]:
    found = {one.name: one for one in capabilities.encoders if one.hardware}
    for family in FAMILIES.values():
        if (name := family.encoders.get(codec)) in found:
            yield found[name]


def _lacks(encoder: Encoder, need: Need) -> Iterator[str]:
    """What an encoder cannot do of what is asked."""
    name = encoder.family or family_of(encoder.name)
    family = FAMILIES[name]
    if min(need.width, need.height) < family.smallest:
        yield f"takes no pictures with a side of less than {family.smallest} pixels"
    largest = family.largest.get(need.codec, _LARGEST)
    if max(need.width, need.height) > largest:
        yield f"takes no pictures with a side of more than {largest} pixels"
    if need.bits not in encoder.bits:
        yield f"was not proved with {need.bits} bits a sample"
    if need.rung and not encoder.rungs:
        yield "does not set key frames where a ladder needs them"
    if need.hdr10 and not encoder.hdr10:
        yield "loses the static data of HDR"


def family_of(encoder: str) -> HardwareFamily:
    """The family of a hardware encoder; raises KeyError where it is of none."""
    return _FAMILY_OF[encoder]


_FAMILY_OF: dict[str, HardwareFamily] = {
    encoder: name for name, family in FAMILIES.items() for encoder in family.encoders.values()
}

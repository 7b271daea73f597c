"""Samples, colour and side data of pictures."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from darkstream.media.prober.dynamic import dolby_vision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from av.sidedata.sidedata import SideData
    from av.video.codeccontext import VideoCodecContext
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame

_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
_TRANSFERS = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
_MATRICES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
    15: "ipt-c2",
    16: "ycgco-re",
    17: "ycgco-ro",
}
_RANGES = {1: "tv", 2: "pc"}
_CHROMA = {(2, 2): "420", (2, 1): "422", (1, 1): "444"}
_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr")
_TRANSFER_HDR = {"smpte2084": "hdr10", "arib-std-b67": "hlg"}
_BOTTOM_FIRST = {"dvvideo"}


def pixels(fmt: VideoFormat | None) -> dict[str, Any]:
    """How samples are stored, from PyAV's pixel format."""
    if fmt is None:
        return {"pix_fmt": "unknown", "bit_depth": 8, "chroma": "other", "alpha": False}
    components = [component for component in fmt.components if not component.is_alpha]
    return {
        "pix_fmt": fmt.name,
        "bit_depth": max((component.bits for component in components), default=8),
        "chroma": _chroma(fmt, len(components)),
        "alpha": len(components) < len(fmt.components),
    }


def _chroma(fmt: VideoFormat, components: int) -> str:
    if fmt.is_rgb or fmt.name.startswith(_RGB):
        return "rgb"
    if components == 1:
        return "400"
    width, height = max(1, fmt.chroma_width(64)), max(1, fmt.chroma_height(64))
    return _CHROMA.get((64 // width, 64 // height), "other")


def colour(source: VideoCodecContext | VideoFrame) -> dict[str, str | None]:
    """ffmpeg's names of the colour of a codec context or a frame; None: not said."""
    fmt = source.format.name if source.format is not None else ""
    matrix = source.colorspace
    return {
        "primaries": _PRIMARIES.get(int(source.color_primaries or 0)),
        "transfer": _TRANSFERS.get(int(source.color_trc or 0)),
        "matrix": None if matrix is None else _MATRICES.get(int(matrix)),
        "range": "pc" if fmt.startswith("yuvj") else _RANGES.get(int(source.color_range or 0)),
    }


def describe_frame(frame: VideoFrame, video: dict[str, Any]) -> None:
    """Complete a video stream's description by its first decoded picture."""
    video |= pixels(frame.format)
    if not video["width"] or not video["height"]:
        video |= {"width": frame.width, "height": frame.height}
    seen = colour(frame)
    video["colour"] = {key: value or seen[key] for key, value in video["colour"].items()}
    if frame.format.name.startswith("yuvj"):  # full range by its very layout
        video["colour"]["range"] = "pc"
    if frame.interlaced_frame and video["field_order"] not in {"tff", "bff"}:
        video["field_order"] = "bff" if video["codec"] in _BOTTOM_FIRST else "tff"
    # PyAV's container is a mapping by its stubs and a sequence when it runs.
    sides = cast("Iterable[SideData]", frame.side_data)
    _note_side_data({side.type.name: bytes(side) for side in sides}, video)


def _note_side_data(found: dict[str, bytes], video: dict[str, Any]) -> None:
    if matrix := found.get("DISPLAYMATRIX"):
        video["rotation"], video["mirrored"] = orientation(matrix)
    video["captions"] = "A53_CC" in found
    transfer = video["colour"]["transfer"]
    video["hdr10plus"] = "DYNAMIC_HDR_PLUS" in found
    video["dolby_vision"] = dolby_vision(found, video["dolby_vision"], video["codec"])
    if video["dolby_vision"] is not None:
        video["hdr"] = "dolby_vision"
    elif video["hdr10plus"]:
        video["hdr"] = "hdr10plus"
    else:
        video["hdr"] = _TRANSFER_HDR.get(transfer or "", "none")
    if len(mastering := found.get("MASTERING_DISPLAY_METADATA", b"")) >= 88:
        video["mastering_display"] = _mastering(mastering)
    if len(light := found.get("CONTENT_LIGHT_LEVEL", b"")) >= 8:
        max_cll, max_fall = struct.unpack("=II", light[:8])
        video["content_light"] = {"max_cll": max_cll, "max_fall": max_fall}


def orientation(matrix: bytes) -> tuple[int, bool]:
    """Clockwise degrees after an optional horizontal flip, from a 3x3 display matrix (16.16)."""
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    mirrored = a * d - b * c < 0
    cosine, sine = (-a, -b) if mirrored else (a, b)
    degrees = round(math.degrees(math.atan2(sine, cosine)) / 90) * 90 % 360
    return degrees, mirrored


def _mastering(data: bytes) -> dict[str, Any] | None:
    """AVMasteringDisplayMetadata: ten rationals (r, g, b, white; min, max), then two flags."""
    numbers = struct.unpack("=22i", data[:88])
    if not (numbers[20] and numbers[21]):
        return None
    pairs = zip(numbers[:20:2], numbers[1:20:2], strict=True)
    values = [str(Fraction(over, under) if under else Fraction(0)) for over, under in pairs]
    places = ("red", "green", "blue", "white")
    points = {place: values[2 * n : 2 * n + 2] for n, place in enumerate(places)}
    return {**points, "min_luminance": values[8], "max_luminance": values[9]}

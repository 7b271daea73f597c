"""Data for single scenes beside HDR pictures, Dolby Vision and HDR10+: kept, or told to be lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from darkstream.model.capabilities import Capabilities
from darkstream.model.media import Colour, DolbyVision, DynamicHdr, Finding, Severity, VideoStream
from darkstream.model.plan import VideoCopy, VideoEncode
from darkstream.model.preset import Container, Preset, VideoRule
from darkstream.planning.colour import base_layer
from darkstream.planning.words import describe_dolby_vision, spoken

_DECLARED = {"mp4", "mkv", "webm"}
"""Containers that ffmpeg's muxers write a Dolby Vision configuration record into."""
_PROFILES = {"hevc": 8, "av1": 10}
"""Profiles of a single layer that makes sense without the data, by codec."""
_COMPATIBILITY = {"smpte2084": 1, "arib-std-b67": 4}
_LAYERED = {4, 7}
_LEVELS = (
    (1280, 1280 * 720 * 30, 50),
    (3840, 1920 * 1080 * 60, 70),
    (3840, 3840 * 2160 * 60, 130),
    (7680, 3840 * 2160 * 120, 240),
    (7680, 7680 * 4320 * 60, 450),
)
"""Dolby Vision's levels: up to which width and how many pixels a second, Mbit/s in high tier."""
_CODES = {"dolby_vision": "dolby-vision-dropped", "hdr10plus": "hdr10plus-dropped"}
_HIGHEST = 800
_MEGA = 1_000_000


@dataclass(frozen=True)
class Loss:
    """Data that are lost, and the sentence that says why; `here`: another node could keep them."""

    kind: DynamicHdr
    message: str
    here: bool = False


def refusal(stream: VideoStream) -> str | None:
    """Why the pictures of a stream cannot be encoded, as a sentence; None: they can."""
    if base_layer(stream) is not None:
        return None
    name = describe_dolby_vision(stream.dolby_vision or DolbyVision())
    return (
        f"its colours are {name} (IPT-PQ-c2), which only Dolby Vision players show: it can be"
        " copied as it is, but not encoded"
    )


def own_tag(stream: VideoStream, container: Container) -> str | None:
    """The sample entry that keeps players without Dolby Vision away from what they show wrong."""
    proprietary = stream.codec == "hevc" and container == "mp4" and base_layer(stream) is None
    return "dvh1" if proprietary else None


def plan_copy(stream: VideoStream, container: Container) -> DolbyVision | None:
    """What a copy is declared as: the same as its source."""
    declared = stream.dolby_vision is not None and stream.dolby_vision.declared
    return stream.dolby_vision if declared and container in _DECLARED else None


def keep(
    stream: VideoStream, video: VideoEncode, rule: VideoRule, lost: tuple[Loss, ...]
) -> VideoEncode:
    """A rendition with what it takes to keep the source's data, as far as they are not lost."""
    gone = {loss.kind for loss in lost}
    changes: dict[str, object] = {}
    if "hdr10plus" in kinds(stream) and "hdr10plus" not in gone:
        changes["hdr10plus"] = "require" if rule.dynamic_hdr == "require" else "keep"
    if stream.dolby_vision is not None and "dolby_vision" in gone:
        changes["strip_dolby_vision"] = base_layer(stream) == "none"
    elif stream.dolby_vision is not None:
        changes |= _keep_dolby_vision(stream.dolby_vision, video)
        changes["dolby_vision_demanded"] = rule.dynamic_hdr == "require"
    return video.model_copy(update=changes)


def _keep_dolby_vision(said: DolbyVision, video: VideoEncode) -> dict[str, object]:
    kept = DolbyVision(
        profile=_PROFILES[video.codec],
        compatibility=_COMPATIBILITY[video.colour.transfer or ""],
        letterboxed=said.letterboxed,
    )
    changes: dict[str, object] = {"dolby_vision": kept}
    if video.encoder == "libx265":  # which demands a buffer for them
        highest = _highest_rate(video.width, video.width * video.height * video.rate)
        changes["max_bit_rate"] = min(highest, video.max_bit_rate or highest)
    return changes


def find_losses(
    stream: VideoStream,
    video: VideoEncode,
    preset: Preset,
    capabilities: Capabilities,
    *,
    damaged: bool,
) -> tuple[Loss, ...]:
    """What a rendition cannot keep of its source's data, and why."""
    wished = preset.video is None or preset.video.dynamic_hdr != "drop"
    able = next(one.dynamic_hdr for one in capabilities.encoders if one.name == video.encoder)
    losses: list[Loss] = []
    for kind in kinds(stream):
        why = next(_reasons(kind, stream, video, preset, damaged=damaged), None)
        if not wished:
            losses.append(_lose(kind, stream, "the preset drops them"))
        elif why is not None:
            losses.append(_lose(kind, stream, why))
        elif kind not in able:
            why = f"{video.encoder} does not write them here"
            losses.append(_lose(kind, stream, why, here=True))
    return tuple(losses)


def find_copy_losses(stream: VideoStream, video: VideoCopy, container: Container) -> Iterator[Loss]:
    """What a copy cannot keep: the data stay in the packets, the record of them may not."""
    declared = stream.dolby_vision is not None and stream.dolby_vision.declared
    if declared and video.dolby_vision is None:
        yield _lose("dolby_vision", stream, _undeclared(container))


def tell_losses(losses: tuple[Loss, ...]) -> tuple[Finding, ...]:
    """A finding of each kind of data that are not kept."""
    return tuple(
        Finding(code=_CODES[loss.kind], severity=Severity.ok, message=loss.message)
        for loss in losses
    )


def _lose(kind: DynamicHdr, stream: VideoStream, why: str, *, here: bool = False) -> Loss:
    name = _name(kind, stream)
    return Loss(kind, f"its {name} data for single scenes are not kept: {why}", here)


def kinds(stream: VideoStream) -> tuple[DynamicHdr, ...]:
    """The kinds of data for single scenes that a stream has."""
    dolby: tuple[DynamicHdr, ...] = ("dolby_vision",) if stream.hdr == "dolby_vision" else ()
    return (*dolby, "hdr10plus") if stream.hdr10plus or stream.hdr == "hdr10plus" else dolby


def _reasons(
    kind: DynamicHdr, stream: VideoStream, video: VideoEncode, preset: Preset, *, damaged: bool
) -> Iterator[str]:
    if video.colour.transfer not in _COMPATIBILITY:
        yield "the output is not HDR"
    if video.codec not in _PROFILES:
        yield f"{spoken(video.codec)} has no place for them"
    if preset.package.kind == "abr":
        yield "they are not streamed"
    if damaged:
        yield "the source is damaged, and each of its pictures needs its own"
    if kind == "dolby_vision":
        yield from _dolby_vision_reasons(stream, video, preset)
    else:
        yield from _hdr10plus_reasons(stream, video)


def _hdr10plus_reasons(stream: VideoStream, video: VideoEncode) -> Iterator[str]:
    if not _is_pq(video):
        yield "they go with HDR10 alone"
    if stream.codec not in _PROFILES:
        yield f"they are not inside the packets of its {spoken(stream.codec)}"
    if video.frame_rate is not None:
        yield "they belong to single pictures, and the output has others"


def _dolby_vision_reasons(stream: VideoStream, video: VideoEncode, preset: Preset) -> Iterator[str]:
    said = stream.dolby_vision or DolbyVision()
    if preset.container not in _DECLARED:
        yield _undeclared(preset.container)
    if said.enhancement or said.profile in _LAYERED:
        yield "they belong to two layers, and encoders make one"
    if said.profile is None:
        yield "its profile is unknown"
    if video.pix_fmt != "yuv420p10le" or _triple(video.colour) not in _triples():
        yield "they go with BT.2020 colours of 10 bits and 4:2:0 alone"
    if video.encoder == "libx265" and _is_pq(video) and video.mastering_display is None:
        yield "libx265 wants to know the mastering display, which the source does not name"
    if said.letterboxed and not _same_raster(stream, video):
        yield "they count the pixels of its black bars, and the output has another size"


def _undeclared(container: Container) -> str:
    return f"ffmpeg does not declare them in {spoken(container)} (MP4 and Matroska can)"


def _name(kind: DynamicHdr, stream: VideoStream) -> str:
    if kind == "dolby_vision" and stream.dolby_vision is not None:
        return describe_dolby_vision(stream.dolby_vision)
    return spoken(kind)


def _triples() -> set[tuple[str | None, ...]]:
    return {("bt2020", transfer, "bt2020nc") for transfer in _COMPATIBILITY}


def _triple(colour: Colour) -> tuple[str | None, ...]:
    return (colour.primaries, colour.transfer, colour.matrix)


def _is_pq(video: VideoEncode) -> bool:
    return video.colour.transfer == "smpte2084"


def _same_raster(stream: VideoStream, video: VideoEncode) -> bool:
    upright = not video.rotation and not video.mirrored and video.cut is None
    return upright and (video.width, video.height) == (stream.width, stream.height)


def _highest_rate(width: int, pixels: Fraction) -> int:
    """The ceiling of the level that a picture of that width and so many pixels a second has."""
    for widest, most, rate in _LEVELS:
        if width <= widest and pixels <= most:
            return rate * _MEGA
    return _HIGHEST * _MEGA

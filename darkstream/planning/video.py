"""The video of a plan: which stream, copied or encoded, and how."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from darkstream.model.capabilities import Capabilities
from darkstream.model.media import MediaInfo, VideoStream
from darkstream.model.plan import VideoCopy, VideoEncode
from darkstream.model.preset import Preset, VideoRule
from darkstream.planning import colour, picture, transparency
from darkstream.planning.encoders import choose_video_encoder, require_filter
from darkstream.planning.ladder import make_ladder
from darkstream.planning.words import spoken

_SANE_RATES = (Fraction(1, 10), Fraction(300))
_FALLBACK_RATE = Fraction(25)
_RATE_SLACK = Fraction(101, 100)
_FINEST_TICK = Fraction(1, 1_000_000)
_USUAL_TICK = Fraction(1, 90_000)
_TAGS = {("mp4", "hevc"): "hvc1", ("mp4", "h264"): "avc1", ("mp4", "av1"): "av01"}
_COPIED_INTO = {
    "mp4": {"h264", "hevc", "av1", "vp9"},
    "mkv": {"h264", "hevc", "av1", "vp9", "vp8"},
    "webm": {"vp8", "vp9", "av1"},
}
_ALPHA_DEPTH = 8
"""Bits a sample of the only transparent pixels that an encoder takes."""
_PIXELS = {8: "yuv420p", 10: "yuv420p10le"}
_SMALLEST = {"hevc": 16, "av1": 4}
"""Pixels of the shorter side below which an encoder gives up."""
_WEB_PROFILES = {"baseline", "constrained baseline", "main", "high", "progressive high"}


def main_video(media: MediaInfo) -> VideoStream | None:
    """The stream people come to see: among those marked default, else all, the largest picture."""
    usable = [stream for stream in media.video if stream.decoded]
    chosen = [stream for stream in usable if stream.disposition.default] or usable
    return max(chosen, key=lambda s: (s.width * s.height, -s.index), default=None)


def source_rate(stream: VideoStream) -> Fraction:
    """Pictures a second; a container's clock (1000/1) is not mistaken for a rate."""
    for rate in (stream.average_rate, stream.nominal_rate):
        if rate is not None and _SANE_RATES[0] <= rate <= _SANE_RATES[1]:
            return rate
    return _FALLBACK_RATE


def misfits(stream: VideoStream, rule: VideoRule, container: str) -> Iterator[str]:
    """Why a stream cannot be copied, as parts of a sentence; nothing: it fits."""
    if stream.codec not in rule.copy_codecs:
        yield f"{spoken(stream.codec)} is not {_spoken_all(rule.copy_codecs)}"
    elif stream.codec not in _COPIED_INTO[container]:
        yield f"{spoken(stream.codec)} is not copied into {spoken(container)}"
    yield from _misfit_samples(stream, rule)
    if not transparency.stays_in_copy(stream, container):
        yield "it has transparency"
    if not picture.within(stream, (rule.max_width, rule.max_height)):
        yield f"{_size(stream)} is larger than {rule.max_width}x{rule.max_height}"
    if not picture.has_square_pixels(stream):
        yield f"its pixels are not square ({stream.sar.numerator}:{stream.sar.denominator})"
    if stream.mirrored or (stream.rotation and container != "mp4"):
        yield "it is stored turned or mirrored"
    if stream.field_order in {"tff", "bff"}:
        yield "it is interlaced"
    if rule.max_rate is not None and source_rate(stream) > rule.max_rate * _RATE_SLACK:
        yield f"it has more than {_number(rule.max_rate)} pictures a second"
    if rule.max_bit_rate is not None and (stream.bit_rate or 0) > rule.max_bit_rate:
        yield f"its bit rate is above {rule.max_bit_rate // 1000} kbit/s"


def _misfit_samples(stream: VideoStream, rule: VideoRule) -> Iterator[str]:
    profile = (stream.profile or "high").lower()
    if stream.chroma != "420":
        yield f"its colour is sampled {_chroma(stream)}, not 4:2:0"
    elif rule.bit_depth is not None and stream.bit_depth > rule.bit_depth:
        yield f"it has {stream.bit_depth} bits a sample, not {rule.bit_depth}"
    elif stream.codec == "h264" and profile not in _WEB_PROFILES:
        yield f"its profile is {stream.profile}"
    if colour.must_tonemap(stream, rule):
        yield f"it is {spoken(stream.hdr)}"


def plan_copy(stream: VideoStream, container: str, capabilities: Capabilities) -> VideoCopy:
    """Copy a stream that fits."""
    return VideoCopy(
        name="video",
        source_index=stream.index,
        codec=stream.codec,
        tag=_TAGS.get((container, stream.codec)),
        decoder=transparency.alpha_decoder(stream, capabilities),
    )


def plan_encodes(
    stream: VideoStream, preset: Preset, rule: VideoRule, capabilities: Capabilities
) -> tuple[VideoEncode, ...]:
    """Every rendition of a stream: one for a file, the ladder for a presentation."""
    size = picture.display_size(stream)
    box = (rule.max_width, rule.max_height)
    if preset.package.kind == "file":
        width, height = picture.fit(size, box)
        return (_encode(stream, preset, rule, capabilities, "video", (width, height), None),)
    return tuple(
        _encode(
            stream,
            preset,
            rule,
            capabilities,
            f"{min(step.width, step.height)}p",
            (step.width, step.height),
            step.max_bit_rate,
        )
        for step in make_ladder(size, preset.package.ladder, box)
    )


def refusal(
    stream: VideoStream | None, renditions: tuple[VideoEncode | VideoCopy, ...]
) -> str | None:
    """Why a stream cannot be encoded as planned, as a sentence; None: it can."""
    encodes = [rendition for rendition in renditions if isinstance(rendition, VideoEncode)]
    if stream is None or not encodes:
        return None
    for video in encodes:
        if min(video.width, video.height) < _SMALLEST.get(video.codec, 0):
            return f"its pictures of {_size(stream)} are too small for {spoken(video.codec)}"
    return colour.colour_refusal(stream)


def _encode(
    stream: VideoStream,
    preset: Preset,
    rule: VideoRule,
    capabilities: Capabilities,
    name: str,
    size: picture.Size,
    max_bit_rate: int | None,
) -> VideoEncode:
    encoder = choose_video_encoder(rule, capabilities, short_side=min(size))
    tonemap, interlaced = colour.must_tonemap(stream, rule), stream.field_order in {"tff", "bff"}
    _require_filters(stream, capabilities, tonemap=tonemap, interlaced=interlaced)
    hdr = colour.keeps_hdr(stream, rule)
    depth = colour.output_depth(stream, rule)
    reads_alpha = transparency.reads_alpha(stream, capabilities)
    rate = source_rate(stream)
    too_fast = rule.max_rate is not None and rate > rule.max_rate * _RATE_SLACK
    abr = preset.package.kind == "abr"
    container = "mp4" if abr else preset.container
    plain = depth == _ALPHA_DEPTH and not tonemap
    keeps_alpha = reads_alpha and plain and transparency.can_keep(encoder.name, container)
    return VideoEncode(
        name=name,
        source_index=stream.index,
        decoder=transparency.alpha_decoder(stream, capabilities),
        codec=rule.codec,
        encoder=encoder.name,
        hardware=encoder.hardware,
        width=size[0],
        height=size[1],
        rotation=stream.rotation,
        mirrored=stream.mirrored,
        crop=_only_odd(stream, size),
        deinterlace=interlaced,
        field_order=_first_field(stream),
        flatten=reads_alpha and not keeps_alpha,
        tonemap=tonemap,
        rematrix=colour.must_rematrix(stream),
        pix_fmt="yuva420p" if keeps_alpha else _PIXELS[depth],
        source_colour=colour.source_colour(stream),
        colour=colour.output_colour(stream, rule, shrinks=_shrinks(stream, size)),
        mastering_display=stream.mastering_display if hdr else None,
        content_light=stream.content_light if hdr else None,
        rate=rule.max_rate if too_fast and rule.max_rate else rate,
        frame_rate=rule.max_rate if too_fast else None,
        time_base=None if too_fast else _clock(stream),
        quality=rule.quality,
        speed=rule.speed,
        keyframe_interval=preset.package.segment_seconds if abr else rule.keyframe_seconds,
        max_bit_rate=max_bit_rate or rule.max_bit_rate,
        profile=_profile(rule.codec, depth),
        tag=_TAGS.get((container, rule.codec)),
    )


def _require_filters(
    stream: VideoStream, capabilities: Capabilities, *, tonemap: bool, interlaced: bool
) -> None:
    if tonemap:
        for name in ("zscale", "tonemap"):
            require_filter(name, f"to show {spoken(stream.hdr)} on other screens", capabilities)
    if colour.must_rematrix(stream):
        require_filter("zscale", f"for {stream.colour.matrix} colours", capabilities)
    if interlaced:
        require_filter("bwdif", "to deinterlace", capabilities)
    if stream.alpha:
        require_filter("premultiply", "for pictures with transparency", capabilities)


def _clock(stream: VideoStream) -> Fraction:
    """The source's own clock: one of the picture rate would shift every timestamp."""
    tick = stream.time_base
    return tick if tick is not None and _FINEST_TICK <= tick < 1 else _USUAL_TICK


def _profile(codec: str, depth: int) -> str | None:
    if codec == "h264":
        return "high"
    if codec == "hevc":
        return "main" if depth == 8 else "main10"
    return None


def _first_field(stream: VideoStream) -> Literal["tff", "bff"] | None:
    return stream.field_order if stream.field_order in ("tff", "bff") else None


def _only_odd(stream: VideoStream, size: picture.Size) -> bool:
    """Whether only an odd row or column is in the way: cutting it keeps the picture sharp."""
    coded = (stream.width, stream.height)
    if stream.rotation in {90, 270}:
        coded = (stream.height, stream.width)
    even = (coded[0] - coded[0] % 2, coded[1] - coded[1] % 2)
    return stream.sar == 1 and even == size != coded


def _shrinks(stream: VideoStream, size: picture.Size) -> bool:
    return size[0] * size[1] < stream.width * stream.height


def _size(stream: VideoStream) -> str:
    width, height = picture.display_size(stream)
    return f"{round(width)}x{round(height)}"


def _chroma(stream: VideoStream) -> str:
    known = {"400": "in grey", "422": "4:2:2", "444": "4:4:4", "rgb": "as RGB"}
    return known.get(stream.chroma, "otherwise")


def _number(rate: Fraction) -> str:
    return f"{float(rate):g}"


def _spoken_all(codecs: tuple[str, ...]) -> str:
    return " or ".join(spoken(codec) for codec in codecs) or "copied"

"""The video of a plan: which stream, copied or encoded, and how."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from darkstream.model.capabilities import Capabilities
from darkstream.model.media import Colour, Finding, MediaInfo, Severity, VideoStream
from darkstream.model.plan import VideoCopy, VideoEncode
from darkstream.model.preset import Container, Preset, QualityTarget, VideoRule
from darkstream.planning import colour, dynamic_hdr, picture, transparency
from darkstream.planning.encoders import choose_video_encoder, require_filter
from darkstream.planning.formats import FORMATS
from darkstream.planning.hardware import Need
from darkstream.planning.ladder import make_ladder
from darkstream.planning.samples import FULL_CHROMA, bits_of, choose_pixels, chroma_of, same_pixels
from darkstream.planning.targets import aim
from darkstream.planning.words import spoken

_SANE_RATES = (Fraction(1, 10), Fraction(300))
_USUAL_RATES = (
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 60, 120)),
    *map(Fraction, (12, 15, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)),
)
_FALLBACK_RATE = Fraction(25)
_RATE_SLACK = Fraction(101, 100)
_FINEST_TICK = Fraction(1, 1_000_000)
_USUAL_TICK = Fraction(1, 90_000)
_TAGS = {
    ("mp4", "hevc"): "hvc1",
    ("mp4", "h264"): "avc1",
    ("mp4", "av1"): "av01",
    ("mov", "hevc"): "hvc1",
    ("mov", "h264"): "avc1",
}
_USUAL = {
    "h264": (22, "medium"),
    "hevc": (24, "medium"),
    "av1": (28, "6"),
    "vp9": (32, "3"),
    "vvc": (30, "fast"),
}
"""Quality and speed by codec, where a preset names none."""
_CAPTIONED = {"libx264", "libx265"}
"""Encoders that keep captions where they are."""
_SMALLEST = {"hevc": 16, "av1": 4, "vvc": 16}
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


def misfits(stream: VideoStream, rule: VideoRule, container: Container) -> Iterator[str]:
    """Why a stream cannot be copied, as parts of a sentence; nothing: it fits."""
    if stream.codec not in rule.copy_codecs:
        yield f"{spoken(stream.codec)} is not {_spoken_all(rule.copy_codecs)}"
    elif not FORMATS[container].takes_video(stream.codec):
        yield f"{spoken(stream.codec)} is not copied into {spoken(container)}"
    yield from _misfit_samples(stream, rule)
    if not transparency.stays_in_copy(stream, container):
        yield "it has transparency"
    if not picture.within(stream, (rule.max_width, rule.max_height)):
        yield f"{_size(stream)} is larger than {rule.max_width}x{rule.max_height}"
    if rule.codec != "ffv1" and not picture.has_square_pixels(stream):
        yield f"its pixels are not square ({stream.sar.numerator}:{stream.sar.denominator})"
    if stream.mirrored or (stream.rotation and not FORMATS[container].turns):
        yield "it is stored turned or mirrored"
    if rule.interlaced == "deinterlace" and stream.field_order in {"tff", "bff"}:
        yield "it is interlaced"
    if rule.max_rate is not None and source_rate(stream) > rule.max_rate * _RATE_SLACK:
        yield f"it has more than {_number(rule.max_rate)} pictures a second"
    if rule.crop == "auto" and stream.active is not None:
        yield "it has black bars"
    if rule.rate_mode == "constant" and stream.variable_rate:
        yield "its frame rate varies"
    if rule.max_bit_rate is not None and (stream.bit_rate or 0) > rule.max_bit_rate:
        yield f"its bit rate is above {rule.max_bit_rate // 1000} kbit/s"


def _misfit_samples(stream: VideoStream, rule: VideoRule) -> Iterator[str]:
    profile = (stream.profile or "high").lower()
    if rule.chroma == "420" and stream.chroma != "420":
        yield f"its colour is sampled {_chroma(stream)}, not 4:2:0"
    elif rule.bit_depth is not None and stream.bit_depth > rule.bit_depth:
        yield f"it has {stream.bit_depth} bits a sample, not {rule.bit_depth}"
    elif rule.chroma == "420" and stream.codec == "h264" and profile not in _WEB_PROFILES:
        yield f"its profile is {stream.profile}"
    if colour.must_tonemap(stream, rule):
        yield f"it is {spoken(stream.hdr)}"


def plan_copy(stream: VideoStream, container: Container, capabilities: Capabilities) -> VideoCopy:
    """Copy a stream that fits."""
    return VideoCopy(
        name="video",
        source_index=stream.index,
        codec=stream.codec,
        tag=dynamic_hdr.own_tag(stream, container) or _TAGS.get((container, stream.codec)),
        dolby_vision=dynamic_hdr.plan_copy(stream, container),
        decoder=transparency.alpha_decoder(stream, capabilities),
    )


def plan_encodes(
    stream: VideoStream, preset: Preset, rule: VideoRule, capabilities: Capabilities
) -> tuple[VideoEncode, ...]:
    """Every rendition of a stream: one for a file, the ladder for a presentation."""
    stream = _uncover(stream, rule)
    _require_filters(stream, rule, capabilities)
    size = picture.display_size(stream)
    box = (rule.max_width, rule.max_height)
    if preset.package.kind == "file":
        coded = rule.codec == "ffv1" and picture.within(stream, box)
        width, height = picture.coded_size(stream) if coded else picture.fit(size, box)
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
    if (why := dynamic_hdr.refusal(stream)) is not None:
        return why
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
    abr = preset.package.kind == "abr"
    hdr = colour.keeps_hdr(stream, rule)
    encoder = choose_video_encoder(rule, capabilities, _need(stream, rule, size, rung=abr))
    tonemap = colour.must_tonemap(stream, rule)
    fields = stream.field_order in {"tff", "bff"}
    deinterlace = _deinterlaces(stream, rule)
    container = "mp4" if abr else preset.container
    lossless = _is_lossless(stream, rule, size, tonemap=tonemap)
    pix_fmt, flatten = _samples(
        stream, rule, encoder.name, container, capabilities, lossless=lossless
    )
    forced = _forced_rate(stream, rule)
    return VideoEncode(
        name=name,
        source_index=stream.index,
        decoder=transparency.alpha_decoder(stream, capabilities),
        codec=rule.codec,
        encoder=encoder.name,
        hardware=encoder.hardware,
        device=encoder.device,
        width=size[0],
        height=size[1],
        rotation=stream.rotation,
        mirrored=stream.mirrored,
        cut=stream.active,
        crop=not lossless and _only_odd(stream, size),
        deinterlace=deinterlace,
        field_order=_first_field(stream),
        interlaced=fields and not deinterlace,
        sar=picture.upright_sar(stream) if lossless else Fraction(1),
        lossless=lossless,
        flatten=flatten,
        tonemap=tonemap,
        rematrix=not lossless and colour.must_rematrix(stream),
        pix_fmt=pix_fmt,
        source_colour=colour.source_colour(stream),
        colour=_colour(stream, rule, size, lossless=lossless),
        mastering_display=stream.mastering_display if hdr else None,
        content_light=stream.content_light if hdr else None,
        rate=forced or source_rate(stream),
        frame_rate=forced,
        time_base=None if forced else _clock(stream),
        quality=usual_quality(rule),
        target=aim(rule, size, capabilities),
        speed=usual_speed(rule),
        keyframe_interval=preset.package.segment_seconds if abr else rule.keyframe_seconds,
        max_bit_rate=max_bit_rate or rule.max_bit_rate,
        profile=_profile(rule, pix_fmt),
        tag=_TAGS.get((container, rule.codec)),
        captions=stream.captions and encoder.name in _CAPTIONED and forced is None,
    )


def _need(stream: VideoStream, rule: VideoRule, size: picture.Size, *, rung: bool) -> Need:
    told = stream.mastering_display is not None or stream.content_light is not None
    static = told and colour.keeps_hdr(stream, rule)
    bits = colour.output_depth(stream, rule)
    return Need(rule.codec, *size, bits=bits, rung=rung, hdr10=static)


def usual_quality(rule: VideoRule) -> int | None:
    """The rule's quality, else the codec's usual; None: to be found, or it has no such scale."""
    usual = _USUAL.get(rule.codec)
    if usual is None or isinstance(rule.quality, QualityTarget):
        return None
    return usual[0] if rule.quality is None else rule.quality


def usual_speed(rule: VideoRule) -> str | None:
    """The rule's speed, else the codec's usual; None: the codec has none."""
    usual = _USUAL.get(rule.codec)
    return rule.speed if usual is not None and rule.speed is not None else usual and usual[1]


def lost_captions(
    stream: VideoStream | None, renditions: tuple[VideoEncode | VideoCopy, ...], *, beside: bool
) -> tuple[Finding, ...]:
    """A finding on captions that are neither in the pictures of the output nor beside it."""
    if stream is None or not stream.captions or beside:
        return ()
    if all(isinstance(one, VideoCopy) or one.captions for one in renditions):
        return ()
    message = "the captions inside its pictures are not kept: 'subtitles.sidecar' takes them out"
    return (Finding(code="captions-lost", severity=Severity.ok, message=message),)


def tell_rate(
    stream: VideoStream | None, renditions: tuple[VideoEncode | VideoCopy, ...]
) -> tuple[Finding, ...]:
    """A finding where an encoder takes no varying rate."""
    if stream is None or not stream.variable_rate:
        return ()
    if not any(isinstance(one, VideoEncode) and one.codec == "vvc" for one in renditions):
        return ()
    message = "its varying frame rate is made constant: the VVC encoder takes no other"
    return (Finding(code="rate-made-constant", severity=Severity.ok, message=message),)


def _is_lossless(
    stream: VideoStream, rule: VideoRule, size: picture.Size, *, tonemap: bool
) -> bool:
    """Whether every sample of the source stays as it is."""
    return (
        rule.codec == "ffv1"
        and not tonemap
        and rule.chroma == "keep"
        and rule.bit_depth is None
        and size == picture.coded_size(stream)
        and same_pixels(stream) is not None
    )


def _samples(
    stream: VideoStream,
    rule: VideoRule,
    encoder: str,
    container: Container,
    capabilities: Capabilities,
    *,
    lossless: bool,
) -> tuple[str, bool]:
    """The pixel format, and whether transparency is blended onto black for it."""
    if lossless:
        return same_pixels(stream) or stream.pix_fmt, False
    seen = transparency.reads_alpha(stream, capabilities)
    depth = colour.output_depth(stream, rule)
    plain = not colour.must_tonemap(stream, rule) and rule.profile in {None, *FULL_CHROMA}
    kept = transparency.transparent_pixels(encoder, container, depth) if seen and plain else None
    return kept or choose_pixels(stream, rule, encoder, depth), seen and kept is None


def _deinterlaces(stream: VideoStream, rule: VideoRule) -> bool:
    return stream.field_order in {"tff", "bff"} and rule.interlaced == "deinterlace"


def _require_filters(stream: VideoStream, rule: VideoRule, capabilities: Capabilities) -> None:
    if colour.must_tonemap(stream, rule):
        for name in ("zscale", "tonemap"):
            require_filter(name, f"to show {spoken(stream.hdr)} on other screens", capabilities)
    if colour.must_rematrix(stream):
        require_filter("zscale", f"for {stream.colour.matrix} colours", capabilities)
    if _deinterlaces(stream, rule):
        require_filter("bwdif", "to deinterlace", capabilities)
    if stream.alpha:
        require_filter("premultiply", "for pictures with transparency", capabilities)


def _uncover(stream: VideoStream, rule: VideoRule) -> VideoStream:
    """The stream as it is without its bars, where they are to be cut off."""
    active = stream.active
    if active is None or rule.crop == "none":
        return stream.model_copy(update={"active": None})
    if rule.interlaced == "keep" and stream.field_order in {"tff", "bff"}:
        # Two fields of 4:2:0: colour lines begin with the first field only at every fourth line.
        top, below = active.y // 4 * 4, -(-(active.y + active.height) // 4) * 4
        active = active.model_copy(update={"y": top, "height": below - top})
    return stream.model_copy(
        update={"active": active, "width": active.width, "height": active.height}
    )


def _forced_rate(stream: VideoStream, rule: VideoRule) -> Fraction | None:
    """The constant rate of the output; None: the source's timestamps pass through."""
    rate = source_rate(stream)
    if rule.max_rate is not None and rate > rule.max_rate * _RATE_SLACK:
        return rule.max_rate
    if rule.codec == "vvc" and not stream.variable_rate:
        return rate  # libvvenc makes one picture of several on any clock but that of the rate
    if (rule.rate_mode == "keep" and rule.codec != "vvc") or not stream.variable_rate:
        return None
    # What a phone was set to says more than what it managed.
    meant = stream.nominal_rate or rate
    wished = meant if rate <= meant <= 2 * rate else rate
    usual = min(_USUAL_RATES, key=lambda one: abs(one - wished))
    return usual if rule.max_rate is None else min(usual, rule.max_rate)


def _clock(stream: VideoStream) -> Fraction:
    """The source's own clock: one of the picture rate would shift every timestamp."""
    tick = stream.time_base
    return tick if tick is not None and _FINEST_TICK <= tick < 1 else _USUAL_TICK


def _profile(rule: VideoRule, pix_fmt: str) -> str | None:
    bits, chroma = bits_of(pix_fmt), chroma_of(pix_fmt)
    if rule.codec == "h264":
        high = {"420": "high" if bits == 8 else "high10", "422": "high422", "444": "high444"}
        return high[chroma]
    if rule.codec == "hevc":
        return _hevc_profile(bits, chroma)
    if rule.codec == "prores":
        return rule.profile or ("4444" if chroma == "444" else "hq")
    return None


def _hevc_profile(bits: int, chroma: str) -> str:
    if chroma == "420":
        return {8: "main", 10: "main10"}.get(bits, "main12")
    if chroma == "422":
        return "main422-12" if bits > 10 else "main422-10"
    return {8: "main444-8", 10: "main444-10"}.get(bits, "main444-12")


def _first_field(stream: VideoStream) -> Literal["tff", "bff"] | None:
    return stream.field_order if stream.field_order in ("tff", "bff") else None


def _only_odd(stream: VideoStream, size: picture.Size) -> bool:
    """Whether only an odd row or column is in the way: cutting it keeps the picture sharp."""
    coded = (stream.width, stream.height)
    if stream.rotation in {90, 270}:
        coded = (stream.height, stream.width)
    even = (coded[0] - coded[0] % 2, coded[1] - coded[1] % 2)
    return stream.sar == 1 and even == size != coded


def _colour(stream: VideoStream, rule: VideoRule, size: picture.Size, *, lossless: bool) -> Colour:
    if lossless:
        return colour.source_colour(stream)
    return colour.output_colour(stream, rule, shrinks=_shrinks(stream, size))


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

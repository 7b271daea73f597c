"""One stream of a container as JSON, before anything of it is decoded."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from darkstream.media.prober.head import Refused
from darkstream.media.prober.layout import Layout, Track
from darkstream.media.prober.picture import colour, pixels

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.codec.context import CodecContext
    from av.stream import Stream
    from av.video.stream import VideoStream

_FLAGS = {
    "default": 1,
    "dub": 2,
    "original": 4,
    "comment": 8,
    "forced": 64,
    "hearing_impaired": 128,
    "visual_impaired": 256,
}
_ATTACHED_PICTURE = 1024
_FIELD_ORDERS = {1: "progressive", 2: "tff", 3: "bff", 4: "tff", 5: "bff"}
_BITMAP_SUBTITLES = {"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub"}
_NAMES = {
    "ssa": "ass",
    "srt": "subrip",
    "pgssub": "hdmv_pgs_subtitle",
    "dvdsub": "dvd_subtitle",
    "dvbsub": "dvb_subtitle",
    "cc_dec": "eia_608",
    "libdav1d": "av1",
    "libvpx-vp9": "vp9",
    "libvpx": "vp8",
}
_FONTS = (".ttf", ".otf", ".ttc", ".woff", ".woff2")

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
"""What neither a page, nor XML, nor a terminal takes as text."""
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


def describe_stream(stream: Stream, layout: Layout, max_pixels: int) -> tuple[str, dict[str, Any]]:
    """The group of a stream in MediaInfo, and what its header says of it."""
    metadata = {key.lower(): value for key, value in stream.metadata.items()}
    context, flags = stream.codec_context, int(stream.disposition)
    tracks = layout.tracks
    track = tracks[stream.index] if stream.index < len(tracks) else Track()
    common = _common(stream, metadata, flags)
    if stream.type == "video" and context is not None and not flags & _ATTACHED_PICTURE:
        return "video", common | _video(cast("VideoStream", stream), track, max_pixels)
    if stream.type == "audio" and context is not None:
        return "audio", common | describe_sound(cast("AudioCodecContext", context))
    if stream.type == "subtitle":
        bitmap = common["codec"] in _BITMAP_SUBTITLES
        return "subtitles", common | {"kind": "bitmap" if bitmap else "text"}
    return "attachments", common | _attachment(stream, metadata, flags, track)


def seconds(value: int | None, base: Fraction | None) -> str | None:
    """A time in a clock's ticks as an exact number of seconds, in text."""
    return None if value is None or not base else str(value * Fraction(base))


def text(value: str | None) -> str | None:
    """A tag as clean text on one line; None where it is empty."""
    if not value:
        return None
    clean = value.encode("utf-8", "replace").decode()
    return _CONTROLS.sub(" ", clean.replace("\0", "")).strip() or None


def _language(value: str | None) -> str | None:
    """A language as RFC 5646 and ISO 639 write them; None for everything else that a file says."""
    if value is None or value == "und" or _LANGUAGE.fullmatch(value) is None:
        return None
    return value


def _common(stream: Stream, metadata: dict[str, str], flags: int) -> dict[str, Any]:
    context = stream.codec_context
    rate = context.bit_rate if stream.type in {"audio", "video"} and context else None
    return {
        "index": stream.index,
        "codec": _codec(context),
        "tag": _tag(context),
        "profile": str(stream.profile) if getattr(stream, "profile", None) else None,
        "time_base": str(stream.time_base) if stream.time_base else None,
        "start": seconds(stream.start_time, stream.time_base),
        "duration": seconds(stream.duration, stream.time_base) or _tagged_duration(metadata),
        "bit_rate": rate or None,
        "language": _language(metadata.get("language")),
        "title": text(metadata.get("title")),
        "disposition": {name: bool(flags & bit) for name, bit in _FLAGS.items()},
    }


def _codec(context: CodecContext) -> str:
    if context is None:
        return "unknown"
    name: str = getattr(context.codec, "canonical_name", None) or context.name
    return _NAMES.get(context.name, name)


def _tag(context: CodecContext) -> str | None:
    try:
        tag = getattr(context, "codec_tag", None)
    except UnicodeDecodeError:  # four bytes that are no letters
        return None
    return tag.strip() if isinstance(tag, str) and tag.strip() and tag.isprintable() else None


def _tagged_duration(metadata: dict[str, str]) -> str | None:
    """Matroska's statistics tag, '00:00:05.021000000'."""
    try:
        hours, minutes, rest = map(Fraction, metadata.get("duration", "").split(":"))
    except ValueError:
        return None
    return str(hours * 3600 + minutes * 60 + rest)


def _video(stream: VideoStream, track: Track, max_pixels: int) -> dict[str, Any]:
    context = stream.codec_context
    if context.width * context.height > max_pixels:
        raise Refused(
            f"its picture of {context.width}x{context.height} is larger than the limit of "
            f"{max_pixels} pixels"
        )
    context.thread_count = 1
    context.options = {"max_pixels": str(max_pixels), "skip_loop_filter": "all"}
    sar = stream.sample_aspect_ratio
    return {
        "width": context.width,
        "height": context.height,
        "sar": str(sar) if sar else "1",
        **pixels(context.format),
        "level": context.level if context.level and context.level > 0 else None,
        "average_rate": str(stream.average_rate) if stream.average_rate else None,
        "nominal_rate": str(stream.base_rate) if stream.base_rate else None,
        "frames": stream.frames or None,
        "field_order": _FIELD_ORDERS.get(int(context.field_order or 0), "unknown"),
        "colour": colour(context),
        "dolby_vision": track.dolby_vision,
        "decoded": False,
    }


def describe_sound(context: AudioCodecContext) -> dict[str, Any]:
    """What a decoder of sound says of it."""
    layout = getattr(context, "layout", None)
    return {
        "sample_rate": context.sample_rate or 0,
        "channels": context.channels or 0,
        "layout": layout.name if layout is not None else None,
        "sample_format": context.format.name if context.format is not None else None,
        "decoded": True,
    }


def _attachment(
    stream: Stream, metadata: dict[str, str], flags: int, track: Track
) -> dict[str, Any]:
    mimetype, filename = metadata.get("mimetype") or "", metadata.get("filename") or ""
    if flags & _ATTACHED_PICTURE or mimetype.startswith("image/"):
        kind = "cover"
    elif "font" in mimetype or filename.lower().endswith(_FONTS):
        kind = "font"
    elif track.tag == "tmcd":
        kind = "timecode"
    else:
        kind = "data" if stream.type == "data" else "other"
    found = {"kind": kind, "filename": text(filename), "mimetype": text(mimetype)}
    return found | ({"tag": track.tag} if track.tag.isprintable() and track.tag else {})

"""An analysis in words: a row of a table, or a property a line."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from darkstream.cli.tables import format_bytes
from darkstream.planning.words import describe_dolby_vision, spoken

if TYPE_CHECKING:
    from darkstream.model.analysis import Analysis, Loudness, Picture
    from darkstream.model.media import (
        AudioStream,
        Chapter,
        Disposition,
        MediaInfo,
        Stream,
        SubtitleStream,
        VideoStream,
    )

HEADERS = ("file", "length", "size", "video", "picture", "sound", "subtitles", "findings")
_FIELDS = {"tff": "top field first", "bff": "bottom field first"}
_H26X_LEVELS = {"h264": 10, "hevc": 30, "vvc": 16}


def analysis_row(one: Analysis, above: str = "") -> tuple[str, ...]:
    """One file as the cells of `HEADERS`; its name below the directory `above`."""
    name, media = one.source.removeprefix(f"{above}/"), one.media
    if media is None:
        return (name, *("-" for _ in HEADERS[1:-1]), one.reason or "")
    return (
        name,
        format_seconds(media.duration),
        f"{format_bytes(media.size_bytes)} {spoken(media.container)}",
        "; ".join(f"{_codec(v)} {v.width}x{v.height} {_rate(v, one)}" for v in media.video),
        ", ".join(_picture_words(one, media)),
        "; ".join(_sound_words(stream, one.loudness) for stream in media.audio),
        ", ".join(_named(s, spoken(s.codec)) for s in media.subtitles),
        "; ".join(_findings(one)),
    )


def describe_analysis(one: Analysis) -> list[tuple[str, str]]:
    """One file as (name, value) lines, without what there is nothing to say of."""
    lines: list[tuple[str, str | None]] = [
        ("file", one.source),
        ("status", one.status),
        ("reason", one.reason),
    ]
    if one.media is not None:
        lines += _describe_media(one, one.media)
    lines += [("checked", one.level if one.media is not None else None)]
    lines += [("finding", f"{f.severity} {f.code}: {f.message}") for f in one.findings]
    return [(name, value) for name, value in lines if value]


def _describe_media(one: Analysis, media: MediaInfo) -> list[tuple[str, str | None]]:
    lines: list[tuple[str, str | None]] = [
        ("container", f"{spoken(media.container)} ({', '.join(media.formats)})"),
        ("size", format_bytes(media.size_bytes)),
        ("length", format_seconds(media.duration)),
        ("bit rate", _kilobits(one.bit_rate)),
        ("title", media.title),
    ]
    for video in media.video:
        lines += _describe_video(video, one)
    if one.picture is not None and media.video:
        lines += [("scan", _describe_scan(one.picture)), ("crop", _describe_crop(one.picture))]
    lines += [("audio", _describe_sound(stream, one.loudness)) for stream in media.audio]
    lines += [("subtitles", _describe_subtitles(stream)) for stream in media.subtitles]
    lines += [("chapter", _describe_chapter(chapter)) for chapter in media.chapters]
    lines += [
        ("attachment", " ".join(filter(None, (a.kind, a.codec, a.filename))))
        for a in media.attachments
    ]
    return lines


def _describe_video(video: VideoStream, one: Analysis) -> list[tuple[str, str | None]]:
    from darkstream.planning.picture import display_size

    width, height = (round(side) for side in display_size(video))
    turned = f", turned by {video.rotation} degrees" if video.rotation else ""
    mirrored = ", mirrored" if video.mirrored else ""
    shape = "" if video.sar == 1 else f", pixels {video.sar.numerator}:{video.sar.denominator}"
    colour = video.colour
    named = [colour.primaries, colour.transfer, colour.matrix, colour.range]
    light = video.content_light
    return [
        ("video", f"stream {video.index}, {_codec(video)}"),
        ("coded", f"{video.width}x{video.height}{shape}{turned}{mirrored}"),
        ("shown", f"{width}x{height}"),
        ("rate", _rate(video, one)),
        ("samples", f"{video.pix_fmt}, {video.bit_depth} bits{', alpha' if video.alpha else ''}"),
        ("colour", ", ".join(filter(None, named)) or "not said"),
        ("HDR", _hdr(video)),
        ("light", f"MaxCLL {light.max_cll}, MaxFALL {light.max_fall}" if light else None),
        ("fields", f"declared {_FIELDS.get(video.field_order, video.field_order)}"),
        ("video rate", _kilobits(video.bit_rate)),
    ]


def _codec(video: VideoStream) -> str:
    level = _level(video)
    profile = f" {video.profile}" if video.profile else ""
    return f"{spoken(video.codec)}{profile}{f'@{level}' if level else ''}"


def _level(video: VideoStream) -> str | None:
    """A level as its standard writes it: H.264's 41 is 4.1, HEVC's 123 as well."""
    scale = _H26X_LEVELS.get(video.codec)
    if video.level is None or scale is None:
        return None
    return f"{video.level / scale:.1f}"


def _rate(video: VideoStream, one: Analysis) -> str:
    from darkstream.planning.video import main_video, source_rate

    main = one.media is not None and main_video(one.media) is video
    rate = one.rate if main and one.rate is not None else source_rate(video)
    variable = one.variable_rate if main else video.variable_rate
    return f"{float(rate):.3f}".rstrip("0").rstrip(".") + (" fps, variable" if variable else " fps")


def _hdr(video: VideoStream) -> str | None:
    if video.hdr == "none":
        return None
    if video.dolby_vision is None:
        return spoken(video.hdr)
    return describe_dolby_vision(video.dolby_vision) + (" and HDR10+" if video.hdr10plus else "")


def _picture_words(one: Analysis, media: MediaInfo) -> list[str]:
    """What is out of the ordinary about the pictures, for a table."""
    words = [hdr for video in media.video if (hdr := _hdr(video))]
    words += [f"{v.bit_depth} bits" for v in media.video if v.bit_depth > 8]
    words += [f"turned {v.rotation}" for v in media.video if v.rotation]
    declared = next((v.field_order for v in media.video), "unknown")
    picture = one.picture
    if picture is None:
        return [*words, f"declared {declared}"] if declared in _FIELDS else words
    scan = picture.interlacing.scan
    if {scan, declared} & {"mixed", *_FIELDS}:
        known = declared not in {"unknown", scan}
        said = f" (declared {declared})" if known else ""
        words.append(f"{'interlaced ' if scan in _FIELDS else ''}{scan}{said}")
    if picture.crop is not None:
        words.append(f"crop {_crop(picture)}")
    return words


def _crop(picture: Picture) -> str | None:
    crop = picture.crop
    return None if crop is None else f"{crop.width}x{crop.height}+{crop.x}+{crop.y}"


def _describe_crop(picture: Picture) -> str:
    return _crop(picture) or "nothing to cut"


def _describe_scan(picture: Picture) -> str:
    seen = picture.interlacing
    if seen.scan == "unknown":
        return "unknown: too little moved"
    places = "one place" if picture.places == 1 else f"{picture.places} places"
    counts = f"{seen.progressive} progressive, {seen.tff} tff, {seen.bff} bff at {places}"
    return f"measured {_FIELDS.get(seen.scan, seen.scan)} ({counts})"


def _sound_words(stream: AudioStream, heard: tuple[Loudness, ...]) -> str:
    layout = stream.layout or f"{stream.channels} channels"
    words = _named(stream, f"{spoken(stream.codec)} {layout}")
    loud = next((one for one in heard if one.index == stream.index), None)
    if loud is None:
        return words
    if loud.integrated is None:
        return f"{words}, silent"
    return f"{words}, {loud.integrated:.1f} LUFS"


def _describe_sound(stream: AudioStream, heard: tuple[Loudness, ...]) -> str:
    loud = next((one for one in heard if one.index == stream.index), None)
    known = loud is not None and loud.true_peak is not None
    peak = f", true peak {loud.true_peak:.1f} dBTP" if known and loud is not None else ""
    rate = _kilobits(stream.bit_rate)
    words = f"stream {stream.index}, {_sound_words(stream, heard)}{peak}, {stream.sample_rate} Hz"
    more = [rate, stream.title, *_flags(stream.disposition)]
    return ", ".join((words, *filter(None, more), *([] if stream.decoded else ["not decodable"])))


def _describe_subtitles(stream: SubtitleStream) -> str:
    words = f"stream {stream.index}, {_named(stream, spoken(stream.codec))}"
    return ", ".join(
        (words, stream.kind, *filter(None, [stream.title]), *_flags(stream.disposition))
    )


def _named(stream: Stream, what: str) -> str:
    return f"{stream.language} {what}" if stream.language else what


def _flags(disposition: Disposition) -> list[str]:
    return [name.replace("_", " ") for name, flag in disposition if flag]


def _describe_chapter(chapter: Chapter) -> str:
    span = f"{format_seconds(chapter.start)} to {format_seconds(chapter.end)}"
    return f"{span} {chapter.title or ''}".strip()


def _findings(one: Analysis) -> list[str]:
    told = [finding.message for finding in one.findings]
    return told if told or one.reason is None else [one.reason]


def _kilobits(rate: int | None) -> str | None:
    return None if rate is None else f"{rate / 1000:.0f} kbit/s"


def format_seconds(value: Fraction | None) -> str:
    """A length as people read it: `1:02:03`, `4:05`, `0:03.2` below ten seconds."""
    if value is None:
        return "-"
    if value < 10:
        return f"0:{float(value):04.1f}"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

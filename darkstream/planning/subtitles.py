"""Subtitles and attachments of a plan: what the container can hold, the rest reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from darkstream.model.media import Attachment, Finding, MediaInfo, Severity, SubtitleStream
from darkstream.model.plan import Burn, SubtitleTrack
from darkstream.model.preset import SubtitleRule
from darkstream.planning.languages import same_language

_TEXT_ENCODERS = {
    "mp4": ("mov_text", "mov_text", {"mov_text"}),
    "mov": ("mov_text", "mov_text", {"mov_text"}),
    "webm": ("webvtt", "webvtt", {"webvtt"}),
    "abr": ("webvtt", "webvtt", set()),
    "mkv": ("subrip", "srt", {"subrip", "ass", "ssa", "webvtt"}),
}
"""By container: codec and encoder to convert text to, and codecs it takes as they are."""
READABLE = frozenset(
    (
        *("ass", "eia_608", "jacosub", "microdvd", "mov_text", "mpl2", "pjs", "realtext", "sami"),
        *("ssa", "stl", "subrip", "subviewer", "subviewer1", "text", "vplayer", "webvtt"),
    )
)
"""Text that ffmpeg decodes as text: teletext comes out as pictures, TTML not at all."""
_DRAWN = frozenset(("hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub"))
_BITMAPS_IN = {
    "mkv": {"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"},
    "ts": {"dvb_subtitle"},
}
_COVERS_IN = {name: {"mjpeg", "png"} for name in ("mp4", "m4a", "mp3", "flac")}
"""ffmpeg writes a cover into Matroska as a track of its own, which players would play."""


def plan_subtitles(
    media: MediaInfo, rule: SubtitleRule, container: str, burn: Burn | None = None
) -> tuple[tuple[SubtitleTrack, ...], tuple[Finding, ...]]:
    """The kept tracks, and what is said about the others."""
    drawn = None if burn is None else burn.source_index
    streams = [stream for stream in media.subtitles if stream.index != drawn]
    streams.sort(key=lambda stream: _rank(stream, rule))
    kept = tuple(
        track for stream in streams if (track := _plan_track(stream, rule, container)) is not None
    )
    beside = rule.sidecar != "none"
    lost = [
        stream
        for stream in streams
        if not _kept(stream, kept) and not (beside and _text(stream) and stream.codec in READABLE)
    ]
    wanted = [stream for stream in lost if (rule.text if _text(stream) else rule.bitmap) == "keep"]
    findings = tuple(_dropped(stream, container) for stream in wanted)
    return kept, findings


def plan_burn(media: MediaInfo, rule: SubtitleRule) -> Burn | None:
    """The track to draw into the picture; None: there is none to draw."""
    if rule.burn == "none":
        return None
    usable = [s for s in media.subtitles if _text(s) is (s.codec in READABLE)]
    if rule.burn == "forced":
        usable = [stream for stream in usable if stream.disposition.forced]
    else:
        usable.sort(key=lambda stream: (stream.disposition.forced, not stream.disposition.default))
    usable = [s for s in usable if _text(s) or s.codec in _DRAWN]
    chosen = min(usable, key=lambda stream: _rank(stream, rule), default=None)
    if chosen is None:
        return None
    return Burn(source_index=chosen.index, track=own_form(chosen) if _text(chosen) else None)


def own_form(stream: SubtitleStream) -> Literal["srt", "ass", "vtt"]:
    """The form of a text track that loses nothing of it."""
    if stream.codec in {"ass", "ssa"}:
        return "ass"
    return "vtt" if stream.codec == "webvtt" else "srt"


def _rank(stream: SubtitleStream, rule: SubtitleRule) -> int:
    """Place of its language in the preset's order."""
    places = (n for n, one in enumerate(rule.languages) if same_language(one, stream.language))
    return next(places, len(rule.languages))


def plan_attachments(
    media: MediaInfo, container: str
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Finding, ...]]:
    """Indexes of kept attachments, of kept covers, and what is said about the others."""
    fonts = tuple(a.index for a in media.attachments if container == "mkv" and _is_file(a))
    covers = tuple(a.index for a in media.attachments if _cover_fits(a, container))
    handled = {*fonts, *covers, *_chapter_track(media)}
    lost = [a for a in media.attachments if a.index not in handled]
    return fonts, covers, tuple(_tell_lost(lost, container))


def _plan_track(stream: SubtitleStream, rule: SubtitleRule, container: str) -> SubtitleTrack | None:
    codec, encoder = stream.codec, None
    if _text(stream):
        if rule.text == "drop" or container not in _TEXT_ENCODERS:
            return None
        target, name, as_is = _TEXT_ENCODERS[container]
        if codec not in as_is | READABLE:
            return None
        if codec not in as_is:
            codec, encoder = target, name
    elif rule.bitmap == "drop" or codec not in _BITMAPS_IN.get(container, set()):
        return None
    return SubtitleTrack(
        source_index=stream.index,
        codec=codec,
        encoder=encoder,
        track=own_form(stream) if container == "abr" else None,
        language=stream.language,
        title=stream.title,
        disposition=stream.disposition,
    )


def _text(stream: SubtitleStream) -> bool:
    return stream.kind == "text"


def _kept(stream: SubtitleStream, kept: tuple[SubtitleTrack, ...]) -> bool:
    return any(track.source_index == stream.index for track in kept)


def _dropped(stream: SubtitleStream, container: str) -> Finding:
    language = f" ({stream.language})" if stream.language else ""
    what = "text" if _text(stream) else "picture"
    known = not _text(stream) or stream.codec in READABLE
    why = f"{container} cannot hold {stream.codec}" if known else "their format cannot be read"
    return Finding(
        code=f"subtitle-dropped-{stream.index}",
        severity=Severity.ok,
        message=f"the {what} subtitles of stream {stream.index}{language} are left out: {why}",
    )


def _is_file(attachment: Attachment) -> bool:
    return attachment.kind in {"font", "other"} and attachment.filename is not None


def _chapter_track(media: MediaInfo) -> tuple[int, ...]:
    """The text track that an MP4 with chapters keeps their titles in: a part of them."""
    texts = (a for a in media.attachments if a.kind == "data" and a.tag in {None, "text"})
    return tuple(a.index for a in texts) if media.chapters else ()


def _cover_fits(attachment: Attachment, container: str) -> bool:
    return attachment.kind == "cover" and attachment.codec in _COVERS_IN.get(container, set())


def _tell_lost(lost: list[Attachment], container: str) -> Iterator[Finding]:
    names = {
        "cover": "the cover picture",
        "font": "the attached fonts",
        "data": "data tracks",
        "timecode": "the timecode track",
        "other": "other attachments",
    }
    for kind, name in names.items():
        if any(attachment.kind == kind for attachment in lost):
            yield Finding(
                code=f"{kind}-dropped",
                severity=Severity.ok,
                message=f"{name} of the source are not kept in {container}"
                if name.endswith("s")
                else f"{name} of the source is not kept in {container}",
            )

"""One opened container as the JSON of a MediaInfo."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from darkstream.media.prober.head import Refused
from darkstream.media.prober.layout import Layout
from darkstream.media.prober.packets import look_inside
from darkstream.media.prober.streams import describe_stream, seconds, text

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.container.core import Chapter

_REVISION = 7
"""Counts up with every change of what the prober answers: part of every cache key."""
_FAMILIES = {"mpegts": "mpegts", "avi": "avi", "flv": "flv", "ogg": "ogg", "asf": "asf"}
_AUDIO = frozenset(
    (
        *("aac", "ac3", "aiff", "amr", "ape", "caf", "dts", "eac3", "flac", "mp3"),
        *("tta", "w64", "wav", "wv"),
    )
)
_TAGS = (
    *("title", "artist", "album", "album_artist", "composer", "genre", "track", "disc", "date"),
)
"""What music says of itself; nothing of places or devices."""
_CLOCK = Fraction(1, av.time_base)


def describe(
    container: InputContainer, layout: Layout, size: int, max_pixels: int
) -> dict[str, Any]:
    """Everything there is to say of a file; raises Refused where there is nothing to convert."""
    groups: dict[str, list[dict[str, Any]]] = {
        group: [] for group in ("video", "audio", "subtitles", "attachments")
    }
    for stream in container.streams:
        group, described = describe_stream(stream, layout, max_pixels)
        groups[group].append(described)
    if not groups["video"] and not groups["audio"]:
        raise Refused("it holds neither video nor audio")
    encrypted = layout.encrypted or any("enc_key_id" in s.metadata for s in container.streams)
    seen = look_inside(container, groups, size)
    if not seen.packets and not encrypted:
        raise Refused("it has a header but no picture or sound (no samples)")
    formats = container.format.name.split(",")
    tags = _tags(container)
    return {
        "formats": formats,
        "container": _family(formats, container.metadata, layout),
        "size_bytes": size,
        "content_bytes": layout.content_bytes,
        "duration": _duration(container, groups),
        "start": seconds(container.start_time, _CLOCK),
        "bit_rate": container.bit_rate or None,
        "faststart": layout.faststart,
        "encrypted": encrypted,
        "chapters": [_chapter(chapter) for chapter in container.chapters()],
        "title": tags.pop("title", None),
        "tags": list(tags.items()),
        "findings": list(_findings(layout, seen.missing_bytes, size)),
        "prober": _version(),
        **groups,
    }


def _version() -> str:
    library = ".".join(map(str, av.library_versions["libavformat"]))
    return f"darkstream {_REVISION}, pyav {av.__version__}, libavformat {library}"


def _family(formats: list[str], metadata: dict[str, str], layout: Layout) -> str:
    first = formats[0]
    if first == "mov":
        brand = metadata.get("major_brand", "").strip()
        return "mov" if brand in {"", "qt"} else "mp4"
    if first == "matroska":
        return "webm" if layout.doctype == "webm" else "matroska"
    return _FAMILIES.get(first, "audio" if first in _AUDIO else "other")


def _duration(container: InputContainer, groups: dict[str, list[dict[str, Any]]]) -> str | None:
    """The container's, unless only a data or timecode track makes it as long as that."""
    whole = seconds(container.duration, _CLOCK)
    tracks = [*groups["video"], *groups["audio"], *groups["subtitles"]]
    data = any(other["kind"] in {"data", "timecode"} for other in groups["attachments"])
    if whole is None or not data or any(track["duration"] is None for track in tracks):
        return whole
    return str(max(Fraction(track["duration"]) for track in tracks))


def _tags(container: InputContainer) -> dict[str, str]:
    """Title, artist and the like; Ogg keeps those of the whole with its only stream."""
    said = {name.lower(): value for name, value in container.metadata.items()}
    if not said.keys() & set(_TAGS) and len(container.streams) == 1:
        said = {name.lower(): value for name, value in container.streams[0].metadata.items()}
    return {name: value for name in _TAGS if (value := text(said.get(name)))}


def _chapter(chapter: Chapter) -> dict[str, Any]:
    base = Fraction(chapter["time_base"] or 1)
    return {
        "start": str(chapter["start"] * base),
        "end": str(chapter["end"] * base),
        "title": text(chapter["metadata"].get("title")),
    }


def _findings(layout: Layout, missing_bytes: int, size: int) -> Iterator[dict[str, str]]:
    missing_bytes = max(layout.missing_bytes, missing_bytes)
    if missing_bytes:
        message = f"the file ends {missing_bytes} bytes before its own index says"
        yield {"code": "truncated", "severity": "repairable", "message": message}
    elif layout.unfinished:
        message = "it ends without the mark of its end: the rest is missing"
        yield {"code": "truncated", "severity": "repairable", "message": message}
    if layout.content_bytes is not None:
        message = f"its last {size - layout.content_bytes} bytes are zeros: what was there is lost"
        yield {"code": "zeros-at-the-end", "severity": "repairable", "message": message}

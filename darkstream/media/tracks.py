"""Tracks of a presentation: what one DASH manifest and its segments say of each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from typing import Literal
from xml.etree import ElementTree as ET

from darkstream.media.boxes import find_spans, read_fragment, read_init
from darkstream.media.command.convert import MANIFEST
from darkstream.model.base import Frozen

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
TRICK_MODE = "http://dashif.org/guidelines/trickmode"
"""DASH-IF IOP 4.3, 3.2.9: a set of key frames of the set that the property names."""
TAG = f"{{{NAMESPACE}}}"
Range = Literal["SDR", "PQ", "HLG"]
_RANGES: dict[int, Range] = {16: "PQ", 18: "HLG"}
"""CICP codes of the transfers that HLS gives names."""


class Segment(Frozen):
    """One segment of a track: its file, when it begins and how long it lasts (seconds), its bytes.

    `key_bytes` are the first of them, which show its first picture.
    """

    name: str
    start: Fraction = Fraction(0)
    duration: Fraction
    size: int
    key_bytes: int | None = None


class Track(Frozen):
    """One rendition, audio or text track; pixels, CICP codes of its colour, ticks a second.

    `keys`: the key frames of a rendition alone, which DASH players show while seeking by sight.
    """

    id: int
    kind: Literal["video", "audio", "text", "keys"]
    codecs: str
    width: int | None = None
    height: int | None = None
    colour: tuple[int, int, int] | None = None
    init: str | None = None
    timescale: int = 1
    segments: tuple[Segment, ...]

    @property
    def duration(self) -> Fraction:
        """Of all segments."""
        return sum((segment.duration for segment in self.segments), Fraction(0))

    @property
    def playlist(self) -> str:
        """File name of its HLS playlist."""
        return f"{self.kind}-{self.id}.m3u8"

    @property
    def key_playlist(self) -> str:
        """File name of the HLS playlist of its key frames."""
        return f"{self.kind}-{self.id}-keys.m3u8"

    @property
    def video_range(self) -> Range:
        """HLS's word for its dynamic range."""
        return _RANGES.get(self.colour[1], "SDR") if self.colour else "SDR"

    @property
    def average(self) -> int:
        """bit/s of the whole."""
        return mean_rate([(segment.size, segment.duration) for segment in self.segments])

    @property
    def files(self) -> set[str]:
        """Every file it is in."""
        return {segment.name for segment in self.segments} | ({self.init} if self.init else set())

    def peak(self, target: int) -> int:
        """bit/s at its worst, for that target duration in seconds."""
        return peak_rate([(segment.size, segment.duration) for segment in self.segments], target)


def target_duration(tracks: Sequence[Track]) -> int:
    """One for all playlists with pictures or sound: RFC 8216bis 6.2.4 wants it equal."""
    return ceil(max(s.duration for t in tracks if t.kind != "text" for s in t.segments))


def peak_rate(segments: Sequence[tuple[int, Fraction]], target: int) -> int:
    """The peak segment bit rate of RFC 8216bis 4.1, bit/s: of (bytes, seconds) in order.

    The largest rate of any contiguous segments that last between half and one and a half times the
    target duration together; of the whole where none do.
    """
    least, most = Fraction(target, 2), Fraction(3 * target, 2)
    best = Fraction(0)
    for first in range(len(segments)):
        size, length = 0, Fraction(0)
        for count, duration in segments[first:]:
            size, length = size + count, length + duration
            if length > most:
                break
            if length >= least:
                best = max(best, size * 8 / length)
    return ceil(best) or mean_rate(segments)


def mean_rate(segments: Sequence[tuple[int, Fraction]]) -> int:
    """The average bit rate of (bytes, seconds), bit/s."""
    total = sum((duration for _, duration in segments), Fraction(0))
    return ceil(sum(size for size, _ in segments) * 8 / total) if total else 0


def parse_mpd(directory: bytes) -> ET.Element:
    """The DASH manifest in a directory."""
    # Our own ffmpeg wrote it a moment ago: no stranger's XML is read here.
    return ET.parse(os.path.join(directory, MANIFEST.encode())).getroot()  # noqa: S314


def read_tracks(directory: bytes) -> tuple[Track, ...]:
    """The tracks of the DASH manifest in a directory, in its order."""
    found: list[Track] = []
    for group in parse_mpd(directory).iter(f"{TAG}AdaptationSet"):
        for item in group.iter(f"{TAG}Representation"):
            if group.attrib["contentType"] == "text":
                duration = max(track.duration for track in found)
                name = child(item, "BaseURL").text or ""
                found.append(read_text(directory, int(item.attrib["id"]), name, duration))
            else:
                found.append(_read_track(directory, group, item))
    return tuple(found)


def read_text(directory: bytes, number: int, name: str, duration: Fraction) -> Track:
    """A track of WebVTT: one file, for as long as the presentation lasts."""
    size = os.stat(os.path.join(directory, name.encode())).st_size
    segment = Segment(name=name, duration=duration, size=size)
    return Track(id=number, kind="text", codecs="wvtt", segments=(segment,))


def _read_track(directory: bytes, group: ET.Element, item: ET.Element) -> Track:
    number = item.attrib["id"]
    template = child(item, "SegmentTemplate")
    video = group.attrib["contentType"] == "video"
    first = template.attrib["initialization"].replace("$RepresentationID$", number)
    init = read_init(os.path.join(directory, first.encode()))
    names = [name for name, _ in read_timeline(template, number)]
    fragments = [read_fragment(os.path.join(directory, name.encode())) for name in names]
    spans = find_spans(init, fragments)
    return Track(
        id=int(number),
        kind="keys" if is_trick_mode(group) else "video" if video else "audio",
        codecs=init.codecs,
        width=int(item.attrib["width"]) if video else None,
        height=int(item.attrib["height"]) if video else None,
        colour=init.colour,
        init=first,
        timescale=init.timescale,
        segments=tuple(
            Segment(
                name=name,
                start=start,
                duration=duration,
                size=os.stat(os.path.join(directory, name.encode())).st_size,
                key_bytes=fragment.first_sample_end if video else None,
            )
            for name, fragment, (start, duration) in zip(names, fragments, spans, strict=True)
        ),
    )


def is_trick_mode(group: ET.Element) -> bool:
    """Whether an adaptation set is one of key frames."""
    marks = group.findall(f"{TAG}EssentialProperty")
    return any(mark.get("schemeIdUri") == TRICK_MODE for mark in marks)


def read_timeline(template: ET.Element, number: str) -> Iterator[tuple[str, Fraction]]:
    """File name and seconds of each segment of a representation."""
    scale = int(template.attrib["timescale"])
    name = template.attrib["media"].replace("$RepresentationID$", number)
    index = int(template.attrib.get("startNumber", "1"))
    for entry in template.iter(f"{TAG}S"):
        for _ in range(int(entry.attrib.get("r", "0")) + 1):
            yield (
                name.replace("$Number%05d$", f"{index:05d}"),
                Fraction(int(entry.attrib["d"]), scale),
            )
            index += 1


def child(element: ET.Element, name: str) -> ET.Element:
    """A part that must be there."""
    found = element.find(f"{TAG}{name}")
    if found is None:
        raise ValueError(f"the DASH manifest has no {name}")
    return found

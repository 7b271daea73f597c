"""Manifests of a presentation: the DASH one made exact, HLS playlists over the same segments."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import Literal
from xml.etree import ElementTree as ET

from darkstream.media.command.convert import MANIFEST
from darkstream.media.languages import language_tag
from darkstream.model.base import Frozen
from darkstream.model.plan import AbrPackage, AudioTrack, EncodePlan

MASTER = "master.m3u8"
_NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
_TAG = f"{{{_NAMESPACE}}}"


class Segment(Frozen):
    """One segment of a track: its file name and its length in seconds."""

    name: str
    duration: Fraction


class Track(Frozen):
    """One rendition or audio track as the DASH manifest names it; seconds, pixels, bit/s."""

    id: int
    kind: Literal["video", "audio"]
    codecs: str
    width: int | None = None
    height: int | None = None
    init: str
    segments: tuple[Segment, ...]
    peak: int
    average: int

    @property
    def duration(self) -> Fraction:
        """Of all segments."""
        return sum((segment.duration for segment in self.segments), Fraction(0))

    @property
    def playlist(self) -> str:
        """File name of its HLS playlist."""
        return f"{self.kind}-{self.id}.m3u8"


def write_manifests(plan: EncodePlan, directory: bytes) -> None:
    """Make ffmpeg's DASH manifest exact and write HLS playlists beside it."""
    tracks = read_tracks(directory)
    _complete_mpd(plan, directory, tracks)
    for track in tracks:
        _write(directory, track.playlist, _media_playlist(track))
    _write(directory, MASTER, _master_playlist(plan, tracks))


def read_tracks(directory: bytes) -> tuple[Track, ...]:
    """The tracks of the DASH manifest in a directory, in its order."""
    root = _parse(directory)
    return tuple(
        _read_track(directory, group, representation)
        for group in root.iter(f"{_TAG}AdaptationSet")
        for representation in group.iter(f"{_TAG}Representation")
    )


def referenced_files(directory: bytes) -> set[bytes]:
    """Every file that the manifests in a directory name, and the manifests themselves."""
    found: set[bytes] = set()
    for name in os.listdir(directory):
        if name.endswith(b".mpd"):
            found.add(name)
            for track in read_tracks(directory):
                found |= {track.init.encode(), *(s.name.encode() for s in track.segments)}
        elif name.endswith(b".m3u8"):
            found.add(name)
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                found |= set(_named_in_playlist(file.read()))
    return found


def directory_size(directory: bytes) -> int:
    """Bytes of all files directly in a directory."""
    with os.scandir(directory) as entries:
        return sum(entry.stat().st_size for entry in entries)


def drop_unwanted(rule: AbrPackage, directory: bytes) -> None:
    """Remove the manifests that the plan does not ask for."""
    for name in os.listdir(directory):
        unwanted = not rule.hls if name.endswith(b".m3u8") else not rule.dash
        if name.endswith((b".m3u8", b".mpd")) and unwanted:
            os.unlink(os.path.join(directory, name))


def _named_in_playlist(text: str) -> Iterator[bytes]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            yield line.encode()
        elif found := re.search(r'URI="([^"]+)"', line):
            yield found.group(1).encode()


def _parse(directory: bytes) -> ET.Element:
    # Our own ffmpeg wrote it a moment ago: no stranger's XML is read here.
    return ET.parse(os.path.join(directory, MANIFEST.encode())).getroot()  # noqa: S314


def _read_track(directory: bytes, group: ET.Element, item: ET.Element) -> Track:
    template = _child(item, "SegmentTemplate")
    number = item.attrib["id"]
    segments = tuple(_read_segments(template, number))
    sizes = [os.stat(os.path.join(directory, s.name.encode())).st_size for s in segments]
    rates = [size * 8 / s.duration for size, s in zip(sizes, segments, strict=True) if s.duration]
    total = sum((segment.duration for segment in segments), Fraction(0))
    return Track(
        id=int(number),
        kind="video" if _is_video(group) else "audio",
        codecs=item.attrib["codecs"],
        width=int(item.attrib["width"]) if "width" in item.attrib else None,
        height=int(item.attrib["height"]) if "height" in item.attrib else None,
        init=template.attrib["initialization"].replace("$RepresentationID$", number),
        segments=segments,
        peak=ceil(max(rates, default=Fraction(0))),
        average=ceil(sum(sizes) * 8 / total) if total else 0,
    )


def _read_segments(template: ET.Element, number: str) -> Iterator[Segment]:
    scale = int(template.attrib["timescale"])
    name = template.attrib["media"].replace("$RepresentationID$", number)
    index = int(template.attrib.get("startNumber", "1"))
    for entry in template.iter(f"{_TAG}S"):
        for _ in range(int(entry.attrib.get("r", "0")) + 1):
            yield Segment(
                name=name.replace("$Number%05d$", f"{index:05d}"),
                duration=Fraction(int(entry.attrib["d"]), scale),
            )
            index += 1


def _child(element: ET.Element, name: str) -> ET.Element:
    found = element.find(f"{_TAG}{name}")
    if found is None:
        raise ValueError(f"the DASH manifest has no {name}")
    return found


def _complete_mpd(plan: EncodePlan, directory: bytes, tracks: tuple[Track, ...]) -> None:
    """Measured bandwidths, exact durations, and labels; ffmpeg guesses or rounds them."""
    ET.register_namespace("", _NAMESPACE)
    root = _parse(directory)
    duration = max(track.duration for track in tracks)
    longest = max(segment.duration for track in tracks for segment in track.segments)
    root.set("mediaPresentationDuration", f"PT{float(duration):.3f}S")
    root.set("maxSegmentDuration", f"PT{float(longest):.3f}S")
    _merge_video(root)
    audio = iter(plan.audio)
    for group in root.iter(f"{_TAG}AdaptationSet"):
        # Every rendition has its own initialisation, so a switch needs it again.
        group.attrib.pop("bitstreamSwitching", None)
        if not _is_video(group):
            _label(group, next(audio))
    peaks = {str(track.id): track.peak for track in tracks}
    for item in root.iter(f"{_TAG}Representation"):
        item.set("bandwidth", str(peaks[item.attrib["id"]]))
    text = ET.tostring(root, encoding="unicode", xml_declaration=False)
    _write(directory, MANIFEST, f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _merge_video(root: ET.Element) -> None:
    """All renditions in one set, between which players switch."""
    for period in root.iter(f"{_TAG}Period"):
        groups = [g for g in period.findall(f"{_TAG}AdaptationSet") if _is_video(g)]
        for group in groups[1:]:
            groups[0].extend(group.findall(f"{_TAG}Representation"))
            period.remove(group)


def _is_video(group: ET.Element) -> bool:
    return group.attrib["contentType"] == "video"


def _label(group: ET.Element, track: AudioTrack) -> None:
    if track.language:
        group.set("lang", language_tag(track.language))
    if track.title:
        label = ET.Element(f"{_TAG}Label")
        label.text = track.title
        group.insert(0, label)


def _media_playlist(track: Track) -> str:
    target = ceil(max(segment.duration for segment in track.segments))
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{target}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{track.init}"',
    ]
    for segment in track.segments:
        lines += [f"#EXTINF:{float(segment.duration):.6f},", segment.name]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _master_playlist(plan: EncodePlan, tracks: tuple[Track, ...]) -> str:
    audio = [track for track in tracks if track.kind == "audio"]
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    names = _names(plan.audio)
    for track, source, name in zip(audio, plan.audio, names, strict=True):
        lines.append(_audio_line(track, source, name, default=track is audio[0]))
    for track, rendition in zip(_video(tracks), plan.renditions, strict=True):
        rate = getattr(rendition, "rate", None)
        lines += [_variant_line(track, audio, rate), track.playlist]
    return "\n".join([*lines, ""])


def _video(tracks: tuple[Track, ...]) -> list[Track]:
    return [track for track in tracks if track.kind == "video"]


def _names(audio: tuple[AudioTrack, ...]) -> list[str]:
    """A name for each track, no two the same, that a quoted attribute can hold."""
    plain = [" ".join((a.title or a.language or "Audio").replace('"', "'").split()) for a in audio]
    return [
        name if plain.count(name) == 1 else f"{name} {number}"
        for number, name in enumerate(plain, start=1)
    ]


def _audio_line(track: Track, source: AudioTrack, name: str, *, default: bool) -> str:
    language = f'LANGUAGE="{language_tag(source.language)}",' if source.language else ""
    return (
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="{name}",{language}'
        f"DEFAULT={'YES' if default else 'NO'},AUTOSELECT=YES,"
        f'CHANNELS="{source.channels}",URI="{track.playlist}"'
    )


def _variant_line(track: Track, audio: list[Track], rate: Fraction | None) -> str:
    """BANDWIDTH is the sum of the peaks, as RFC 8216 asks."""
    peak = track.peak + max((other.peak for other in audio), default=0)
    average = track.average + max((other.average for other in audio), default=0)
    codecs = ",".join([track.codecs, *sorted({other.codecs for other in audio})])
    parts = [
        f"BANDWIDTH={peak}",
        f"AVERAGE-BANDWIDTH={average}",
        f'CODECS="{codecs}"',
        f"RESOLUTION={track.width}x{track.height}",
    ]
    if rate is not None:
        parts.append(f"FRAME-RATE={float(rate):.3f}")
    if audio:
        parts.append('AUDIO="audio"')
    return f"#EXT-X-STREAM-INF:{','.join(parts)}"


def _write(directory: bytes, name: str, text: str) -> None:
    with open(os.path.join(directory, name.encode()), "w", encoding="utf-8") as file:
        file.write(text)

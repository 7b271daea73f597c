"""Rules of a single playlist and of the segments it lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from darkstream.media.validator.m3u8 import Playlist, PlaylistSegment
from darkstream.media.validator.protection import check_keys
from darkstream.media.validator.segments import Segments, spans
from darkstream.media.validator.violations import Violation

_EXACT = Fraction(1, 1000)
_METHODS = {"AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR"}
_CUE = re.compile(r"^((?:\d+:)?\d\d:\d\d\.\d{3})[ \t]+-->[ \t]+((?:\d+:)?\d\d:\d\d\.\d{3})", re.M)


def check_playlist(playlist: Playlist) -> Iterator[Violation]:
    """What holds of every playlist: its head, its version, its grammar."""
    if playlist.first != "#EXTM3U":
        yield _told(playlist, "4.4.1.1", "it does not begin with #EXTM3U")
    for line in playlist.broken:
        yield _told(playlist, "4.2", f"it cannot be read: {line}")
    version = playlist.tags.get("EXT-X-VERSION", "1")
    needed = _least_version(playlist)
    if not version.isdecimal() or int(version) < needed:
        yield _told(playlist, "8", f"EXT-X-VERSION is {version}, and it needs {needed}")


def check_media(segments: Segments, playlist: Playlist) -> Iterator[Violation]:
    """What is wrong in a media playlist and in its segments."""
    yield from check_playlist(playlist)
    yield from _check_head(playlist)
    for segment in playlist.segments:
        yield from _check_segment(segments, playlist, segment)
        for key in segment.keys:
            yield from _check_key(playlist, key)
        for key in segment.map_keys:
            if "IV" not in key and key.get("METHOD") == "AES-128":
                yield _told(playlist, "4.4.4.5", "an EXT-X-MAP in AES-128 needs an IV")
    for rule, message in check_keys(segments, playlist):
        yield Violation(rule=rule, file=playlist.name, message=message)
    if playlist.segments and playlist.segments[0].uri.endswith(".vtt"):
        for segment in playlist.segments:
            if not _sealed(segment):
                yield from check_text(playlist, segment.uri, segments.text(segment.uri))
    else:
        yield from _check_track(segments, playlist)


def span_of(segments: Segments, playlist: Playlist) -> tuple[tuple[Fraction, Fraction], ...] | None:
    """Begin and length of all segments by their boxes; by the playlist where they are closed."""
    first = playlist.segments[0] if playlist.segments else None
    if first is None or first.map is None:
        return None
    init = segments.init(first.map)
    found = None
    if init is not None and not _sealed(first):
        found = spans(segments, init, [segment.uri for segment in playlist.segments])
    if found is not None:
        return found
    return tuple((Fraction(0), segment.duration or Fraction(0)) for segment in playlist.segments)


def _told(playlist: Playlist, section: str, message: str) -> Violation:
    return Violation(rule=f"RFC 8216bis {section}", file=playlist.name, message=message)


def _sealed(segment: PlaylistSegment) -> bool:
    """Whether its boxes cannot be read without the key."""
    return _is_whole(segment.keys)


def _is_whole(keys: Sequence[Mapping[str, str]]) -> bool:
    return any(key.get("METHOD") == "AES-128" for key in keys)


def _least_version(playlist: Playlist) -> int:
    """Section 8."""
    only_keys = "EXT-X-I-FRAMES-ONLY" in playlist.tags
    found = [1]
    if any(s.duration is not None and s.duration.denominator > 1 for s in playlist.segments):
        found.append(3)
    if only_keys or any(s.byterange for s in playlist.segments):
        found.append(4)
    if any(s.map for s in playlist.segments):
        found.append(5 if only_keys else 6)
    if any("KEYFORMAT" in key for s in playlist.segments for key in s.keys):
        found.append(5)
    return max(found)


def _check_head(playlist: Playlist) -> Iterator[Violation]:
    if playlist.target is None:
        yield _told(playlist, "4.4.3.1", "EXT-X-TARGETDURATION is missing")
    if "EXT-X-ENDLIST" not in playlist.tags:
        yield _told(playlist, "4.4.3.4", "EXT-X-ENDLIST is missing")
    if playlist.tags.get("EXT-X-PLAYLIST-TYPE") != "VOD":
        yield _told(playlist, "4.4.3.5", "EXT-X-PLAYLIST-TYPE is not VOD")
    if not playlist.segments:
        yield _told(playlist, "4.4.4.1", "it lists no segment")


def _check_segment(
    segments: Segments, playlist: Playlist, segment: PlaylistSegment
) -> Iterator[Violation]:
    size = segments.size(segment.uri)
    if size is None:
        yield _told(playlist, "4.4.4", f"{segment.uri} is not there")
    if segment.duration is None:
        yield _told(playlist, "4.4.4.1", f"{segment.uri} has no EXTINF")
    elif playlist.target is not None and _rounded(segment.duration) > playlist.target:
        message = f"{segment.uri} lasts {float(segment.duration):g} s, the target duration is"
        yield _told(playlist, "4.4.3.1", f"{message} {playlist.target}")
    if segment.gap:
        yield _told(playlist, "4.4.4.7", f"{segment.uri} is a gap")
    if segment.byterange and size is not None and sum(segment.byterange) > size:
        yield _told(playlist, "4.4.4.2", f"the bytes of {segment.uri} end at {size}")


def _rounded(duration: Fraction) -> int:
    return int(duration + Fraction(1, 2))


def _check_key(playlist: Playlist, key: Mapping[str, str]) -> Iterator[Violation]:
    method = key.get("METHOD", "")
    if method not in _METHODS:
        yield _told(playlist, "4.4.4.4", f"EXT-X-KEY of method {method}")
    if not key.get("URI"):
        yield _told(playlist, "4.4.4.4", "EXT-X-KEY without URI")
    vector = key.get("IV")
    if vector is not None and not re.fullmatch(r"0[xX][0-9a-fA-F]{32}", vector):
        yield _told(playlist, "4.4.4.4", "the IV of EXT-X-KEY has not 128 bits")


def _check_track(segments: Segments, playlist: Playlist) -> Iterator[Violation]:
    """The segments of pictures or sound: complete, one behind the other, each a begin."""
    if any(segment.map is None for segment in playlist.segments):
        yield _told(playlist, "3.1.2", "fragmented MP4 without EXT-X-MAP")
        return
    maps = {s.map for s in playlist.segments if s.map and not _is_whole(s.map_keys)}
    open_ones = [segment for segment in playlist.segments if not _sealed(segment)]
    for name in sorted(maps):
        if segments.init(name) is None:
            yield _told(playlist, "3.1.2", f"{name} is no initialisation of a track")
    for segment in open_ones:
        fragment = segments.fragment(segment.uri)
        if fragment is None and segments.size(segment.uri) is not None:
            yield _told(playlist, "3.1.2", f"{segment.uri} is no segment of one fragment")
        elif fragment is not None and not fragment.starts_with_sync:
            yield _told(playlist, "4.4.2.1", f"{segment.uri} does not begin with a key frame")
        if fragment and segment.byterange not in {None, (fragment.first_sample_end, 0)}:
            yield _told(playlist, "4.4.3.6", f"{segment.uri}: the bytes are not those of a picture")
    if "EXT-X-I-FRAMES-ONLY" not in playlist.tags:
        yield from _check_times(segments, playlist)


def _check_times(segments: Segments, playlist: Playlist) -> Iterator[Violation]:
    if "EXT-X-INDEPENDENT-SEGMENTS" not in playlist.tags:
        yield _told(playlist, "4.4.2.1", "EXT-X-INDEPENDENT-SEGMENTS is missing")
    found = span_of(segments, playlist)
    if found is None or len(found) != len(playlist.segments):
        return
    for segment, (start, length) in zip(playlist.segments, found, strict=True):
        if segment.duration is not None and abs(segment.duration - length) > _EXACT:
            message = f"{segment.uri} lasts {float(length):g} s, not {float(segment.duration):g}"
            yield _told(playlist, "4.4.4.1", f"{message} (at {float(start):g} s)")
    yield from _check_gaps(segments, playlist)


def _check_gaps(segments: Segments, playlist: Playlist) -> Iterator[Violation]:
    """4.4.4.3: timestamps go on from segment to segment, where nothing says otherwise."""
    end: int | None = None
    for segment in playlist.segments:
        fragment = None if _sealed(segment) else segments.fragment(segment.uri)
        if fragment is None:
            return
        if end is not None and fragment.decode_time != end and not segment.discontinuity:
            yield _told(playlist, "4.4.4.3", f"there is a gap before {segment.uri}")
        end = fragment.decode_time + fragment.duration


def check_text(playlist: Playlist, name: str, text: str | None) -> Iterator[Violation]:
    """A segment of WebVTT: its head, its clock, cues in order that end after they begin."""
    if text is None:
        return
    lines = text.split("\n")
    if not re.match(r"WEBVTT(?:[ \t]|$)", lines[0].lstrip("\ufeff")):
        yield _told(playlist, "3.1.4", f"{name} does not begin with WEBVTT")
    clock = re.search(r"^X-TIMESTAMP-MAP=(.*)$", text.partition("\n\n")[0], re.M)
    if clock is None or {part.partition(":")[0] for part in clock[1].split(",")} != {
        "MPEGTS",
        "LOCAL",
    }:
        yield _told(playlist, "3.1.4", f"{name} has no X-TIMESTAMP-MAP")
    last = Fraction(0)
    for match in _CUE.finditer(text):
        begin, end = _clock(match[1]), _clock(match[2])
        if begin < last or end < begin:
            yield _told(playlist, "3.1.4", f"{name}: the cue at {match[1]} is out of order")
        last = begin


def _clock(text: str) -> Fraction:
    found = Fraction(0)
    for part in text.split(":"):
        found = found * 60 + Fraction(part)
    return found

"""Rules of encryption: manifests name the key of every track, and nothing is left clear."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID
from xml.etree import ElementTree as ET

from darkstream.media.boxes import BrokenBoxes
from darkstream.media.boxtree import number, only, split
from darkstream.media.decryption import Protection
from darkstream.media.tracks import TAG, read_timeline
from darkstream.media.validator.m3u8 import Playlist, PlaylistSegment
from darkstream.media.validator.segments import Segments

_KEYS, _MAP, _CENC = "RFC 8216bis 4.4.4.4", "RFC 8216bis 4.4.4.5", "ISO/IEC 23001-7"
_MPD_RULE = f"{_CENC} 11.2"
_BLOCK = 16
_LARGE = 1 << 16
"""Bytes of samples of which the greater part must be encrypted; small ones are mostly headers."""
_WHOLE, _SAMPLES = "AES-128", "SAMPLE-AES-CTR"
_SCHEME_URI = "urn:mpeg:dash:mp4protection:2011"
_KID, _PSSH = "{urn:mpeg:cenc:2013}default_KID", "{urn:mpeg:cenc:2013}pssh"

Broken = Iterator[tuple[str, str]]
"""Rule and what is wrong."""


def check_keys(segments: Segments, playlist: Playlist) -> Broken:
    """EXT-X-KEY of a media playlist, and the segments and initialisations below it."""
    checked: set[str] = set()
    for segment in playlist.segments:
        for key in segment.keys:
            if key.get("METHOD") == _WHOLE and segment.byterange is not None:
                yield _KEYS, f"{segment.uri} is encrypted as a whole: no bytes of it can be shown"
            if key.get("METHOD") == _SAMPLES and "IV" in key:
                yield _KEYS, "an IV with SAMPLE-AES-CTR, where it is in the segments"
        if _uses(segment.keys, _WHOLE):
            yield from _check_whole(segments, segment.uri)
        if segment.map is None:
            continue
        if segment.map not in checked:
            checked.add(segment.map)
            yield from _check_map(segments, segment, segment.map)
        if _uses(segment.keys, _SAMPLES):
            yield from _check_samples(segments, segment.map, segment.uri)


def check_all_or_none(playlists: Sequence[Playlist]) -> Broken:
    """Where one track is encrypted, each is."""
    closed = {playlist.name: all(s.keys for s in playlist.segments) for playlist in playlists}
    if any(closed.values()) and not all(closed.values()):
        left = min(name for name, done in closed.items() if not done)
        yield _KEYS, f"{left} has segments without a key, and other tracks are encrypted"


def check_content_protection(segments: Segments, groups: Sequence[ET.Element]) -> Broken:
    """ContentProtection of an MPD's sets of video and audio, and their tracks."""
    sets = [group for group in groups if group.get("contentType") in {"video", "audio"}]
    for group in sets:
        marks = group.findall(f"{TAG}ContentProtection")
        schemes = [mark for mark in marks if mark.get("schemeIdUri") == _SCHEME_URI]
        for item in group.findall(f"{TAG}Representation"):
            yield from _check_item(segments, group, item, schemes)
        for mark in marks:
            yield from _check_mark(mark, schemes)
    closed = [bool(group.findall(f"{TAG}ContentProtection")) for group in sets]
    if any(closed) and not all(closed):
        left = sets[closed.index(False)].get("id")
        yield _MPD_RULE, f"AdaptationSet {left} is clear, and others are encrypted"


def _uses(keys: Sequence[Mapping[str, str]], method: str) -> bool:
    return any(key.get("METHOD") == method for key in keys)


def _check_whole(segments: Segments, name: str) -> Broken:
    size = segments.size(name)
    if size is not None and (size % _BLOCK or not size):
        yield _KEYS, f"{name} is not encrypted by AES-128: it has no whole number of blocks"
    text = segments.text(name) or ""
    if segments.fragment(name) or segments.init(name) or text.startswith("WEBVTT"):
        yield _KEYS, f"{name} is left clear"


def _check_map(segments: Segments, segment: PlaylistSegment, name: str) -> Broken:
    if _uses(segment.map_keys, _WHOLE):
        yield from _check_whole(segments, name)
        return
    told = segments.protection(name)
    if told is None and _uses(segment.keys, _SAMPLES):
        yield f"{_CENC} 8.2", f"{name} says nothing of the encryption that the playlist names"
    if told is not None and not _uses(segment.map_keys, _SAMPLES):
        yield _KEYS, f"{name} begins an encrypted track, and no EXT-X-KEY says so"
    for key in segment.map_keys if told is not None else ():
        if (
            told is not None
            and key.get("KEYID", f"0x{told.key_id.hex()}") != f"0x{told.key_id.hex()}"
        ):
            yield _KEYS, f"KEYID is {key['KEYID']}, and {name} says 0x{told.key_id.hex()}"


def _check_samples(segments: Segments, init: str, name: str) -> Broken:
    told = segments.protection(init)
    if told is None or segments.size(name) is None:
        return
    if told.scheme != "cenc" or told.vector_bytes not in {8, 16}:
        yield f"{_CENC} 10.1", f"{init} is of the scheme {told.scheme}, not cenc"
        return
    found = segments.encrypted(name, told.vector_bytes)
    if found is None:
        yield f"{_CENC} 7.2", f"{name} is left clear, or does not say how it is encrypted"
    elif found[1] > _LARGE and 2 * found[0] < found[1]:
        yield f"{_CENC} 9.5", f"{name} is for the greater part clear"


def _check_item(
    segments: Segments, group: ET.Element, item: ET.Element, schemes: Sequence[ET.Element]
) -> Broken:
    template, number_ = item.find(f"{TAG}SegmentTemplate"), item.get("id", "")
    if template is None:
        return
    init = template.get("initialization", "").replace("$RepresentationID$", number_)
    told = segments.protection(init)
    name = f"AdaptationSet {group.get('id')}"
    if told is None and schemes:
        yield _MPD_RULE, f"{name} is said to be encrypted, and {init} is not"
    if told is None:
        return
    named = [(one.get("value"), one.get(_KID)) for one in schemes]
    if named != [_expected(told)]:
        yield _MPD_RULE, f"{name} does not name the scheme and key that {init} names"
    for segment, _ in read_timeline(template, number_):
        yield from _check_samples(segments, init, segment)


def _expected(told: Protection) -> tuple[str, str]:
    return told.scheme, str(UUID(bytes=told.key_id))


def _check_mark(mark: ET.Element, schemes: Sequence[ET.Element]) -> Broken:
    for child in mark:
        if child.tag.endswith("}Laurl") and not (child.text or "").strip():
            yield "DASH-IF IOP 4.3, content protection", "Laurl is empty"
        if child.tag == _PSSH:
            ids = _key_ids(child.text or "")
            named = {(one.get(_KID) or "").replace("-", "") for one in schemes}
            if ids is None or not named <= ids:
                yield _MPD_RULE, "pssh does not hold the id of the key"


def _key_ids(text: str) -> set[str] | None:
    """The ids in a Base64 `pssh` of version 1 (8.1)."""
    try:
        body = only(split(base64.b64decode(text, validate=True)), b"pssh")
        count = number(body, 20)
        return {body[24 + 16 * n : 40 + 16 * n].hex() for n in range(min(count, 256))}
    except (binascii.Error, BrokenBoxes):
        return None

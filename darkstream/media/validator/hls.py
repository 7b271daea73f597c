"""Rules of the multivariant playlist, and of what all playlists of a presentation share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from darkstream.media.tracks import mean_rate, peak_rate
from darkstream.media.validator.m3u8 import Playlist, parse_playlist
from darkstream.media.validator.media_playlist import check_media, check_playlist, span_of
from darkstream.media.validator.protection import check_all_or_none
from darkstream.media.validator.segments import Segments
from darkstream.media.validator.violations import Violation

_RFC = "RFC 8216bis"
_APPLE = "HLS Authoring Specification, rates of VOD"
_TYPES = {"AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"}
_RANGES = {16: "PQ", 18: "HLG"}
_WITHIN = Fraction(1, 10)
"""How far a measured rate may be from the declared one."""
_ROUNDED = 1 - Fraction(1, 10**3)
"""What the rounding of EXTINF does to the rate of a segment of one picture."""


def check_hls(segments: Segments, name: str) -> Iterator[Violation]:
    """Everything that is wrong from a multivariant playlist downwards."""
    master = _load(segments, name)
    if master is None:
        yield Violation(rule=f"{_RFC} 4.1", file=name, message="it cannot be read")
        return
    yield from check_playlist(master)
    if "EXT-X-INDEPENDENT-SEGMENTS" not in master.tags:
        yield _told(master, "4.4.2.1", "EXT-X-INDEPENDENT-SEGMENTS is missing")
    yield from _check_groups(master)
    below: dict[str, Playlist] = {}
    for uri in _uris(master):
        playlist = _load(segments, uri)
        if playlist is None:
            yield _told(master, "4.1", f"{uri} cannot be read")
        else:
            below[uri] = playlist
            yield from check_media(segments, playlist)
    yield from _check_variants(segments, master, below)
    yield from _check_key_variants(segments, master, below)
    yield from _check_together(segments, master, below)


def _told(playlist: Playlist, section: str, message: str) -> Violation:
    return Violation(rule=f"{_RFC} {section}", file=playlist.name, message=message)


def _load(segments: Segments, name: str) -> Playlist | None:
    text = segments.text(name)
    return None if text is None else parse_playlist(name, text)


def _uris(master: Playlist) -> list[str]:
    found = [media["URI"] for media in master.media if "URI" in media]
    found += [uri for _, uri in master.variants]
    found += [variant["URI"] for variant in master.key_variants if "URI" in variant]
    return list(dict.fromkeys(found))


def _check_groups(master: Playlist) -> Iterator[Violation]:
    for media in master.media:
        yield from _check_rendition(master, media)
    for kind, group in sorted({(m.get("TYPE", ""), m.get("GROUP-ID", "")) for m in master.media}):
        members = [m for m in master.media if (m.get("TYPE"), m.get("GROUP-ID")) == (kind, group)]
        for name, count in Counter(m.get("NAME", "") for m in members).items():
            if count > 1:
                yield _told(master, "4.4.6.1.1", f"{count} renditions of {group} are named {name}")
        defaults = sum(m.get("DEFAULT") == "YES" for m in members)
        if defaults > 1 or (kind == "AUDIO" and not defaults):
            yield _told(master, "4.4.6.1.1", f"{defaults} renditions of {group} are the default")
        chosen = Counter(_criteria(m) for m in members if m.get("AUTOSELECT") == "YES")
        if any(count > 1 for count in chosen.values()):
            message = f"players cannot choose between renditions of {group} that say the same"
            yield _told(master, "4.4.6.1.1", message)
    yield from _check_same_members(master)


def _check_same_members(master: Playlist) -> Iterator[Violation]:
    """Groups of one kind have the same members, alike in all but where they are and channels."""
    alike: dict[str, dict[str, list[dict[str, str]]]] = {}
    for media in master.media:
        own = {n: v for n, v in media.items() if n not in {"URI", "GROUP-ID", "CHANNELS"}}
        groups = alike.setdefault(media.get("TYPE", ""), {})
        groups.setdefault(media.get("GROUP-ID", ""), []).append(own)
    for groups in alike.values():
        first, *others = (sorted(members, key=str) for members in groups.values())
        if any(members != first for members in others):
            names = " and ".join(groups)
            yield _told(master, "4.4.6.1.1", f"the groups {names} have not the same members")


def _criteria(media: Mapping[str, str]) -> tuple[str, ...]:
    names = ("LANGUAGE", "ASSOC-LANGUAGE", "FORCED", "CHARACTERISTICS", "CHANNELS")
    return tuple(media.get(name, "") for name in names)


def _check_rendition(master: Playlist, media: Mapping[str, str]) -> Iterator[Violation]:
    kind = media.get("TYPE", "")
    for name in ("TYPE", "GROUP-ID", "NAME"):
        if not media.get(name):
            yield _told(master, "4.4.6.1", f"EXT-X-MEDIA without {name}")
    if kind not in _TYPES:
        yield _told(master, "4.4.6.1", f"EXT-X-MEDIA of type {kind}")
    if kind == "SUBTITLES" and "URI" not in media:
        yield _told(master, "4.4.6.2.1", "subtitles without URI")
    if media.get("DEFAULT") == "YES" and media.get("AUTOSELECT", "YES") != "YES":
        yield _told(master, "4.4.6.1", "a default that players may not choose")
    if "FORCED" in media and kind != "SUBTITLES":
        yield _told(master, "4.4.6.1", "FORCED on what is no subtitles")
    if kind == "AUDIO" and not re.fullmatch(r"\d+(/.*)?", media.get("CHANNELS", "")):
        yield _told(master, "4.4.6.1", "audio without CHANNELS")


def _check_variants(
    segments: Segments, master: Playlist, below: Mapping[str, Playlist]
) -> Iterator[Violation]:
    if not master.variants:
        yield _told(master, "4.4.6.2", "no EXT-X-STREAM-INF")
    for variant, uri in master.variants:
        for name in ("BANDWIDTH", "AVERAGE-BANDWIDTH"):
            if not variant.get(name, "").isdecimal():
                yield _told(master, "4.4.6.2", f"{uri}: {name} is missing")
        rate = variant.get("FRAME-RATE")
        if rate is not None and not re.fullmatch(r"\d+\.\d{1,3}", rate):
            yield _told(master, "4.4.6.2", f"{uri}: FRAME-RATE {rate} is no rate of three decimals")
        yield from _check_group_names(master, variant, uri)
        if uri in below:
            yield from _check_picture(segments, master, variant, below[uri])
            groups = [_members(master, below, variant.get(k), k) for k in ("AUDIO", "SUBTITLES")]
            yield from _check_codecs(segments, master, variant, [below[uri], *groups[0]])
            yield from _check_rates(segments, master, variant, below[uri], groups)


def _check_group_names(
    master: Playlist, variant: Mapping[str, str], uri: str
) -> Iterator[Violation]:
    for kind in ("AUDIO", "SUBTITLES"):
        known = {media.get("GROUP-ID") for media in master.media if media.get("TYPE") == kind}
        if kind in variant and variant[kind] not in known:
            yield _told(master, "4.4.6.2", f"{uri}: no {kind} group {variant[kind]}")
        if known and kind not in variant:
            yield _told(master, "4.4.6.2", f"{uri}: it has no {kind}, which others have")


def _members(
    master: Playlist, below: Mapping[str, Playlist], group: str | None, kind: str
) -> list[Playlist]:
    named = [m for m in master.media if (m.get("TYPE"), m.get("GROUP-ID")) == (kind, group)]
    return [below[m["URI"]] for m in named if m.get("URI") in below]


def _check_picture(
    segments: Segments, master: Playlist, variant: Mapping[str, str], playlist: Playlist
) -> Iterator[Violation]:
    """RESOLUTION and VIDEO-RANGE are those of the track."""
    name = playlist.segments[0].map if playlist.segments else None
    init = segments.init(name) if name is not None else None
    if init is None or init.width is None:
        return
    size = f"{init.width}x{init.height}"
    if variant.get("RESOLUTION") != size:
        told = variant.get("RESOLUTION", "missing")
        yield _told(master, "4.4.6.2", f"{playlist.name}: RESOLUTION is {told}, not {size}")
    real = _RANGES.get(init.colour[1], "SDR") if init.colour else "SDR"
    if variant.get("VIDEO-RANGE", "SDR") != real:
        told = variant.get("VIDEO-RANGE", "missing")
        yield _told(master, "4.4.6.2", f"{playlist.name}: VIDEO-RANGE is {told}, not {real}")


def _check_codecs(
    segments: Segments, master: Playlist, variant: Mapping[str, str], playlists: Sequence[Playlist]
) -> Iterator[Violation]:
    maps = [p.segments[0].map for p in playlists if p.segments]
    found = [segments.init(name) for name in maps if name is not None]
    if any(init is None for init in found):
        return  # encrypted as a whole, or told already
    real = {init.codecs.lower() for init in found if init is not None}
    told = {codec.strip().lower() for codec in variant.get("CODECS", "").split(",")}
    if told != real:
        listed = ", ".join(sorted(real))
        message = f"{playlists[0].name}: CODECS is '{variant.get('CODECS', '')}', not {listed}"
        yield _told(master, "4.4.6.2", message)


def _check_rates(
    segments: Segments,
    master: Playlist,
    variant: Mapping[str, str],
    playlist: Playlist,
    groups: Sequence[Sequence[Playlist]],
) -> Iterator[Violation]:
    """BANDWIDTH holds the peaks of what is played together, neither has much to spare."""
    peak = _peak(segments, playlist) + sum(
        max((_peak(segments, other) for other in group), default=0) for group in groups
    )
    mean = mean_rate(_sizes(segments, playlist)) + sum(
        max((mean_rate(_sizes(segments, other)) for other in group), default=0) for group in groups
    )
    told = _number(variant, "BANDWIDTH")
    if told < peak * _ROUNDED:
        message = f"{playlist.name}: BANDWIDTH {told} is below the peak of {peak}"
        yield _told(master, "4.4.6.2", message)
    for name, real in (("BANDWIDTH", peak), ("AVERAGE-BANDWIDTH", mean)):
        declared = _number(variant, name)
        if abs(declared - real) > real * _WITHIN:
            yield Violation(
                rule=_APPLE,
                file=master.name,
                message=f"{playlist.name}: {name} {declared} is far from the measured {real}",
            )


def _number(variant: Mapping[str, str], name: str) -> int:
    value = variant.get(name, "")
    return int(value) if value.isdecimal() else 0


def _peak(segments: Segments, playlist: Playlist) -> int:
    return peak_rate(_sizes(segments, playlist), playlist.target or 1)


def _sizes(segments: Segments, playlist: Playlist) -> list[tuple[int, Fraction]]:
    return [
        (s.byterange[0] if s.byterange else segments.size(s.uri) or 0, s.duration or Fraction(0))
        for s in playlist.segments
    ]


def _check_key_variants(
    segments: Segments, master: Playlist, below: Mapping[str, Playlist]
) -> Iterator[Violation]:
    for variant in master.key_variants:
        uri = variant.get("URI", "")
        if "URI" not in variant or not variant.get("BANDWIDTH", "").isdecimal():
            message = "EXT-X-I-FRAME-STREAM-INF without URI or BANDWIDTH"
            yield _told(master, "4.4.6.3", message)
        elif uri in below:
            yield from _check_picture(segments, master, variant, below[uri])
            peak = _peak(segments, below[uri])
            if int(variant["BANDWIDTH"]) < peak * _ROUNDED:
                message = f"{uri}: BANDWIDTH {variant['BANDWIDTH']} is below the peak of {peak}"
                yield _told(master, "4.4.6.3", message)
            if "EXT-X-I-FRAMES-ONLY" not in below[uri].tags:
                yield _told(below[uri], "4.4.6.3", "EXT-X-I-FRAMES-ONLY is missing")


def _check_together(
    segments: Segments, master: Playlist, below: Mapping[str, Playlist]
) -> Iterator[Violation]:
    """One target duration, and renditions that can be switched at every segment."""
    text = {media.get("URI") for media in master.media if media.get("TYPE") == "SUBTITLES"}
    keys = {variant.get("URI") for variant in master.key_variants}
    played = [playlist for uri, playlist in below.items() if uri not in text | keys]
    targets = {playlist.target for playlist in played}
    if len(targets) > 1:
        listed = ", ".join(sorted(map(str, targets)))
        yield _told(master, "6.2.4", f"its playlists have several target durations: {listed}")
    for rule, message in check_all_or_none(played):
        yield Violation(rule=rule, file=master.name, message=message)
    variants = [below[uri] for _, uri in master.variants if uri in below]
    for other in variants[1:]:
        if span_of(segments, other) != span_of(segments, variants[0]):
            message = f"its segments begin elsewhere than those of {variants[0].name}"
            yield _told(other, "6.2.4", message)

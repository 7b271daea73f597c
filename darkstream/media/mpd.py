"""The DASH manifest: what ffmpeg wrote made exact, and what it leaves out put in.

Rules: ISO/IEC 23009-1, DASH-IF IOP 4.3; roles by urn:mpeg:dash:role:2011; colour by the CICP
schemes of ISO/IEC 23091-2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from math import ceil
from xml.etree import ElementTree as ET

from darkstream.media.tracks import NAMESPACE, TAG, TRICK_MODE, Track, child
from darkstream.model.media import Disposition
from darkstream.model.plan import AudioTrack, EncodePlan, SubtitleTrack
from darkstream.planning.languages import language_tag

_ROLES = "urn:mpeg:dash:role:2011"
_PURPOSES = "urn:tva:metadata:cs:AudioPurposeCS:2007"
_FOR_BLIND, _FOR_DEAF = "1", "2"
_CICP = ("ColourPrimaries", "TransferCharacteristics", "MatrixCoefficients")
_PLAYOUT_RATE = "32"
_ESSENTIAL_TRANSFER = 16
"""PQ shows nothing right on a player that does not know it; HLG shows as SDR (ETSI TS 103 285)."""


def complete_mpd(plan: EncodePlan, root: ET.Element, tracks: Sequence[Track], target: int) -> str:
    """The manifest as text. ffmpeg guesses bandwidths, rounds durations, and knows no languages."""
    media = [track for track in tracks if track.kind != "text"]
    duration = max(track.duration for track in media)
    longest = max(segment.duration for track in media for segment in track.segments)
    root.set("mediaPresentationDuration", _seconds(duration))
    root.set("maxSegmentDuration", _seconds(longest))
    for period in root.iter(f"{TAG}Period"):
        _merge_video(period)
    known = {str(track.id): track for track in media}
    audio = iter(plan.audio)
    main = next((t for t in plan.audio if t.disposition.default), next(iter(plan.audio), None))
    for group in root.iter(f"{TAG}AdaptationSet"):
        # Every rendition has its own initialisation, so a switch needs it again.
        group.attrib.pop("bitstreamSwitching", None)
        items = list(group.iter(f"{TAG}Representation"))
        for item in items:
            track = known[item.attrib["id"]]
            item.set("codecs", track.codecs)
            _write_timeline(child(item, "SegmentTemplate"), track)
        if group.attrib["contentType"] == "video":
            _describe_video(group, items, plan, known[items[0].attrib["id"]])
        else:
            source = next(audio)
            _describe(group, source, _audio_marks(source, main=source is main))
    for period in root.iter(f"{TAG}Period"):
        texts = [track for track in tracks if track.kind == "text"]
        for track, subtitle in zip(texts, plan.subtitles, strict=True):
            period.append(_text_set(track, subtitle, target))
        keys = [track for track in tracks if track.kind == "keys"]
        period.extend(_key_set(track, period) for track in keys)
    tell_rates(root, media, target)
    return write_mpd(root)


def tell_rates(root: ET.Element, tracks: Sequence[Track], target: int) -> None:
    """What the sizes of the segments say: bandwidths, and what to have before playing."""
    media = [track for track in tracks if track.kind != "text"]
    longest = max(segment.duration for track in media for segment in track.segments)
    root.set("minBufferTime", _seconds(max(longest, _buffer(media, target))))
    known = {str(track.id): track for track in media}
    for item in root.iter(f"{TAG}Representation"):
        if (track := known.get(item.attrib["id"])) is not None:
            item.set("bandwidth", str(track.peak(target)))


def write_mpd(root: ET.Element) -> str:
    """The manifest as text."""
    ET.register_namespace("", NAMESPACE)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode", xml_declaration=False)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _seconds(duration: Fraction) -> str:
    return f"PT{float(duration):.3f}S"


def _buffer(tracks: Sequence[Track], target: int) -> Fraction:
    """What to have before playing at @bandwidth, never to wait (ISO/IEC 23009-1 5.3.5.2)."""
    needed = Fraction(0)
    for track in tracks:
        rate, owed = track.peak(target), Fraction(0)
        for segment in track.segments:
            owed = max(Fraction(0), owed) + 8 * segment.size
            needed = max(needed, owed / rate)
            owed -= rate * segment.duration
    return Fraction(ceil(needed * 1000), 1000)


def _write_timeline(template: ET.Element, track: Track) -> None:
    """The times of the segments themselves; ffmpeg guesses the length of the last one."""
    timeline = child(template, "SegmentTimeline")
    timeline.clear()
    template.set("timescale", str(track.timescale))
    lengths = [int(segment.duration * track.timescale) for segment in track.segments]
    begin = {"t": str(int(track.segments[0].start * track.timescale))}
    for length, group in groupby(lengths):
        repeated = len(list(group)) - 1
        more = {"r": str(repeated)} if repeated else {}
        ET.SubElement(timeline, f"{TAG}S", {**begin, "d": str(length), **more})
        begin = {}


def _merge_video(period: ET.Element) -> None:
    """All renditions in one set, between which players switch."""
    sets = period.findall(f"{TAG}AdaptationSet")
    groups = [group for group in sets if group.attrib["contentType"] == "video"]
    for group in groups[1:]:
        groups[0].extend(group.findall(f"{TAG}Representation"))
        period.remove(group)


def _describe_video(
    group: ET.Element, items: Sequence[ET.Element], plan: EncodePlan, first: Track
) -> None:
    rates = [getattr(rendition, "rate", None) for rendition in plan.renditions]
    group.attrib.pop("frameRate", None)
    known = [rate for rate in rates if rate is not None]
    if known:
        group.set("maxFrameRate", _rate(max(known)))
    for item, rate in zip(items, rates, strict=True):
        if rate is not None:
            item.set("frameRate", _rate(rate))
    marks = [_mark("Role", _ROLES, "main")]
    if first.colour is not None:
        marks = [*_colour_marks(first.colour), *marks]
    for place, mark in enumerate(marks):
        group.insert(place, mark)


def _rate(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def _colour_marks(colour: tuple[int, int, int]) -> Iterator[ET.Element]:
    for scheme, code in zip(_CICP, colour, strict=True):
        essential = scheme == _CICP[1] and code == _ESSENTIAL_TRANSFER
        name = "EssentialProperty" if essential else "SupplementalProperty"
        yield _mark(name, f"urn:mpeg:mpegB:cicp:{scheme}", str(code))


def _describe(
    group: ET.Element, track: AudioTrack | SubtitleTrack, marks: Sequence[ET.Element]
) -> None:
    group.set("lang", language_tag(track.language) if track.language else "und")
    label = [_text("Label", track.title)] if track.title else []
    for place, mark in enumerate([*label, *marks]):
        group.insert(place, mark)


def _audio_marks(track: AudioTrack, *, main: bool) -> list[ET.Element]:
    """In the schema's order: Accessibility before Role."""
    flags = track.disposition
    marks = []
    if flags.visual_impaired:
        marks.append(_mark("Accessibility", _PURPOSES, _FOR_BLIND))
    marks.append(_mark("Role", _ROLES, "main" if main else "alternate"))
    for name, told in (("commentary", flags.comment), ("dub", flags.dub)):
        if told:
            marks.append(_mark("Role", _ROLES, name))
    return marks


def _text_marks(flags: Disposition) -> list[ET.Element]:
    marks = []
    if flags.hearing_impaired:
        marks.append(_mark("Accessibility", _PURPOSES, _FOR_DEAF))
    kind = "forced-subtitle" if flags.forced else "subtitle"
    marks.append(_mark("Role", _ROLES, "caption" if flags.hearing_impaired else kind))
    if flags.default:
        marks.append(_mark("Role", _ROLES, "main"))
    return marks


def _text_set(track: Track, source: SubtitleTrack, target: int) -> ET.Element:
    """One file of WebVTT, loaded whole, as DASH-IF IOP 4.3 allows it."""
    group = ET.Element(
        f"{TAG}AdaptationSet",
        {"id": str(track.id), "contentType": "text", "mimeType": "text/vtt"},
    )
    _describe(group, source, _text_marks(source.disposition))
    rate = str(max(track.peak(target), 1))
    item = ET.SubElement(group, f"{TAG}Representation", {"id": str(track.id), "bandwidth": rate})
    item.append(_text("BaseURL", track.segments[0].name))
    return group


def _key_set(track: Track, period: ET.Element) -> ET.Element:
    """Key frames of the set of the renditions, for players that seek by sight."""
    pictures = next(g for g in period if g.get("contentType") == "video")
    ratio = Fraction(track.width or 1, track.height or 1)
    rate = _rate((len(track.segments) / track.duration).limit_denominator(1000))
    group = ET.Element(
        f"{TAG}AdaptationSet",
        {
            "id": str(track.id),
            "contentType": "video",
            "startWithSAP": "1",
            "segmentAlignment": "true",
            "maxWidth": str(track.width),
            "maxHeight": str(track.height),
            "par": pictures.get("par", f"{ratio.numerator}:{ratio.denominator}"),
            "maxFrameRate": rate,
        },
    )
    group.append(_mark("EssentialProperty", TRICK_MODE, pictures.attrib["id"]))
    group.extend(_colour_marks(track.colour) if track.colour is not None else ())
    told = {
        "id": str(track.id),
        "mimeType": "video/mp4",
        "codecs": track.codecs,
        "width": str(track.width),
        "height": str(track.height),
        "frameRate": rate,
        "codingDependency": "false",
        "maxPlayoutRate": _PLAYOUT_RATE,
    }
    item = ET.SubElement(group, f"{TAG}Representation", told)
    named = {"initialization": str(track.init), "media": "seg-$RepresentationID$-$Number%05d$.m4s"}
    template = ET.SubElement(item, f"{TAG}SegmentTemplate", {**named, "startNumber": "1"})
    ET.SubElement(template, f"{TAG}SegmentTimeline")
    _write_timeline(template, track)
    return group


def _mark(name: str, scheme: str, value: str) -> ET.Element:
    return ET.Element(f"{TAG}{name}", {"schemeIdUri": scheme, "value": value})


def _text(name: str, text: str) -> ET.Element:
    element = ET.Element(f"{TAG}{name}")
    element.text = text
    return element

"""Rules of the DASH manifest of a presentation on demand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from xml.etree import ElementTree as ET

from darkstream.media.boxes import Init
from darkstream.media.tracks import TAG, TRICK_MODE, is_trick_mode, read_timeline
from darkstream.media.validator.protection import check_content_protection
from darkstream.media.validator.segments import Segments, spans
from darkstream.media.validator.violations import Violation

_ISO, _IOP = "ISO/IEC 23009-1", "DASH-IF IOP 4.3"
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")
_EXACT = Fraction(1, 1000)
_CICP = ("ColourPrimaries", "TransferCharacteristics", "MatrixCoefficients")
_HDR = {16, 18}


def check_dash(segments: Segments, name: str) -> Iterator[Violation]:
    """Everything that is wrong in a manifest, and between it and its segments."""
    try:
        # Our own file, or what a fault made of it: entities are not expanded into anything large.
        root = ET.fromstring(segments.text(name) or "")  # noqa: S314
    except ET.ParseError as error:
        yield Violation(rule=f"{_ISO} 5.3.1", file=name, message=f"it is no XML: {error}")
        return
    yield from (
        Violation(rule=rule, file=name, message=message)
        for rule, message in _check_mpd(segments, root)
    )


_Broken = Iterator[tuple[str, str]]


def _check_mpd(segments: Segments, root: ET.Element) -> _Broken:
    for attribute in ("profiles", "minBufferTime"):
        if not root.get(attribute):
            yield f"{_ISO} 5.3.1.2", f"MPD@{attribute} is missing"
    length = _seconds(root.get("mediaPresentationDuration"))
    if root.get("type", "static") != "static" or length is None:
        yield f"{_ISO} 5.3.1.2", "a static MPD has a mediaPresentationDuration"
        return
    for period in root.iter(f"{TAG}Period"):
        groups = period.findall(f"{TAG}AdaptationSet")
        yield from _check_ids(period, groups)
        yield from _check_roles(groups)
        yield from check_content_protection(segments, groups)
        for group in groups:
            yield from _check_group(group)
            if is_trick_mode(group):
                yield from _check_trick_mode(segments, group, groups)
            kind = group.get("contentType")
            if kind == "text":
                yield from _check_text(segments, group)
            else:
                yield from _check_segments(segments, root, group, length)


def _seconds(text: str | None) -> Fraction | None:
    match = _DURATION.fullmatch(text or "")
    if match is None or not any(match.groups()):
        return None
    hours, minutes, rest = (Fraction(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def _name(element: ET.Element) -> str:
    kind = element.tag.removeprefix(TAG)
    return f"{kind} {element.get('id', '?')}"


def _check_ids(period: ET.Element, groups: Sequence[ET.Element]) -> _Broken:
    sets = Counter(group.get("id") for group in groups)
    items = Counter(item.get("id") for item in period.iter(f"{TAG}Representation"))
    for rule, counted in (("5.3.3.2", sets), ("5.3.5.2", items)):
        for number, count in counted.items():
            if number is None or count > 1:
                yield f"{_ISO} {rule}", f"{count} elements have the id {number}"


def _check_roles(groups: Sequence[ET.Element]) -> _Broken:
    """Players take the main one of each kind first."""
    for kind in ("video", "audio"):
        chosen = [group for group in groups if group.get("contentType") == kind]
        mains = sum(_has_role(group, "main") for group in chosen)
        if chosen and mains != 1:
            yield f"{_IOP}, roles", f"{mains} sets of {kind} have the role main"


def _has_role(group: ET.Element, value: str) -> bool:
    return any(role.get("value") == value for role in group.findall(f"{TAG}Role"))


_NEEDED = {
    "video": (("maxWidth", "maxHeight", "maxFrameRate", "par"), ("width", "height", "frameRate")),
    "audio": (("lang",), ("audioSamplingRate",)),
    "text": (("lang", "mimeType"), ()),
}


def _check_group(group: ET.Element) -> _Broken:
    kind = group.get("contentType", "")
    if kind not in _NEEDED:
        yield f"{_ISO} 5.3.3.2", f"{_name(group)} has the contentType '{kind}'"
        return
    of_set, of_item = _NEEDED[kind]
    yield from _missing(group, of_set)
    for item in group.findall(f"{TAG}Representation"):
        yield from _missing(item, (*of_item, "bandwidth"))
        if kind == "audio" and item.find(f"{TAG}AudioChannelConfiguration") is None:
            yield f"{_IOP}, audio channels", f"{_name(item)} does not say its channels"
    if kind == "text":
        return
    if group.get("segmentAlignment") != "true":
        yield f"{_IOP}, segment alignment", f"{_name(group)} is not said to be aligned"
    if group.get("startWithSAP") not in {"1", "2"}:
        yield (
            f"{_IOP}, segment alignment",
            f"{_name(group)} does not say that its segments begin with a SAP",
        )


def _check_trick_mode(
    segments: Segments, group: ET.Element, groups: Sequence[ET.Element]
) -> _Broken:
    """Key frames alone, of a set that is there and is none of these."""
    rule = f"{_IOP}, trick mode"
    named = _property(group, TRICK_MODE)
    if named not in {other.get("id") for other in groups if not is_trick_mode(other)}:
        yield rule, f"{_name(group)} is said to be of the set {named}, which is not there"
    for item in group.findall(f"{TAG}Representation"):
        if item.get("codingDependency") != "false":
            yield rule, f"{_name(item)} does not say that its pictures need no others"
        template = item.find(f"{TAG}SegmentTemplate")
        listed = () if template is None else read_timeline(template, item.get("id", ""))
        for name, _ in listed:
            fragment = segments.fragment(name)
            if fragment is not None and fragment.samples != 1:
                yield rule, f"{_name(item)}: {name} has {fragment.samples} pictures, not one"


def _missing(element: ET.Element, names: Sequence[str]) -> _Broken:
    for name in names:
        if not element.get(name):
            yield f"{_IOP}, attributes of sets", f"{_name(element)} has no @{name}"


def _check_text(segments: Segments, group: ET.Element) -> _Broken:
    for item in group.findall(f"{TAG}Representation"):
        name = item.findtext(f"{TAG}BaseURL") or ""
        text = segments.text(name) if name else None
        if text is None:
            yield f"{_IOP}, text", f"{_name(item)}: {name or 'BaseURL'} is not there"
        elif not text.startswith("WEBVTT"):
            yield f"{_IOP}, text", f"{_name(item)}: {name} is no WebVTT"


def _check_segments(
    segments: Segments, root: ET.Element, group: ET.Element, length: Fraction
) -> _Broken:
    lines: list[tuple[Fraction, ...]] = []
    for item in group.findall(f"{TAG}Representation"):
        template = item.find(f"{TAG}SegmentTemplate")
        number = item.get("id", "")
        if template is None or not template.get("initialization"):
            yield f"{_ISO} 5.3.9.4", f"{_name(item)} has no SegmentTemplate"
            continue
        first = template.get("initialization", "").replace("$RepresentationID$", number)
        init = segments.init(first)
        if init is None:
            yield f"{_ISO} 5.3.9.5", f"{_name(item)}: {first} is no initialisation of a track"
            continue
        listed = tuple(read_timeline(template, number))
        yield from _check_init(group, item, init)
        yield from _check_timeline(segments, root, item, init, template, listed)
        yield from _check_bandwidth(segments, root, item, listed)
        total = sum((duration for _, duration in listed), Fraction(0))
        if total > length + _EXACT:
            yield f"{_ISO} 5.3.1.2", f"{_name(item)} is longer than the presentation"
        lines.append(tuple(duration for _, duration in listed))
    if len(set(lines)) > 1:
        yield f"{_IOP}, segment alignment", f"the segments of {_name(group)} are not aligned"


def _check_init(group: ET.Element, item: ET.Element, init: Init) -> _Broken:
    codecs = item.get("codecs") or "missing"
    if codecs.lower() != init.codecs.lower():
        yield f"{_ISO} 5.3.7.2", f"{_name(item)}: @codecs is {codecs}, not {init.codecs}"
    if init.late:
        # ISO/IEC 23000-19 7.5.13 allows no such edit, and Media Source players pass over it.
        message = f"{_name(item)} begins with an empty edit of {init.late} ticks"
        yield "ISO/IEC 23000-19, track timing", message
    if init.width is None:
        return
    size = f"{item.get('width')}x{item.get('height')}"
    if size != f"{init.width}x{init.height}":
        yield f"{_ISO} 5.3.5.2", f"{_name(item)} is {size}, its track {init.width}x{init.height}"
    if init.colour is None:
        return
    for scheme, code in zip(_CICP, init.colour, strict=True):
        told = _property(group, f"urn:mpeg:mpegB:cicp:{scheme}")
        needed = init.colour[1] in _HDR
        if (needed or told is not None) and told != str(code):
            message = f"{_name(group)}: {scheme} is {told or 'missing'}, its track says {code}"
            yield f"ISO/IEC 23091-2, {scheme}", message


def _property(group: ET.Element, scheme: str) -> str | None:
    for name in ("EssentialProperty", "SupplementalProperty"):
        for element in group.findall(f"{TAG}{name}"):
            if element.get("schemeIdUri") == scheme:
                return element.get("value")
    return None


def _check_timeline(
    segments: Segments,
    root: ET.Element,
    item: ET.Element,
    init: Init,
    template: ET.Element,
    listed: Sequence[tuple[str, Fraction]],
) -> _Broken:
    """5.3.9.6: no gap and no overlap, and the times are those of the segments."""
    at = 0
    for entry in template.iter(f"{TAG}S"):
        if int(entry.get("t", at)) != at:
            yield f"{_ISO} 5.3.9.6", f"{_name(item)}: the timeline has a gap at {at}"
        at = int(entry.get("t", at)) + int(entry.get("d", 0)) * (int(entry.get("r", 0)) + 1)
    longest = _seconds(root.get("maxSegmentDuration"))
    if longest is not None and any(duration > longest + _EXACT for _, duration in listed):
        yield f"{_ISO} 5.3.1.2", f"{_name(item)}: a segment is longer than maxSegmentDuration"
    for name, _ in listed:
        if segments.size(name) is None:
            yield f"{_ISO} 5.3.9.5", f"{_name(item)}: {name} is not there"
            return
    found = spans(segments, init, [name for name, _ in listed])
    if found is None:
        yield f"{_ISO} 6.3.4", f"{_name(item)}: its segments are not of one fragment each"
        return
    begin = Fraction(0)
    for (name, duration), (start, _) in zip(listed, found, strict=True):
        if abs(start - begin) > _EXACT:
            told = f"begins at {float(start):g} s, not at {float(begin):g}"
            yield f"{_ISO} 5.3.9.6", f"{_name(item)}: {name} {told}"
        begin += duration
    for name, _ in listed:
        fragment = segments.fragment(name)
        if fragment is not None and not fragment.starts_with_sync:
            yield f"{_IOP}, segment alignment", f"{_name(item)}: {name} does not begin with a SAP"


def _check_bandwidth(
    segments: Segments,
    root: ET.Element,
    item: ET.Element,
    listed: Sequence[tuple[str, Fraction]],
) -> _Broken:
    """5.3.5.2: whoever begins anywhere, buffers minBufferTime, and gets @bandwidth, never waits."""
    rate = int(item.get("bandwidth", "0") or 0)
    room = rate * (_seconds(root.get("minBufferTime")) or Fraction(0))
    owed = Fraction(0)
    for name, duration in listed:
        owed = max(Fraction(0), owed) + 8 * (segments.size(name) or 0)
        if owed > room:
            yield f"{_ISO} 5.3.5.2", f"{_name(item)}: bandwidth {rate} is too low for {name}"
            return
        owed -= rate * duration

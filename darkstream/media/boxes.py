"""ISO base media files by their boxes (ISO/IEC 14496-12): what a track is, where a fragment stands.

Codec names follow RFC 6381 and the ISO bindings of each codec.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from operator import add
from typing import NamedTuple

from darkstream.model.base import Frozen

_VIDEO_ENTRY, _AUDIO_ENTRY = 78, 28
"""Bytes of a sample entry before its own boxes, by its kind."""
_TFHD_BASE, _TFHD_DESCRIPTION, _TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
_TRUN_OFFSET, _TRUN_FIRST = 0x1, 0x4
_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_SHIFT = 0x100, 0x200, 0x400, 0x800
_NO_SYNC = 0x10000
_DESCRIPTOR_CONFIG, _DESCRIPTOR_INFO = 4, 5
_EMPTY_EDIT = -1


class Box(NamedTuple):
    """One box: its kind and what is in it."""

    kind: bytes
    body: bytes


class Init(Frozen):
    """What an initialisation segment says of its one track; pixels, ticks a second.

    `skipped` ticks at its begin are not shown, and it begins `late` ticks after the presentation
    (the edit list). `colour` are the CICP codes of primaries, transfer and matrix (ITU-T H.273).
    """

    codecs: str
    timescale: int
    skipped: int = 0
    late: int = 0
    width: int | None = None
    height: int | None = None
    colour: tuple[int, int, int] | None = None


class Fragment(Frozen):
    """One media segment of one fragment: times in ticks, places in bytes of the file.

    `start` is the earliest time of presentation, before the edit list.
    """

    decode_time: int
    start: int
    duration: int
    samples: int
    starts_with_sync: bool
    first_sample_end: int
    """Where its first sample ends: all up to there is one picture that decodes alone."""


class BrokenBoxes(ValueError):
    """The boxes are not those of a CMAF track."""


def starts_fast(path: bytes) -> bool:
    """Whether an MP4's index (`moov`) comes before its media (`mdat`)."""
    with open(path, "rb", buffering=0) as file:
        for kind, size in _headers(file):
            if kind in {b"moov", b"mdat"}:
                return kind == b"moov"
            file.seek(size, os.SEEK_CUR)
    return False


def read_init(path: bytes) -> Init:
    """What an initialisation segment says. Raises BrokenBoxes."""
    with open(path, "rb") as file:
        data = file.read()
    track = _inside(data, b"moov", b"trak")
    media = _inside(track, b"mdia")
    timescale = _timescale(_inside(media, b"mdhd"))
    skipped, waits = _read_edits(track)
    late = int(waits * Fraction(timescale, _timescale(_inside(data, b"moov", b"mvhd"))))
    entry = next(_boxes(_inside(media, b"minf", b"stbl", b"stsd")[8:]), None)
    if entry is None:
        raise BrokenBoxes("stsd is empty")
    if _inside(media, b"hdlr")[8:12] == b"vide":
        parts = dict(_boxes(entry.body[_VIDEO_ENTRY:]))
        entry = _own_entry(entry, parts)
        colour = _colour(parts.get(b"colr", b""))
        return Init(
            codecs=_name_codec(entry.kind, parts, colour),
            timescale=timescale,
            skipped=skipped,
            late=late,
            width=int.from_bytes(entry.body[24:26], "big"),
            height=int.from_bytes(entry.body[26:28], "big"),
            colour=colour,
        )
    parts = dict(_boxes(entry.body[_AUDIO_ENTRY:]))
    entry = _own_entry(entry, parts)
    return Init(
        codecs=_name_codec(entry.kind, parts, None),
        timescale=timescale,
        skipped=skipped,
        late=late,
    )


def read_fragment(path: bytes) -> Fragment:
    """Where a media segment of a single fragment stands. Raises BrokenBoxes."""
    found: list[tuple[int, bytes]] = []
    with open(path, "rb", buffering=0) as file:
        place = 0
        for kind, size in _headers(file):
            if kind == b"moof":
                found.append((place, file.read(size)))
            else:
                file.seek(size, os.SEEK_CUR)
            place = file.tell()
    if len(found) != 1:
        raise BrokenBoxes(f"{len(found)} fragments in one segment")
    return _read_moof(*found[0])


def find_spans(init: Init, fragments: Sequence[Fragment]) -> tuple[tuple[Fraction, Fraction], ...]:
    """When each segment of a track begins, and how long it is shown; seconds."""
    if not fragments:
        return ()
    shift = init.late - init.skipped
    begins = [max(0, fragment.start + shift) for fragment in fragments]
    end = fragments[-1].start + fragments[-1].duration + shift
    return tuple(
        (Fraction(begin, init.timescale), Fraction(stop - begin, init.timescale))
        for begin, stop in pairwise([*begins, end])
    )


def _read_moof(place: int, moof: bytes) -> Fragment:
    traf = _inside(moof, b"traf")
    length, flags = _read_defaults(_inside(traf, b"tfhd"))
    time = _inside(traf, b"tfdt")
    run = _inside(traf, b"trun")
    told, count, words = _word(run, 0) & 0xFFFFFF, _word(run, 4), 8
    offset = 0
    if told & _TRUN_OFFSET:
        offset, words = _word(run, words), words + 4
    if told & _TRUN_FIRST:
        flags, words = _word(run, words), words + 4
    fields = [f for f in (_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_SHIFT) if told & f]
    if not count or (_TRUN_SIZE not in fields and not length[1]):
        raise BrokenBoxes("a fragment without samples")
    rows = [
        {field: _word(run, words + 4 * (row * len(fields) + n)) for n, field in enumerate(fields)}
        for row in range(count)
    ]
    first = rows[0].get(_TRUN_FLAGS, flags) if not told & _TRUN_FIRST else flags
    decode_time = int.from_bytes(time[4:12] if time[0] == 1 else time[4:8], "big")
    durations = [row.get(_TRUN_DURATION, length[0]) for row in rows]
    decoded = accumulate([0, *durations[:-1]])
    shifts = [_signed(row.get(_TRUN_SHIFT, 0)) for row in rows]
    return Fragment(
        decode_time=decode_time,
        start=decode_time + min(map(add, decoded, shifts)),
        duration=sum(durations),
        samples=count,
        starts_with_sync=not first & _NO_SYNC,
        first_sample_end=place + offset + rows[0].get(_TRUN_SIZE, length[1]),
    )


def _read_defaults(header: bytes) -> tuple[tuple[int, int], int]:
    """Duration and size of a sample, and its flags, where the run does not say."""
    told, place = _word(header, 0) & 0xFFFFFF, 8
    place += 8 * bool(told & _TFHD_BASE) + 4 * bool(told & _TFHD_DESCRIPTION)
    values = []
    for flag in (_TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS):
        values.append(_word(header, place) if told & flag else 0)
        place += 4 * bool(told & flag)
    return (values[0], values[1]), values[2]


def _headers(file: io.FileIO) -> Iterator[tuple[bytes, int]]:
    """Kind of each box, and the bytes of it that follow where the file now stands."""
    while len(head := file.read(8)) == 8:
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if size == 1:
            size = int.from_bytes(file.read(8), "big") - 8
        yield kind, size - 8


def _boxes(data: bytes) -> Iterator[Box]:
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size < 8:
            raise BrokenBoxes("a box smaller than its head")
        yield Box(data[place + 4 : place + 8], data[place + 8 : place + size])
        place += size


def _inside(data: bytes, *path: bytes) -> bytes:
    for kind in path:
        found = next((box.body for box in _boxes(data) if box.kind == kind), None)
        if found is None:
            raise BrokenBoxes(f"no {kind.decode()}")
        data = found
    return data


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word


def _timescale(header: bytes) -> int:
    """Ticks a second, of a `mvhd` or `mdhd`."""
    return _word(header, 20 if header[0] == 1 else 12)


def _read_edits(track: bytes) -> tuple[int, int]:
    """Where the first real edit begins (ticks of the track), and the empty ones (of the movie)."""
    edits = dict(_boxes(track)).get(b"edts", b"")
    entries = dict(_boxes(edits)).get(b"elst", b"")
    form, waits = (">Qq4x" if entries[:1] == b"\x01" else ">Ii4x"), 0
    if len(entries[8:]) % struct.calcsize(form):
        raise BrokenBoxes("an edit list of no whole entries")
    for length, begin in struct.iter_unpack(form, entries[8:]):
        if begin != _EMPTY_EDIT:
            return begin, waits
        waits += length
    return 0, waits


def _word(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")


def _own_entry(entry: Box, parts: dict[bytes, bytes]) -> Box:
    """The entry under its codec's name, which encryption puts into `sinf` (14496-12 8.12.2)."""
    if entry.kind not in {b"encv", b"enca"}:
        return entry
    return Box(_inside(parts.get(b"sinf", b""), b"frma"), entry.body)


def _colour(body: bytes) -> tuple[int, int, int] | None:
    if body[:4] != b"nclx":
        return None
    return (
        int.from_bytes(body[4:6], "big"),
        int.from_bytes(body[6:8], "big"),
        int.from_bytes(body[8:10], "big"),
    )


def _name_codec(kind: bytes, parts: dict[bytes, bytes], colour: tuple[int, int, int] | None) -> str:
    name = kind.decode("latin-1")
    if kind in _PLAIN:
        return _PLAIN[kind]
    config, describe = _CONFIGS.get(kind, (b"", None))
    if describe is None or config not in parts:
        raise BrokenBoxes(f"no codec of ours: {name}")
    told = describe(parts[config])
    if kind == b"av01" and colour is not None:
        told += ".{:02d}.{:02d}.{:02d}.{}".format(*colour, parts[b"colr"][10] >> 7)
    return name + told


def _avc(config: bytes) -> str:
    return f".{config[1:4].hex()}"


def _hevc(config: bytes) -> str:
    """Profile, compatibility (its bits reversed), tier, level, constraints (14496-15 annex E)."""
    space = ("", "A", "B", "C")[config[1] >> 6]
    tier = "H" if config[1] & 0x20 else "L"
    compatible = int(f"{_word(config, 2):032b}"[::-1], 2)
    constraints = config[6:12].rstrip(b"\0")
    told = [f"{space}{config[1] & 0x1F}", f"{compatible:X}", f"{tier}{config[12]}"]
    return "." + ".".join([*told, *(f"{byte:X}" for byte in constraints)])


def _av1(config: bytes) -> str:
    """The AV1 codec ISO binding; its last four fields come from the colour box."""
    profile, level = config[1] >> 5, config[1] & 0x1F
    tier = "H" if config[2] & 0x80 else "M"
    depth = (12 if config[2] & 0x20 else 10) if config[2] & 0x40 else 8
    mono, across, down = config[2] >> 4 & 1, config[2] >> 3 & 1, config[2] >> 2 & 1
    place = config[2] & 3 if across and down else 0
    return f".{profile}.{level:02d}{tier}.{depth:02d}.{mono}.{across}{down}{place}"


def _vp9(config: bytes) -> str:
    depth, chroma, full = config[6] >> 4, config[6] >> 1 & 7, config[6] & 1
    numbers = (config[4], config[5], depth, chroma, config[7], config[8], config[9], full)
    return "".join(f".{number:02d}" for number in numbers)


def _mp4a(config: bytes) -> str:
    """Walk the descriptors (ISO/IEC 14496-1) down to the object types."""
    kind, body = _descriptor(config[4:])
    if kind == 3:
        kind, body = _descriptor(body[3:])
    if kind != _DESCRIPTOR_CONFIG:
        raise BrokenBoxes("esds without a configuration")
    told = f".{body[0]:02x}"
    kind, info = _descriptor(body[13:])
    if body[0] != 0x40 or kind != _DESCRIPTOR_INFO:
        return told
    return f"{told}.{info[0] >> 3}"


def _descriptor(data: bytes) -> tuple[int, bytes]:
    size, place = 0, 1
    while place < len(data):
        size = size << 7 | data[place] & 0x7F
        place += 1
        if not data[place - 1] & 0x80:
            break
    return (data[0], data[place : place + size]) if data else (0, b"")


_PLAIN = {b"Opus": "opus", b"fLaC": "fLaC", b"ac-3": "ac-3", b"ec-3": "ec-3"}
_CONFIGS: dict[bytes, tuple[bytes, Callable[[bytes], str] | None]] = {
    b"avc1": (b"avcC", _avc),
    b"avc3": (b"avcC", _avc),
    b"hvc1": (b"hvcC", _hevc),
    b"hev1": (b"hvcC", _hevc),
    b"av01": (b"av1C", _av1),
    b"vp09": (b"vpcC", _vp9),
    b"mp4a": (b"esds", _mp4a),
}

"""What a file's own structure says that libav does not: sizes past its end, order, encryption."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, BinaryIO

from darkstream.media.prober import endings
from darkstream.media.prober.boxes import Box, is_iso, walk_boxes

_ENCRYPTED = {b"encv", b"enca", b"encs", b"enct", b"drms", b"drmi", b"p608"}
_DOLBY_VISION = {b"dvcC", b"dvvC", b"dvwC"}
_RECORD_BYTES = 5
_FRAGMENTS = {b"mvex", b"moof"}
_LARGE = {b"moov", b"moof", b"mdat"}
_SEGMENT, _UNKNOWN_SIZE = b"\x18\x53\x80\x67", (1 << 56) - 1
_UNKNOWN_32, _UNKNOWN_64 = (1 << 32) - 1, (1 << 64) - 1
_DOCTYPE = b"\x42\x82"
_SEARCHED_BYTES = 1 << 20


@dataclass
class Track:
    """One `trak` box: its sample entry's four letters, and its Dolby Vision record."""

    tag: str = ""
    dolby_vision: dict[str, Any] | None = None


@dataclass
class Layout:
    """The structure of one file.

    `missing_bytes` is what it declares past its end; `broken`: its boxes end before the file does;
    `unfinished`: it does not end as its format demands; `content_bytes`: what is before the zeros
    that fill the rest; `doctype`: what kind of Matroska it is; `duration`: what an index of boxes
    says of the whole, in seconds.
    """

    is_iso: bool = False
    has_index: bool = False
    faststart: bool | None = None
    encrypted: bool = False
    missing_bytes: int = 0
    broken: bool = False
    unfinished: bool = False
    content_bytes: int | None = None
    doctype: str = ""
    duration: Fraction | None = None
    tracks: list[Track] = field(default_factory=list)


def read_layout(stream: BinaryIO, size: int) -> Layout:
    """Look at the boxes (ISO/IEC 14496-12), elements (RFC 9559) or chunks of a file."""
    stream.seek(0)
    head = stream.read(1024)
    if is_iso(head):
        return _read_iso(stream, size)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _read_matroska(stream, size)
    return _read_other(stream, head, size)


def _read_other(stream: BinaryIO, head: bytes, size: int) -> Layout:
    if head.startswith(b"RIFF"):
        declared = struct.unpack_from("<I", head, 4)[0] + 8
        known = 8 < declared < 1 << 32
        return Layout(missing_bytes=max(0, declared - size) if known else 0)
    if endings.is_asf(head):
        return Layout(missing_bytes=endings.asf_missing_bytes(stream, size))
    if endings.is_ogg(head):
        return Layout(unfinished=endings.ogg_unfinished(stream, size))
    if endings.is_transport(head):
        return Layout(content_bytes=endings.content_bytes(stream, size))
    return Layout()


def _read_iso(stream: BinaryIO, size: int) -> Layout:
    layout = Layout(is_iso=True)
    places: dict[bytes, int] = {}
    end, fragments = 0, False
    for box in walk_boxes(stream, size):
        if box.depth == 0:
            end = box.end
            places.setdefault(box.kind, box.position)
            if box.kind in _LARGE:
                layout.missing_bytes = max(layout.missing_bytes, box.end - size)
        fragments = fragments or box.kind in _FRAGMENTS
        _note(box, layout, stream)
    if fragments:  # each counts its own; the header knows the first at most
        layout.duration = None
    layout.has_index, layout.broken = b"moov" in places, end + 8 <= size
    if {b"moov", b"mdat"} <= places.keys():
        layout.faststart = places[b"moov"] < places[b"mdat"]
    return layout


def _note(box: Box, layout: Layout, stream: BinaryIO) -> None:
    if box.kind in _ENCRYPTED and box.parent == b"stsd":
        layout.encrypted = True
    if box.kind == b"mvhd":
        stream.seek(box.position + box.header)
        layout.duration = _movie_duration(stream.read(32))
    elif box.kind == b"trak":
        layout.tracks.append(Track())
    elif layout.tracks and box.parent == b"stsd":
        track = layout.tracks[-1]
        track.tag = track.tag or box.kind.decode("ascii", "replace")
    elif layout.tracks and box.kind in _DOLBY_VISION:
        stream.seek(box.position + box.header)
        layout.tracks[-1].dolby_vision = _dolby_vision(stream.read(_RECORD_BYTES))


def _movie_duration(header: bytes) -> Fraction | None:
    """What a movie header box says, seconds; None where it says nothing (as in fragments)."""
    place, form, unknown = (
        (20, ">IQ", _UNKNOWN_64) if header[:1] == b"\1" else (12, ">II", _UNKNOWN_32)
    )
    if len(header) < place + struct.calcsize(form):
        return None
    scale, length = struct.unpack_from(form, header, place)
    return Fraction(length, scale) if scale and length and length != unknown else None


def _dolby_vision(record: bytes) -> dict[str, Any] | None:
    """A Dolby Vision configuration record ("Dolby Vision Streams Within the ISO BMFF", 2.2).

    After two version bytes: profile (7 bits), level (6), RPU, EL and BL present, compatibility (4).
    """
    if len(record) < _RECORD_BYTES:
        return None
    return {
        "profile": record[2] >> 1,
        "compatibility": record[4] >> 4,
        "enhancement": bool(record[3] & 2),
    }


def _read_matroska(stream: BinaryIO, size: int) -> Layout:
    stream.seek(0)
    head = stream.read(_SEARCHED_BYTES)
    layout = Layout(tracks=_matroska_dolby_vision(head), doctype=_doctype(head))
    start = head.find(_SEGMENT, 0, 4096)
    if start >= 0:
        length, width = _vint(head, start + 4)
        if length != _UNKNOWN_SIZE and width:
            layout.missing_bytes = max(0, start + 4 + width + length - size)
    return layout


def _doctype(head: bytes) -> str:
    """'matroska' or 'webm': the text of the header's DocType element."""
    place = head.find(_DOCTYPE, 0, 64)
    length, width = _vint(head, place + 2) if place >= 0 else (0, 0)
    text = head[place + 2 + width :][: min(length, 16)]
    return text.rstrip(b"\0").decode("ascii", "replace")


def _vint(data: bytes, position: int) -> tuple[int, int]:
    """A variable-length integer and its width; all ones (unknown) is given as 2**56-1."""
    if position >= len(data) or data[position] == 0:
        return 0, 0
    width = 9 - data[position].bit_length()
    value = int.from_bytes(data[position : position + width], "big") & ((1 << 7 * width) - 1)
    return (_UNKNOWN_SIZE if value == (1 << 7 * width) - 1 else value), width


def _matroska_dolby_vision(head: bytes) -> list[Track]:
    """The record in the first BlockAdditionMapping of Dolby Vision, for the first track."""
    found = min((place for kind in _DOLBY_VISION if (place := head.find(kind)) >= 0), default=-1)
    record = head.find(b"\x41\xed", found, found + 16) if found >= 0 else -1
    if record < 0:
        return []
    _, width = _vint(head, record + 2)
    begin = record + 2 + width
    return [Track(dolby_vision=_dolby_vision(head[begin : begin + _RECORD_BYTES]))]

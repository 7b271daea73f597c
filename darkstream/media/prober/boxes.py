"""A walk over the boxes of ISO base media files (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot", b"moof"}
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"}
_VISUAL = {b"hvc1", b"hev1", b"dvh1", b"dvhe", b"avc1", b"avc3", b"dva1", b"dvav", b"av01", b"dav1"}
_VISUAL_HEADER = 78
"""Bytes of a VisualSampleEntry before the boxes in it."""
_MOST_BOXES = 20_000
_DEEPEST = 8


@dataclass(frozen=True)
class Box:
    """One box: where it starts, how long its header is, where it says that it ends."""

    kind: bytes
    parent: bytes
    position: int
    header: int
    end: int
    depth: int


def is_iso(head: bytes) -> bool:
    """Whether a file that begins like this is made of boxes."""
    return head[4:8] in _FIRST


def walk_boxes(stream: BinaryIO, size: int) -> Iterator[Box]:
    """The boxes of the file, and those inside its tracks, in order; damage ends the walk."""
    for count, box in enumerate(_walk(stream, 0, size, b"", 0)):
        if count >= _MOST_BOXES:
            return
        yield box


def _walk(stream: BinaryIO, position: int, end: int, parent: bytes, depth: int) -> Iterator[Box]:
    while position + 8 <= end and depth < _DEEPEST:
        box = _read(stream, position, end, parent, depth)
        if box is None:
            return
        yield box
        inside = _inside(box)
        if inside is not None:
            yield from _walk(stream, inside, min(end, box.end), box.kind, depth + 1)
        position = box.end


def _read(stream: BinaryIO, position: int, end: int, parent: bytes, depth: int) -> Box | None:
    stream.seek(position)
    head = stream.read(16)
    length, kind = struct.unpack_from("!I4s", head)
    header = 8
    if length == 1 and len(head) == 16:
        length, header = struct.unpack_from("!Q", head, 8)[0], 16
    elif length == 0:
        length = end - position
    if length < header:
        return None
    return Box(kind, parent, position, header, position + length, depth)


def _inside(box: Box) -> int | None:
    """Where the boxes inside a box begin."""
    start = box.position + box.header
    if box.kind == b"stsd":
        return start + 8
    if box.parent == b"stsd":
        return start + _VISUAL_HEADER if box.kind in _VISUAL else None
    return start if box.kind in _PARENTS else None

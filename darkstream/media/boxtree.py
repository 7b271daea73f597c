"""Boxes taken apart and put together again (ISO/IEC 14496-12 4.2), where some of them change."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from darkstream.media.boxes import Box, BrokenBoxes

ENTRIES = 8
"""Bytes of `stsd` before its entries: version, flags, count."""
_HEAD = 8


def split(data: bytes) -> tuple[Box, ...]:
    """The boxes that stand one behind the other; raises BrokenBoxes where that is not all."""
    found, place = [], 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size < _HEAD or place + size > len(data):
            raise BrokenBoxes("a box that does not end where it should")
        found.append(Box(data[place + 4 : place + 8], data[place + _HEAD : place + size]))
        place += size
    return tuple(found)


def join(boxes: Sequence[Box]) -> bytes:
    """Boxes as bytes."""
    return b"".join(
        (len(box.body) + _HEAD).to_bytes(4, "big") + box.kind + box.body for box in boxes
    )


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> Box:
    """A box with version and flags."""
    return Box(kind, bytes([version]) + flags.to_bytes(3, "big") + b"".join(parts))


def only(boxes: Sequence[Box], kind: bytes) -> bytes:
    """What is in the one box of a kind; raises BrokenBoxes where there is none, or several."""
    found = [box.body for box in boxes if box.kind == kind]
    if len(found) != 1:
        raise BrokenBoxes(f"{len(found)} boxes {kind.decode('latin-1')} instead of one")
    return found[0]


def changed(data: bytes, path: Sequence[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """The boxes with what is in one of them changed; `path` leads there, each kind there once."""
    boxes = split(data)
    kind, *rest = path
    body = only(boxes, kind)
    new = changed(body, rest, change) if rest else change(body)
    return join([Box(kind, new) if box.kind == kind else box for box in boxes])


def inside(data: bytes, path: Sequence[bytes]) -> bytes:
    """What is in the box that a path leads to."""
    for kind in path:
        data = only(split(data), kind)
    return data


def number(data: bytes, place: int, size: int = 4) -> int:
    """An unsigned number in a body; raises BrokenBoxes where it ends before."""
    if place + size > len(data):
        raise BrokenBoxes("a box ends too early")
    return int.from_bytes(data[place : place + size], "big")

"""The one run of samples of a segment: where it says that they begin, and how large each is."""

from __future__ import annotations

from typing import NamedTuple

from darkstream.media.boxes import Box, BrokenBoxes
from darkstream.media.boxtree import number, only, split

_BASE, _DESCRIPTION, _DURATION, _SIZE = 0x1, 0x2, 0x8, 0x10
_OFFSET, _FIRST, _EACH_DURATION, _EACH_SIZE, _EACH_FLAGS, _EACH_SHIFT = (
    *(0x1, 0x4),
    *(0x100, 0x200, 0x400, 0x800),
)
_OFFSET_PLACE = 8


class Run(NamedTuple):
    """Bytes from the begin of `moof` to the first sample, and the bytes of each sample."""

    offset: int
    sizes: tuple[int, ...]


def read_run(traf: tuple[Box, ...]) -> Run:
    """The run in a track fragment; raises BrokenBoxes where it is none that we can place."""
    header, run = only(traf, b"tfhd"), only(traf, b"trun")
    if number(header, 1, 3) & _BASE:
        raise BrokenBoxes("a fragment whose places count from elsewhere")
    flags, count = number(run, 1, 3), number(run, 4)
    if not flags & _OFFSET:
        raise BrokenBoxes("a run of samples that does not say where it begins")
    place = _OFFSET_PLACE + 4 + 4 * bool(flags & _FIRST)
    fields = [one for one in (_EACH_DURATION, _EACH_SIZE, _EACH_FLAGS, _EACH_SHIFT) if flags & one]
    if _EACH_SIZE in fields:
        first = place + 4 * fields.index(_EACH_SIZE)
        sizes = tuple(number(run, first + 4 * len(fields) * n) for n in range(count))
    else:
        sizes = (_usual_size(header),) * count
    return Run(number(run, _OFFSET_PLACE), sizes)


def _usual_size(header: bytes) -> int:
    flags = number(header, 1, 3)
    if not flags & _SIZE:
        raise BrokenBoxes("a fragment that does not say how large its samples are")
    return number(header, 8 + 4 * bool(flags & _DESCRIPTION) + 4 * bool(flags & _DURATION))


def move_run(traf: tuple[Box, ...], by: int) -> tuple[Box, ...]:
    """The same track fragment, whose samples begin so many bytes later."""

    def moved(run: bytes) -> bytes:
        place = (number(run, _OFFSET_PLACE) + by).to_bytes(4, "big")
        return run[:_OFFSET_PLACE] + place + run[_OFFSET_PLACE + 4 :]

    return tuple(Box(b"trun", moved(box.body)) if box.kind == b"trun" else box for box in traf)


def grow_index(sidx: bytes, by: int) -> bytes:
    """A segment index of one reference, whose subsegment is so many bytes larger."""
    place = 12 + (16 if sidx[0] == 1 else 8) + 2
    if number(sidx, place, 2) != 1:
        raise BrokenBoxes("a segment index of several references")
    place += 2
    return sidx[:place] + (number(sidx, place) + by).to_bytes(4, "big") + sidx[place + 4 :]


class Parts(NamedTuple):
    """A segment taken apart: all its boxes, those of its fragment and track, and the samples."""

    boxes: tuple[Box, ...]
    moof: tuple[Box, ...]
    traf: tuple[Box, ...]
    samples: tuple[bytes, ...]


def take_apart(data: bytes) -> Parts:
    """A segment of one fragment of one track, whose samples are all of `mdat`.

    Raises BrokenBoxes where it is another.
    """
    boxes = split(data)
    moof, media = split(only(boxes, b"moof")), only(boxes, b"mdat")
    traf = split(only(moof, b"traf"))
    run = read_run(traf)
    kinds = [box.kind for box in boxes]
    if kinds[kinds.index(b"moof") + 1] != b"mdat" or kinds.index(b"moof") + 2 != len(kinds):
        raise BrokenBoxes("a segment that does not end with its fragment")
    head = len(only(boxes, b"moof")) + 16
    if run.offset != head or sum(run.sizes) != len(media):
        raise BrokenBoxes("a segment with bytes that are in no sample")
    samples, place = [], 0
    for size in run.sizes:
        samples.append(media[place : place + size])
        place += size
    return Parts(boxes, moof, traf, tuple(samples))

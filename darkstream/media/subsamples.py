"""Which bytes of a sample are encrypted: of pictures the slices, of sound everything.

ISO/IEC 23001-7 9.5: the lengths and headers of NAL units stay clear, parameter sets and
supplemental information too, and what is encrypted comes in whole blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from darkstream.media.boxes import Box, BrokenBoxes
from darkstream.media.boxtree import number, only, split
from darkstream.media.ctu import count_rows

BLOCK = 16
_HEADER = 96
"""Bytes that hold a slice's header but for its entry points: decoders read it before the key."""
_MOST_CLEAR = 0xFFFF
_MOST_RANGES = 40
"""What the size of a sample's auxiliary information, one byte, has room for."""
_VISUAL_ENTRY = 78

Ranges = tuple[tuple[int, int], ...]
"""Clear bytes and encrypted bytes that follow, in turn; () means that all is encrypted."""
Divide = Callable[[bytes], Ranges]


def divider(entry: Box) -> Divide:
    """How samples of a sample entry, still clear, are divided; raises BrokenBoxes."""
    if entry.kind in _SOUND:
        return lambda _sample: ()
    if entry.kind not in _PICTURES:
        name = entry.kind.decode("latin-1")
        raise BrokenBoxes(f"there is no rule for the encryption of {name}")
    config, place, is_slice = _PICTURES[entry.kind]
    parts = split(entry.body[_VISUAL_ENTRY:])
    body = only(parts, config)
    length = (number(body, place, 1) & 3) + 1
    rows = count_rows(body) if config == b"hvcC" else 1
    return lambda sample: _divide(sample, length, is_slice, rows)


def _lead(size: int, rows: int) -> int:
    """Clear bytes at the begin of a slice, which hold its header.

    That of HEVC tells where each row of coding tree units begins (ITU-T H.265 7.3.6.1), with no
    more bits than the size of the slice has, and a byte beside every two that prevents start codes.
    """
    return _HEADER + -(-3 * (rows - 1) * size.bit_length() // 16)


def _divide(sample: bytes, length: int, is_slice: Callable[[int], bool], rows: int) -> Ranges:
    found: list[tuple[int, int]] = []
    clear = 0
    for place, size in _units(sample, length):
        keep = size
        lead = _lead(size, rows)
        if is_slice(sample[place + length]) and size >= lead + BLOCK:
            keep = lead + (size - lead) % BLOCK
        clear += keep
        if keep < size:
            found += _spread(clear, size - keep)
            clear = 0
    if clear:
        found += _spread(clear, 0)
    if len(found) > _MOST_RANGES:
        raise BrokenBoxes(f"a picture of more than {_MOST_RANGES} slices cannot be encrypted")
    return tuple(found)


def _units(sample: bytes, length: int) -> Iterator[tuple[int, int]]:
    """Place and size of each NAL unit, its length field included."""
    place = 0
    while place < len(sample):
        size = length + number(sample, place, length)
        if size == length or place + size > len(sample):
            raise BrokenBoxes("a picture whose NAL units do not end where they should")
        yield place, size
        place += size


def _spread(clear: int, encrypted: int) -> Iterator[tuple[int, int]]:
    while clear > _MOST_CLEAR:
        yield _MOST_CLEAR, 0
        clear -= _MOST_CLEAR
    yield clear, encrypted


def _avc(head: int) -> bool:
    """ITU-T H.264 7.4.1: types 1 to 5 are slices."""
    return 1 <= head & 0x1F <= 5


def _hevc(head: int) -> bool:
    """ITU-T H.265 7.4.2.2: types below 32 are slices."""
    return head >> 1 & 0x3F < 32


_SOUND = {b"mp4a", b"Opus", b"fLaC", b"ac-3", b"ec-3"}
_PICTURES: dict[bytes, tuple[bytes, int, Callable[[int], bool]]] = {
    b"avc1": (b"avcC", 4, _avc),
    b"avc3": (b"avcC", 4, _avc),
    b"hvc1": (b"hvcC", 21, _hevc),
    b"hev1": (b"hvcC", 21, _hevc),
}

"""Rows of coding tree units in pictures of HEVC, by the parameter set in a sample entry."""

from __future__ import annotations

from darkstream.media.boxes import BrokenBoxes
from darkstream.media.boxtree import number

_ARRAYS = 22
"""Where the arrays of parameter sets begin in an `hvcC` (ISO/IEC 14496-15 8.3.2.1)."""
_SPS = 33


def count_rows(config: bytes) -> int:
    """The rows of a picture, by an `hvcC`; raises BrokenBoxes where it holds no sequence's set."""
    place = _ARRAYS + 1
    for _ in range(number(config, _ARRAYS, 1)):
        kind, count = number(config, place, 1) & 0x3F, number(config, place + 1, 2)
        place += 3
        for _ in range(count):
            size = number(config, place, 2)
            if kind == _SPS:
                return _rows_of(config[place + 2 : place + 2 + size])
            place += 2 + size
    raise BrokenBoxes("a track of HEVC without a sequence parameter set")


class _Bits:
    """Bits of a NAL unit behind its header, without the bytes that prevent start codes."""

    def __init__(self, unit: bytes) -> None:
        data = unit[2:].replace(b"\0\0\3", b"\0\0")
        self._text = "".join(f"{byte:08b}" for byte in data)
        self._place = 0

    def take(self, count: int) -> int:
        """An unsigned number of so many bits."""
        part = self._text[self._place : self._place + count]
        if len(part) < count:
            raise BrokenBoxes("a sequence parameter set that ends too early")
        self._place += count
        return int(part, 2)

    def golomb(self) -> int:
        """A number by ue(v), ITU-T H.265 9.2."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + (self.take(zeros) if zeros else 0)


def _rows_of(unit: bytes) -> int:
    """By ITU-T H.265 7.3.2.2.1, as far as the size of coding blocks."""
    bits = _Bits(unit)
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_levels(bits, layers)
    bits.golomb()
    if bits.golomb() == 3:  # chroma of full size: in planes of their own?
        bits.take(1)
    bits.golomb()
    height = bits.golomb()
    if bits.take(1):
        for _ in range(4):
            bits.golomb()
    for _ in range(3):
        bits.golomb()
    told = 1 + (layers if bits.take(1) else 0)
    for _ in range(3 * told):
        bits.golomb()
    log2 = bits.golomb() + 3 + bits.golomb()
    return -(-height >> log2)


def _skip_levels(bits: _Bits, layers: int) -> None:
    """Profile, tier and level (7.3.3): of the whole, then of each layer that says its own."""
    bits.take(88 + 8)
    told = [(bits.take(1), bits.take(1)) for _ in range(8 if layers else 0)]
    for profile, level in told[:layers]:
        if profile:
            bits.take(88)
        if level:
            bits.take(8)

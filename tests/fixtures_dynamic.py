"""HEVC pictures with Dolby Vision or HDR10+ data of their own, written bit by bit.

Nothing here asks ffmpeg to write such data: it only encodes the pictures they are put beside.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fixtures_planning import Clips

_START = b"\0\0\0\1"
_RPU_NAL = b"\x7c\x01"
"""Header of a NAL unit of type 62, in which Dolby Vision comes (ETSI TS 103 572, annex A)."""
_SEI_NAL = b"\x4e\x01"
"""Header of a NAL unit of type 39: supplemental enhancement information before a picture."""
_T35 = 4
PEAK = 2000
"""The brightest pixel that the data of picture 0 name; 1 more for each one after it."""
_CRC_POLYNOMIAL = 0x04C11DB7
_BT2020 = (9574, 0, 13802, 9574, -1540, -5348, 9574, 17610, 0)
_LMS = (7222, 8771, 390, 2654, 12430, 1300, 0, 422, 15962)
_IPT = (8192, 799, 1681, 8192, -933, 1091, 8192, 267, -5545)
_IPT_LMS = (17081, -349, -349, -349, 17081, -349, -349, -349, 17081)


class Bits:
    """Bits in order, the most significant first."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def put(self, width: int, value: int) -> None:
        """An integer of a width; negative ones as their complement."""
        self._told.append(format(value & ((1 << width) - 1), f"0{width}b"))

    def put_ue(self, value: int) -> None:
        """An unsigned Exp-Golomb code (ISO/IEC 23008-2, 9.2)."""
        self.put(2 * (value + 1).bit_length() - 1, value + 1)

    def put_se(self, value: int) -> None:
        """A signed Exp-Golomb code."""
        self.put_ue(2 * value - 1 if value > 0 else -2 * value)

    def align(self) -> None:
        """Zeros up to the next whole byte."""
        self._told.append("0" * (-len("".join(self._told)) % 8))

    def __bytes__(self) -> bytes:
        text = "".join(self._told)
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def rpu(number: int, *, profile: int = 8, bars: int = 0) -> bytes:
    """The reference processing unit of one picture; its level 1 block tells the number.

    Profile 8 leaves the base layer as it is; profile 5 says that it is IPT-PQ-c2 of full range.
    `bars`: rows of the black bars above and below.
    """
    bits = Bits()
    _put_header(bits, profile)
    _put_mapping(bits)
    _put_display(bits, number, profile, bars)
    body = bytes(bits)
    return b"\x19" + body + struct.pack(">I", _crc(body)) + b"\x80"


def _put_header(bits: Bits, profile: int) -> None:
    bits.put(6, 2)
    bits.put(11, 18)
    bits.put(4, 0 if profile == 5 else 1)
    bits.put(4, 0)
    bits.put(1, 1)  # a sequence's information follows
    bits.put(1, 0)
    bits.put(2, 0)
    bits.put_ue(23)
    bits.put(2, 1)
    bits.put(1, profile == 5)
    for depth in (10, 10, 12):
        bits.put_ue(depth - 8)
    bits.put(5, 0)
    bits.put(1, 1)  # no residual: one layer
    bits.put(1, 1)  # display management data follow
    bits.put(1, 0)
    bits.put_ue(0)


def _put_mapping(bits: Bits) -> None:
    """Every component as it is: one piece, a polynomial of 0 + 1 x."""
    bits.put_ue(0)
    bits.put_ue(0)
    for _ in range(3):
        bits.put_ue(0)
        bits.put(10, 0)
        bits.put(10, 1023)
    bits.put_ue(0)
    bits.put_ue(0)
    for _ in range(3):
        bits.put_ue(0)
        bits.put_ue(0)
        bits.put(1, 0)
        for factor in (0, 1):
            bits.put_se(factor)
            bits.put(23, 0)


def _put_display(bits: Bits, number: int, profile: int, bars: int) -> None:
    for _ in range(3):
        bits.put_ue(0)
    for factor in _IPT if profile == 5 else _BT2020:
        bits.put(16, factor)
    for offset in (0 if profile == 5 else 1 << 24, 1 << 27, 1 << 27):
        bits.put(32, offset)
    for factor in _IPT_LMS if profile == 5 else _LMS:
        bits.put(16, factor)
    bits.put(16, 65535)
    bits.put(64, 0)
    bits.put(5, 12)
    bits.put(2, 2 if profile == 5 else 0)
    bits.put(2, 0)
    bits.put(2, 1)
    bits.put(12, 7)
    bits.put(12, 3079)
    bits.put(10, 42)
    bits.put_ue(3)
    bits.align()
    bits.put_ue(5)
    bits.put(8, 1)
    for value, width in ((0, 12), (PEAK + number, 12), (1000 + number, 12), (0, 4)):
        bits.put(width, value)
    bits.put_ue(7)
    bits.put(8, 5)
    for value, width in ((0, 13), (0, 13), (bars, 13), (bars, 13), (0, 4)):
        bits.put(width, value)
    bits.put_ue(8)
    bits.put(8, 6)
    for value in (1000, 1, 1000, 400):
        bits.put(16, value)


def hdr10plus(
    number: int, *, bright: int = 0, curve: bool = True, saturation: int | None = None
) -> bytes:
    """HDR10+ data (SMPTE ST 2094-40, ITU-T T.35) of one picture; its peak tells the number.

    `bright`: thousandths of the pixels that are bright. `curve`: whether it says how to tone-map.
    `saturation`: how to saturate, in eighths.
    """
    bits = Bits()
    for width, value in ((8, 0xB5), (16, 0x3C), (16, 1), (8, 4), (8, 1)):
        bits.put(width, value)
    bits.put(2, 1)
    bits.put(27, 400)
    bits.put(1, 0)
    for peak in (5000 + number, 5001 + number, 5002 + number):
        bits.put(17, peak)
    bits.put(17, 900)
    shares = (1, 5, 10, 25, 50, 75, 90, 95, 99)
    bits.put(4, len(shares))
    for share in shares:
        bits.put(7, share)
        bits.put(17, 10 * share)
    bits.put(10, bright)
    bits.put(1, 0)
    bits.put(1, curve)
    if curve:
        bits.put(12, 400)
        bits.put(12, 600)
        anchors = (100, 250, 400, 550, 700, 800, 900, 950, 990)
        bits.put(4, len(anchors))
        for anchor in anchors:
            bits.put(10, anchor)
    bits.put(1, saturation is not None)
    if saturation is not None:
        bits.put(6, saturation)
    return bytes(bits)


def _crc(data: bytes) -> int:
    """CRC-32 of MPEG-2: nothing reflected, all ones to begin with."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (_CRC_POLYNOMIAL if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _protect(data: bytes) -> bytes:
    """Emulation prevention (ISO/IEC 23008-2, 7.4.2)."""
    return re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\0\0\3", data)


def _sei(payload: bytes) -> bytes:
    sizes = b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255])
    return _SEI_NAL + _protect(bytes([_T35]) + sizes + payload + b"\x80")


def _pictures(stream: bytes) -> Iterator[tuple[list[bytes], int]]:
    """NAL units of each picture of an Annex B stream, and where its first slice is among them.

    Every picture is one slice, and shown in the order it is coded.
    """
    units: list[bytes] = []
    for unit in filter(None, re.split(rb"\x00?\x00\x00\x01", stream)):
        units.append(unit)
        if unit[0] >> 1 & 63 < 32:
            yield units, len(units) - 1
            units = []


def insert(
    stream: bytes,
    *,
    dolby: Callable[[int], bytes] | None = None,
    plus: Callable[[int], bytes] | None = None,
    missing: int = 0,
) -> bytes:
    """A stream with data for each of its pictures, in order, but for the first `missing` ones."""
    made = b""
    for number, (units, slice_at) in enumerate(_pictures(stream)):
        if dolby is not None and number >= missing:
            units.append(_RPU_NAL + _protect(dolby(number)))
        if plus is not None:
            units.insert(slice_at, _sei(plus(number)))
        made += b"".join(_START + unit for unit in units)
    return made


def declare(path: Path, profile: int, compatibility: int, tag: bytes = b"hvc1") -> None:
    """Put a Dolby Vision configuration record into an MP4 whose index is at its end."""
    flags = profile << 9 | 1 << 3 | 1 << 2 | 1  # level 1; RPU and base layer are there
    record = struct.pack(">BBHB19x", 1, 0, flags, compatibility << 4)
    kind = b"dvvC" if profile > 7 else b"dvcC"
    box = struct.pack(">I", len(record) + 8) + kind + record
    data = bytearray(path.read_bytes())
    place = 0
    for step in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hvc1"):
        place = data.index(step, place)
        size = struct.unpack_from(">I", data, place - 4)[0]
        struct.pack_into(">I", data, place - 4, size + len(box))
        end = place - 4 + size
    data[end:end] = box
    data[place : place + 4] = tag
    path.write_bytes(data)


def dynamic_clip(
    clips: Clips,
    name: str,
    *,
    dolby: int | None = None,
    compatibility: int = 1,
    plus: Callable[[int], bytes] | bool = False,
    hlg: bool = False,
    declared: bool = True,
    bars: int = 0,
    missing: int = 0,
    frames: int = 10,
    size: str = "320x192",
) -> Path:
    """A short HEVC clip in MP4 with such data beside every picture."""
    transfer = "arib-std-b67" if hlg else "smpte2084"
    tags = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited"
    if dolby == 5:
        tags = "range=full"
    params = f"{tags}:bframes=0:slices=1:aud=0:info=0:repeat-headers=1:log-level=none"
    if dolby != 5 and not hlg:
        params += (
            ":master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"
            ":max-cll=1000,400"
        )
    encoded = clips.make(
        f"{Path(name).stem}.base.hevc",
        *("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25,format=yuv420p10le"),
        *("-frames:v", str(frames), "-c:v", "libx265", "-preset", "ultrafast", "-crf", "30"),
        *("-x265-params", params),
    )
    stream = insert(
        encoded.read_bytes(),
        dolby=None if dolby is None else lambda number: rpu(number, profile=dolby, bars=bars),
        missing=missing,
        plus=hdr10plus if plus is True else plus or None,
    )
    raw = encoded.with_name(f"{Path(name).stem}.hevc")
    raw.write_bytes(stream)
    made = clips.make(
        name, "-r", "25", "-f", "hevc", "-i", f"file:{raw}", "-c", "copy", "-tag:v", "hvc1"
    )
    if (
        dolby is not None
        and declared
        and b"dvvC" not in (data := made.read_bytes())
        and (b"dvcC" not in data)
    ):
        declare(made, dolby, compatibility, b"dvh1" if dolby == 5 else b"hvc1")
    return made

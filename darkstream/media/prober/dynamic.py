"""Dolby Vision and HDR10+: what the data beside HDR pictures say, and in which packets they are."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.stream import Stream

_METADATA = struct.Struct("=5Qi")
"""Head of AVDOVIMetadata: places of header, mapping, colour, blocks; size and number of those."""
_PROFILE, _FULL_RANGE, _VDR_DEPTH, _SPATIAL, _NO_RESIDUAL = 4, 10, 13, 15, 16
"""Bytes of AVDOVIRpuDataHeader."""
_ACTIVE_AREA = 5
"""Level of the block that counts the pixels of black bars."""
_START_CODE = re.compile(rb"\x00\x00\x01")
_RPU_UNIT, _SEI_UNIT = 62, 39
_METADATA_OBU = 5
_T35 = 4
"""Registered user data, as a payload of SEI and as a kind of metadata OBU."""
_DOLBY = b"\xb5\x00\x3b\x00\x00\x08\x00"
"""T.35: United States, Dolby, RPU (AV1 alone; HEVC has a unit for them)."""
_HDR10PLUS = b"\xb5\x00\x3c\x00\x01\x04"
"""T.35: United States, Samsung, ST 2094-40."""


def dolby_vision(
    found: dict[str, bytes], record: dict[str, Any] | None, codec: str
) -> dict[str, Any] | None:
    """What a picture's side data and the container's record say together; None: no Dolby Vision."""
    data = found.get("DOVI_METADATA", b"")
    if record is None and not data and "DOVI_RPU_BUFFER" not in found:
        return None
    said = _guess(data, codec) if record is None else record
    return said | {"declared": record is not None, "letterboxed": _is_letterboxed(data)}


def _guess(data: bytes, codec: str) -> dict[str, Any]:
    """The profile that the header of the data means; HEVC's as in ETSI TS 103 572."""
    if len(data) < _METADATA.size:
        return {}
    header = data[_METADATA.unpack_from(data)[0] :]
    proprietary = {"compatibility": 0} if header[_FULL_RANGE] else {}
    if codec == "av1":
        return {"profile": 10, **proprietary}
    if codec != "hevc":
        return {}
    if header[_PROFILE] == 0:
        return {"profile": 5 if header[_FULL_RANGE] else None, **proprietary}
    if header[_SPATIAL] and not header[_NO_RESIDUAL]:
        return {"profile": 7 if header[_VDR_DEPTH] == 12 else 4, "enhancement": True}
    return {"profile": 8}


def _is_letterboxed(data: bytes) -> bool:
    if len(data) < _METADATA.size:
        return False
    *_, begin, step, count = _METADATA.unpack_from(data)
    blocks = (data[begin + step * number :][:step] for number in range(count))
    return any(block[0] == _ACTIVE_AREA and any(block[4:12]) for block in blocks)


@dataclass(frozen=True)
class Units:
    """How the packets of a stream are cut into units.

    `width`: bytes of the length before each NAL unit, 0 where start codes part them; None: OBUs.
    """

    width: int | None

    def find(self, packet: bytes) -> set[str]:
        """Which data for single scenes a packet brings."""
        if self.width is None:
            return {kind for unit in _obus(packet) if (kind := _kind_of_obu(unit))}
        return {kind for unit in self._nals(packet) if (kind := _kind_of_nal(unit))}

    def find_hdr10plus(self, packet: bytes) -> bytes | None:
        """The HDR10+ message of a packet (ITU-T T.35, from the country's code on)."""
        if self.width is None:
            bodies = (unit[_leb128(unit, 0)[1] :] for unit in _obus(packet))
            return next((body for body in bodies if body.startswith(_HDR10PLUS)), None)
        messages = (_hdr10plus(unit) for unit in self._nals(packet))
        return next((message for message in messages if message is not None), None)

    def holds(self, packet: bytes, kinds: set[int]) -> bool:
        """Whether a packet of HEVC has a unit of these kinds."""
        return self.width is not None and any(
            unit[0] >> 1 & 63 in kinds for unit in self._nals(packet) if unit
        )

    def _nals(self, packet: bytes) -> Iterator[bytes]:
        return _lengths(packet, self.width) if self.width else _start_codes(packet)


def units_of(stream: Stream) -> Units | None:
    """How a stream's packets are cut; None where its codec carries no such data."""
    context = stream.codec_context
    name = getattr(getattr(context, "codec", None), "canonical_name", None)
    if stream.type != "video" or name not in {"hevc", "av1"}:
        return None
    if name == "av1":
        return Units(None)
    record = context.extradata or b""
    return Units((record[21] & 3) + 1 if record[:1] == b"\1" and len(record) > 21 else 0)


def _lengths(packet: bytes, width: int) -> Iterator[bytes]:
    place = 0
    while place + width < len(packet):
        size = int.from_bytes(packet[place : place + width], "big")
        place += width
        yield packet[place : place + size]
        place += size


def _start_codes(packet: bytes) -> Iterator[bytes]:
    begins = [match.end() for match in _START_CODE.finditer(packet)]
    for begin, end in pairwise([*begins, len(packet)]):
        yield packet[begin:end]


def _kind_of_nal(unit: bytes) -> str | None:
    """NAL units of HEVC (ISO/IEC 23008-2, 7.3.1.2)."""
    kind = unit[0] >> 1 & 63 if unit else 0
    if kind == _RPU_UNIT:
        return "dolby_vision"
    return "hdr10plus" if _hdr10plus(unit) is not None else None


def _hdr10plus(unit: bytes) -> bytes | None:
    """The HDR10+ one of the SEI messages (7.3.5) in a NAL unit."""
    if not unit or unit[0] >> 1 & 63 != _SEI_UNIT:
        return None
    messages, place = unit[2:].replace(b"\0\0\3", b"\0\0"), 0
    while place + 2 < len(messages):
        numbers = []
        for _ in range(2):  # its kind, then its size: bytes of 255 go on
            number = 0
            while place < len(messages) and messages[place] == 255:
                number, place = number + 255, place + 1
            numbers.append(number + (messages[place] if place < len(messages) else 0))
            place += 1
        kind, size = numbers
        message = messages[place : place + size]
        if kind == _T35 and message.startswith(_HDR10PLUS):
            return message
        place += size
    return None


def _obus(packet: bytes) -> Iterator[bytes]:
    """Metadata OBUs of a temporal unit, without their head (AV1 Bitstream Specification, 5.3)."""
    place = 0
    while place < len(packet):
        head = packet[place]
        place += 2 if head & 4 else 1
        size = len(packet) - place
        if head & 2:
            size, place = _leb128(packet, place)
        if head >> 3 & 15 == _METADATA_OBU:
            yield packet[place : place + size]
        place += size


def _kind_of_obu(unit: bytes) -> str | None:
    kind, place = _leb128(unit, 0)
    if kind == _T35 and unit[place:].startswith(_DOLBY):
        return "dolby_vision"
    if kind == _T35 and unit[place:].startswith(_HDR10PLUS):
        return "hdr10plus"
    return None


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 56, 7):
        byte = data[place] if place < len(data) else 0
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            break
    return value, place

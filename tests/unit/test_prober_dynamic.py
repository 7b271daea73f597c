"""Data for single scenes are found in packets of every form, and in none that has none."""

from __future__ import annotations

import pytest
from fixtures_dynamic import hdr10plus, insert, rpu

from darkstream.media.prober.dynamic import Units, dolby_vision

_SLICE = b"\x02\x01" + bytes(range(1, 40))
_START = b"\0\0\0\1"
_DOLBY_T35 = bytes.fromhex("b5003b00000800") + b"\x37\xcd\x08"


def _annexb(*, dolby: bool = False, plus: bool = False) -> bytes:
    return insert(_START + _SLICE, dolby=rpu if dolby else None, plus=hdr10plus if plus else None)


def _sized(packet: bytes, width: int) -> bytes:
    units = [unit for unit in packet.split(_START) if unit]
    return b"".join(len(unit).to_bytes(width, "big") + unit for unit in units)


def _obu(kind: int, body: bytes, *, extended: bool = False, sized: bool = True) -> bytes:
    head = bytes([kind << 3 | (4 if extended else 0) | (2 if sized else 0)])
    size = b""
    if sized:
        left = len(body)
        while left > 127:
            size, left = size + bytes([left & 127 | 128]), left >> 7
        size += bytes([left])
    return head + (b"\0" if extended else b"") + size + body


@pytest.mark.parametrize("width", [0, 2, 4])
@pytest.mark.parametrize("dolby", [True, False])
@pytest.mark.parametrize("plus", [True, False])
def test_units_of_hevc(width: int, dolby: bool, plus: bool) -> None:
    packet = _annexb(dolby=dolby, plus=plus)
    wanted = {"dolby_vision"} & ({"dolby_vision"} if dolby else set())
    wanted |= {"hdr10plus"} if plus else set()
    assert Units(width).find(_sized(packet, width) if width else packet) == wanted


def test_other_messages_are_passed_over() -> None:
    light = b"\x90\x04\x03\xe8\x01\x90"
    long = b"\x05\xff\x2d" + bytes([7]) * 300
    data = hdr10plus(0)
    plus = bytes([4, len(data)]) + data.replace(b"\0\0", b"\0\0\3")
    for messages, wanted in ((light, set()), (light + long, set()), (long + plus, {"hdr10plus"})):
        unit = b"\x4e\x01" + messages + b"\x80"
        assert Units(4).find(len(unit).to_bytes(4, "big") + unit) == wanted


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (_obu(6, b"frame" * 60), set()),
        (_obu(6, b"frame" * 60) + _obu(5, b"\4" + _DOLBY_T35), {"dolby_vision"}),
        (_obu(5, b"\4" + _DOLBY_T35, extended=True), {"dolby_vision"}),
        (_obu(5, b"\4" + hdr10plus(0)), {"hdr10plus"}),
        (_obu(5, b"\1" + b"\3\xe8\1\x90"), set()),
        (_obu(2, b"") + _obu(5, b"\4" + hdr10plus(0), sized=False), {"hdr10plus"}),
    ],
)
def test_units_of_av1(packet: bytes, wanted: set[str]) -> None:
    assert Units(None).find(packet) == wanted


@pytest.mark.parametrize("units", [Units(None), Units(0), Units(4)])
def test_every_end_and_every_mess_is_read_to_its_end(units: Units) -> None:
    whole = _annexb(dolby=True, plus=True)
    for packet in (whole, _sized(whole, 4), _obu(5, b"\4" + _DOLBY_T35), b"\xff" * 60, bytes(60)):
        for end in range(len(packet) + 1):
            assert units.find(packet[:end]) <= {"dolby_vision", "hdr10plus"}


def _header(*, profile: int = 1, full: int = 0, depth: int = 12, spatial: int = 0) -> bytes:
    """AVDOVIMetadata with a header, and no blocks."""
    head = b"".join(n.to_bytes(8, "little") for n in (44, 0, 0, 61, 76)) + bytes(4)
    header = bytearray(17)
    header[4], header[10], header[13], header[15] = profile, full, depth, spatial
    return head + bytes(header)


@pytest.mark.parametrize(
    ("codec", "data", "said"),
    [
        ("hevc", _header(), {"profile": 8}),
        ("hevc", _header(profile=0, full=1), {"profile": 5, "compatibility": 0}),
        ("hevc", _header(profile=0), {"profile": None}),
        ("hevc", _header(spatial=1), {"profile": 7, "enhancement": True}),
        ("hevc", _header(spatial=1, depth=14), {"profile": 4, "enhancement": True}),
        ("av1", _header(), {"profile": 10}),
        ("av1", _header(full=1), {"profile": 10, "compatibility": 0}),
        ("h264", _header(), {}),
        ("hevc", b"", {}),
    ],
)
def test_without_a_record_the_first_picture_tells(
    codec: str, data: bytes, said: dict[str, object]
) -> None:
    found = {"DOVI_RPU_BUFFER": b"x", "DOVI_METADATA": data}
    rest = {"declared": False, "letterboxed": False}
    assert dolby_vision(found, None, codec) == said | rest


def test_a_record_is_believed() -> None:
    record = {"profile": 7, "compatibility": 6, "enhancement": True}
    found = dolby_vision({"DOVI_METADATA": _header()}, record, "hevc")
    assert found == record | {"declared": True, "letterboxed": False}
    assert dolby_vision({}, None, "hevc") is None

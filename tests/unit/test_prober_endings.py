from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import pytest

from darkstream.media.prober import endings
from darkstream.media.prober.endings import Beginning, content_bytes
from darkstream.media.prober.head import Refused
from darkstream.media.prober.layout import read_layout

HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
CONTENT = 30_000 * 188
PACKET = b"\x47" + bytes(range(187))


def asf(declared: int, present: int) -> bytes:
    """A header of 30 bytes, and a data object that declares more or less than is there."""
    head = HEADER + struct.pack("<QIBB", 30, 0, 1, 2)
    return head + (DATA + struct.pack("<Q", declared)).ljust(present, b"x")


def page(*, last: bool, body: bytes = b"x" * 300) -> bytes:
    """One page of Ogg."""
    lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
    flags = 4 if last else 0
    return struct.pack("<4sBBqIIIB", b"OggS", 0, flags, 9, 1, 1, 0, len(lacing)) + lacing + body


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (asf(1000, 1000), 0),
        (asf(1000, 1400), 0),
        (asf(1000, 600), 400),
        (asf(50, 600), 0),
        (asf(1000, 1000)[:40], 0),
        (asf(1000, 1000)[:20], 0),
        (asf(1000, 600).replace(DATA, HEADER), 0),
    ],
)
def test_asf_declares_the_bytes_of_its_packets(data: bytes, missing: int) -> None:
    assert read_layout(io.BytesIO(data), len(data)).missing_bytes == missing


@pytest.mark.parametrize(
    ("data", "unfinished"),
    [
        (page(last=False) + page(last=True), False),
        (page(last=False) + page(last=True) + b"trailing", False),
        (page(last=False) + page(last=False), True),
        (page(last=False) + page(last=True)[:-1], True),
        (page(last=False) + page(last=True)[:10], True),
        (page(last=False) + bytes(200_000), False),
    ],
)
def test_ogg_marks_its_last_page(data: bytes, unfinished: bool) -> None:
    assert read_layout(io.BytesIO(data), len(data)).unfinished == unfinished


@pytest.mark.parametrize(
    ("head", "is_transport"),
    [
        (PACKET * 5, True),
        ((PACKET * 5)[70:], True),
        ((bytes(4) + PACKET) * 5, True),
        (PACKET * 2, False),
        (b"RIFF" * 200, False),
    ],
)
def test_transport_streams_are_known_by_their_rhythm(head: bytes, is_transport: bool) -> None:
    assert endings.is_transport(head) == is_transport


@pytest.fixture
def zeros(tmp_path: Path) -> Path:
    """A transport stream of which the rest is zeros, as where a recorder lost its power."""
    path = tmp_path / "zeros.ts"
    path.write_bytes(PACKET * (CONTENT // 188))
    os.truncate(path, 3 << 30)
    return path


def test_the_zeros_behind_a_recording_are_found_without_reading_holes(zeros: Path) -> None:
    with zeros.open("rb") as stream:
        layout = read_layout(stream, 3 << 30)
    assert layout.content_bytes == CONTENT + 204


def test_written_zeros_are_found_too_and_few_are_nothing(zeros: Path) -> None:
    os.truncate(zeros, CONTENT)
    with zeros.open("ab") as stream:
        stream.write(bytes(20 << 20))
    size = zeros.stat().st_size
    with zeros.open("rb") as stream:
        assert content_bytes(stream, size) == CONTENT + 204
        assert content_bytes(stream, size - (8 << 20)) is None
        assert content_bytes(stream, CONTENT) is None


def test_nobody_reads_through_more_zeros_than_is_reasonable(
    zeros: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "_MOST_ZEROS", 8 << 20)
    with zeros.open("r+b") as stream:
        stream.seek(30 << 20)
        stream.write(bytes(20 << 20))
    with zeros.open("rb") as stream, pytest.raises(Refused, match="nothing but zero bytes"):
        content_bytes(stream, 3 << 30)


def test_a_file_of_nothing_but_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "hole.ts"
    path.touch()
    os.truncate(path, 20 << 20)
    with path.open("rb") as stream:
        assert content_bytes(stream, 20 << 20) == 204


def test_a_beginning_ends_where_it_is_told() -> None:
    beginning = Beginning(io.BytesIO(b"0123456789"), 6)
    assert (beginning.readable(), beginning.seekable()) == (True, True)
    assert beginning.read(4) == b"0123"
    assert (beginning.read(4), beginning.read(4)) == (b"45", b"")
    assert (beginning.seek(-2, os.SEEK_END), beginning.tell()) == (4, 4)
    assert beginning.read() == b"45"
    assert (beginning.seek(8), beginning.read()) == (8, b"")

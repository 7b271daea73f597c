"""Clips that are damaged in ways that happen, in three containers."""

from __future__ import annotations

import struct
from pathlib import Path

from fixtures_planning import Clips

CONTAINERS = ("mp4", "mkv", "ts")
DAMAGES = (
    "none",
    "truncated",
    "bit-flipped",
    "zeroed middle",
    "missing moov",
    "wrong duration",
    "missing frames",
)
SECONDS = 8
FRAMES = SECONDS * 25
_LOST = "select='not(between(n,90,99))'"
_STEP = 1499
"""Bytes between two flipped bits: a prime, so that they hit packets at all places."""
_ZEROS = 24_000


def damaged(clips: Clips, damage: str, container: str) -> Path | None:
    """A clip with that damage; None where the container cannot have it."""
    if damage in {"missing moov", "wrong duration"} and container == "ts":
        return None
    if damage == "missing moov" and container != "mp4":
        return None
    picture = f"{_LOST}," if damage == "missing frames" else ""
    source = _clip(clips, picture, container, "cut" if picture else "whole")
    if damage in {"none", "missing frames"}:
        return source
    data = _DAMAGES[damage](source.read_bytes())
    target = source.with_name(f"{damage.replace(' ', '-')}.{container}")
    target.write_bytes(data)
    return target


def _clip(clips: Clips, picture: str, container: str, name: str) -> Path:
    return clips.make(
        f"{name}.{container}",
        *("-f", "lavfi", "-i", f"testsrc2=s=320x240:r=25:d={SECONDS},noise=alls=10:allf=t"),
        *("-f", "lavfi", "-i", f"sine=440:r=48000:d={SECONDS}", "-vf", f"{picture}setsar=1"),
        *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "25"),
        *("-threads", "1", "-fps_mode", "passthrough", "-c:a", "aac", "-ac", "2"),
        *(("-movflags", "+faststart") if container == "mp4" else ()),
    )


def _truncate(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def _flip(data: bytes) -> bytes:
    """One bit every so many bytes of the middle half: the head and an index at the end stay."""
    flipped = bytearray(data)
    for place in range(len(data) // 4, len(data) * 3 // 4, _STEP):
        flipped[place] ^= 1 << place % 8
    return bytes(flipped)


def _zero(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(_ZEROS) + data[middle + _ZEROS :]


def _lose_moov(data: bytes) -> bytes:
    start = data.index(b"moov") - 4
    (length,) = struct.unpack_from(">I", data, start)
    return data[:start] + data[start + length :]


def stretch(data: bytes) -> bytes:
    """Three times the duration in the header of an MP4 (mvhd) or a Matroska file (Info)."""
    changed = bytearray(data)
    if (movie := data.find(b"mvhd")) >= 0:
        (length,) = struct.unpack_from(">I", data, movie + 20)
        struct.pack_into(">I", changed, movie + 20, 3 * length)
        return bytes(changed)
    place = data.index(b"\x44\x89\x88") + 3
    (seconds,) = struct.unpack_from(">d", data, place)
    struct.pack_into(">d", changed, place, 3 * seconds)
    return bytes(changed)


_DAMAGES = {
    "truncated": _truncate,
    "bit-flipped": _flip,
    "zeroed middle": _zero,
    "missing moov": _lose_moov,
    "wrong duration": stretch,
}

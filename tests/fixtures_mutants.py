"""Files that are almost videos: small real ones, mutated by a seeded hand."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fixtures_planning import Clips

_PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1.6,noise=alls=8:allf=t")
_SOUND = ("-f", "lavfi", "-i", "sine=440:r=44100:d=1.6")
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10")
_SOURCES: dict[str, tuple[str, ...]] = {
    "plain.mp4": (*_H264, "-c:a", "aac", "-movflags", "+faststart"),
    "fragmented.mp4": (*_H264, "-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov"),
    "hevc.mov": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
    "film.mkv": (*_H264, "-c:a", "libopus"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "flac"),
    "broadcast.ts": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "old.avi": ("-c:v", "mpeg4", "-c:a", "mp3"),
    "older.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    "stream.flv": ("-c:v", "flv", "-c:a", "mp3", "-ar", "44100"),
    "disc.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2", "-f", "vob"),
    "free.ogv": ("-c:v", "libtheora", "-c:a", "libvorbis"),
}
_MASTERS = ("moov", "trak", "mdia", "minf", "stbl", "udta", "edts", "dinf", "moof", "traf", "mvex")
_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_WORDS = (
    b"mdat",
    b"moov",
    b"free",
    b"trak",
    b"stsd",
    b"avc1",
    b"hvc1",
    b"tx3g",
    b"url ",
    b"\0" * 4,
)


class Mutant(NamedTuple):
    """A file's bytes, and how they came to be."""

    name: str
    data: bytes


class _Part(NamedTuple):
    """A box of MP4 or an element of Matroska: where it begins, its content, its end."""

    start: int
    content: int
    end: int


def sources(clips: Clips) -> dict[str, bytes]:
    """The whole files, by name."""
    made: dict[str, bytes] = {}
    for name, codecs in _SOURCES.items():
        path = clips.make(f"mutant-{name}", *_PICTURE, *_SOUND, *codecs)
        made[name] = path.read_bytes()
    return made


def mutate(whole: dict[str, bytes], count: int, seed: int, url: str) -> Iterator[Mutant]:
    """So many mutants of a seed, always the same; some are told to fetch `url`."""
    chance = random.Random(seed)
    kinds: tuple[Callable[[random.Random, bytes], bytes], ...] = (
        _flip_bits,
        _truncate,
        _overwrite,
        _cut_out,
        _repeat,
        _edit_part,
        _edit_part,
        _edit_part,
        _edit_numbers,
        lambda chance, data: _insert(chance, data, url.encode()),
    )
    for number in range(count):
        name = chance.choice(sorted(whole))
        data = whole[name]
        told = []
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            kind = chance.choice(kinds)
            told.append(kind.__name__.strip("_<>"))
            data = kind(chance, data)
        stem, _, ending = name.partition(".")
        yield Mutant(f"{seed}-{number:03}-{stem}-{'-'.join(told)}.{ending}", data)


def write_mutants(directory: Path, whole: dict[str, bytes], mutants: Iterator[Mutant]) -> list[str]:
    """Write them beside each other; returns their names in order."""
    names = []
    for mutant in mutants:
        assert mutant.data != whole.get(mutant.name)
        (directory / mutant.name).write_bytes(mutant.data)
        names.append(mutant.name)
    return sorted(names)


def _place(chance: random.Random, data: bytes) -> int:
    """Anywhere, but half the time among the first 4 KiB, where the structure mostly is."""
    end = max(1, len(data))
    return chance.randrange(min(end, 4096) if chance.random() < 0.5 else end)


def _flip_bits(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 4, 30, 300)) if data else 0):
        changed[_place(chance, data)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _truncate(chance: random.Random, data: bytes) -> bytes:
    return data[: _place(chance, data)]


def _overwrite(chance: random.Random, data: bytes) -> bytes:
    place, length = _place(chance, data), chance.choice((4, 64, 4096))
    filling = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))
    return data[:place] + filling[: len(data) - place] + data[place + length :]


def _cut_out(chance: random.Random, data: bytes) -> bytes:
    place = _place(chance, data)
    return data[:place] + data[place + chance.choice((1, 188, 5000)) :]


def _repeat(chance: random.Random, data: bytes) -> bytes:
    place, length = _place(chance, data), chance.choice((1, 188, 5000))
    return data[:place] + data[place : place + length] * chance.choice((2, 9)) + data[place:]


def _insert(chance: random.Random, data: bytes, what: bytes) -> bytes:
    place = _place(chance, data)
    return data[:place] + chance.choice((what, what + b"\0", b"\n" + what + b"\n")) + data[place:]


def _edit_numbers(chance: random.Random, data: bytes) -> bytes:
    """Put numbers at the ends of their ranges where four bytes stand now."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 3, 10)) if len(data) > 8 else 0):
        place = min(_place(chance, data), len(data) - 4)
        struct.pack_into(chance.choice((">I", "<I")), changed, place, chance.choice(_NUMBERS))
    return bytes(changed)


def _edit_part(chance: random.Random, data: bytes) -> bytes:
    """Resize, rename, empty, remove, double or move a box or an element."""
    found = list(_elements(data) if data[:4] == b"\x1a\x45\xdf\xa3" else _boxes(data, 0, len(data)))
    if not found:
        return _edit_numbers(chance, data)
    part = chance.choice(found)
    whole, head = data[part.start : part.end], data[part.start : part.content]
    # Cut before, it may end inside its own head.
    inside = max(0, part.end - part.content)
    new = chance.choice(
        (
            struct.pack(">I", chance.choice(_NUMBERS)) + whole[4:],
            whole[:4] + chance.choice(_WORDS) + whole[8:],
            head + bytes(inside),
            head + chance.randbytes(inside),
            head,
            b"",
            whole * 2,
            whole * 40 if len(whole) < 20_000 else whole * 2,
        )
    )
    rest = data[: part.start] + new + data[part.end :]
    if chance.random() < 0.15:
        return data[: part.start] + data[part.end :] + whole
    return rest


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Part]:
    """All boxes, parents first (ISO/IEC 14496-12, 4.2)."""
    while start + 8 <= end:
        (length,) = struct.unpack_from(">I", data, start)
        kind = data[start + 4 : start + 8]
        if not 8 <= length <= end - start or not kind.isascii():
            return
        yield _Part(start, start + 8, start + length)
        if kind.decode() in _MASTERS:
            yield from _boxes(data, start + 8, start + length)
        start += length


def _elements(data: bytes, start: int = 0, depth: int = 0) -> Iterator[_Part]:
    """Elements down to the third level (RFC 8794, 4-6)."""
    while start + 2 < len(data):
        name = _width(data[start])
        if start + name >= len(data):
            return
        width = _width(data[start + name])
        content = start + name + width
        raw = int.from_bytes(data[start + name : content], "big") & ((1 << 7 * width) - 1)
        end = min(content + raw, len(data))
        yield _Part(start, content, end)
        # The segment and what holds other elements in it: opened, not skipped.
        if depth < 3 and data[start : start + name] in _EBML_MASTERS:
            yield from _elements(data[:end], content, depth + 1)
        start = end


_EBML_MASTERS = {
    bytes.fromhex(name)
    for name in ("18538067", "1549A966", "1654AE6B", "AE", "E0", "E1", "1F43B675", "1C53BB6B")
}


def _width(first: int) -> int:
    """Bytes of a variable-size number, by its first byte."""
    return 9 - first.bit_length() if first else 8

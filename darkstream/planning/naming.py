"""Names of outputs: from a template, never above 255 bytes, never outside the destination."""

from __future__ import annotations

import os
import string
from collections.abc import Iterator

from darkstream.errors import InvalidPreset
from darkstream.model.plan import EncodePlan, FilePackage
from darkstream.model.preset import Preset

_FIELDS = ("dir", "stem", "ext", "preset", "job")
_NAME_MAX = 255
_TRIES = 99
_PART_PREFIX = b".darkstream-"

_Piece = bytes | tuple[bytes, bytes]
"""Bytes as they are, or a stem that may be shortened and the suffix it must keep."""
_Fields = dict[str, _Piece]


def check_template(template: str, origin: str) -> None:
    """Raise InvalidPreset where an output template has an unknown field or no name in it."""
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field]
    except ValueError as error:
        raise InvalidPreset(f"{origin}: output: {error}") from error
    unknown = [field for field in fields if field not in _FIELDS]
    if unknown:
        allowed = " ".join(f"{{{field}}}" for field in _FIELDS)
        raise InvalidPreset(f"{origin}: output: no field {{{unknown[0]}}}; allowed: {allowed}")
    if not {"stem", "job"} & set(fields):
        raise InvalidPreset(f"{origin}: output: needs {{stem}} or {{job}} to tell files apart")
    if template.startswith("/") or ".." in template.split("/"):
        raise InvalidPreset(f"{origin}: output: must stay below the destination")


def extension_of(plan: EncodePlan) -> str:
    """The extension of a plan's output; a presentation is a directory called `*.abr`."""
    return plan.package.extension if isinstance(plan.package, FilePackage) else "abr"


def output_candidates(
    preset: Preset, relative: bytes, extension: str, job: int
) -> tuple[bytes, ...]:
    """Names for one output, best first: a.mp4, a.mkv.mp4, a.mkv.2.mp4 …, a.mkv.<job>.mp4.

    All are relative to the destination; every part has at most 255 bytes. `relative` is the
    source's path in its library, as bytes that need not be text.
    """
    directory, name = os.path.split(relative)
    stem, source_extension = os.path.splitext(name)
    unique: dict[bytes, None] = {}
    for suffix in _suffixes(source_extension, job):
        fields: _Fields = {
            "dir": directory,
            "stem": (stem, suffix),
            "ext": extension.encode(),
            "preset": preset.name.encode(),
            "job": str(job).encode(),
        }
        unique.setdefault(_render(preset.output, fields))
    return tuple(unique)


def companion_candidates(output: bytes, extension: str, suffix: str) -> tuple[bytes, ...]:
    """Names for what goes beside an output: of 'a/b.mp4', 'a/b-poster.jpg', 'a/b.2-poster.jpg' …"""
    directory, name = os.path.split(output)
    stem = name.removesuffix(f".{extension}".encode())
    ends = [suffix.encode(), *(f".{number}{suffix}".encode() for number in range(2, 10))]
    names = (_shorten(stem, _NAME_MAX - len(end)) + end for end in ends)
    return tuple(os.path.join(directory, name) for name in names)


def _suffixes(source_extension: bytes, job: int) -> Iterator[bytes]:
    yield b""
    yield source_extension[:20]
    for number in range(2, _TRIES):
        yield b"%s.%d" % (source_extension[:20], number)
    yield b"%s.%d" % (source_extension[:20], job)


def _render(template: str, fields: _Fields) -> bytes:
    parts = template.split("/")
    rendered = [_render_part(part, fields) for part in parts]
    return b"/".join(_safe(piece) for part in rendered for piece in part.split(b"/") if piece)


def _render_part(part: str, fields: _Fields) -> bytes:
    pieces = _pieces(part, fields)
    if not any(isinstance(piece, tuple) for piece in pieces):
        return b"".join(piece for piece in pieces if isinstance(piece, bytes))
    used = sum(len(p) if isinstance(p, bytes) else len(p[1]) for p in pieces)
    room = max(1, (_NAME_MAX - used) // sum(isinstance(p, tuple) for p in pieces))
    return b"".join(p if isinstance(p, bytes) else _shorten(p[0], room) + p[1] for p in pieces)


def _pieces(part: str, fields: _Fields) -> list[_Piece]:
    pieces: list[_Piece] = []
    for literal, field, _, _ in string.Formatter().parse(part):
        pieces.append(literal.encode())
        if field:
            pieces.append(fields[field])
    return pieces


def _safe(part: bytes) -> bytes:
    if part in {b".", b".."}:
        return b"_" * len(part)
    if part.startswith(_PART_PREFIX):
        part = b"_" + part
    return _shorten(part.replace(b"\0", b"_"), _NAME_MAX)


def _shorten(name: bytes, size: int) -> bytes:
    """The first `size` bytes, without half a character at the end where the name is UTF-8."""
    if len(name) <= size:
        return name
    try:
        name.decode()
    except UnicodeDecodeError:
        return name[:size]
    return name[:size].decode(errors="ignore").encode()

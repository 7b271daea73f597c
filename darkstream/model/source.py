"""Which file is meant, and whether it is still the same."""

from __future__ import annotations

from darkstream.model.base import ContentId, Frozen

_HALF = 1 << 63


class ChangeHint(Frozen):
    """What `stat` says of a file: equal hints mean it was not touched (no file is opened).

    Each number is taken as 64 bits with a sign, as databases keep them: file systems know times
    after 2262 and inode numbers that need the 64th bit.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def fit(number: int) -> int:
    """A number of `stat` as 64 bits with a sign; nearly always itself."""
    return number if -_HALF <= number < _HALF else (number + _HALF) % (2 * _HALF) - _HALF


class SourceFile(Frozen):
    """One file of a library: its path relative to the library's root, as bytes."""

    path: bytes
    hint: ChangeHint


class Identity(Frozen):
    """What is in a file: sampled xxh3 (a hint) and blake3 of every byte (the truth)."""

    sample: str
    content: ContentId
    seconds: float
    """What the full hash cost, wall seconds."""

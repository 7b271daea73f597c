"""Which file is meant, and whether it is still the same."""

from __future__ import annotations

from darkstream.model.base import ContentId, Frozen


class ChangeHint(Frozen):
    """What `stat` says of a file: equal hints mean it was not touched (no file is opened)."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


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

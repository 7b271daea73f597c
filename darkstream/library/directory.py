"""One directory of a library: opened at any depth, read once, digested; no file is opened."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

import xxhash

from darkstream.library.filters import Filter
from darkstream.library.irregular import Irregular
from darkstream.model.source import fit

Row = tuple[bytes, int, int, int, int]
"""Name, size, mtime_ns, ctime_ns and inode of a regular file, as in a ChangeHint."""

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HOP = 3072  # bytes of path in one openat, well below what Linux takes (4096)
_NUMBERS = struct.Struct("<qqqq")


@dataclass(slots=True)
class Contents:
    """What the filters let through, in no order; `odd` are names of what is no file or directory.

    `gone` are names that were listed but could no longer be asked for their state.
    """

    rows: list[Row] = field(default_factory=list)
    directories: list[bytes] = field(default_factory=list)
    odd: list[bytes] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    irregular: list[Irregular] = field(default_factory=list)
    """Filled by `Oddities.describe`, in order of names."""
    ignored: int = 0
    empty: bool = True
    """Whether nothing at all is in it, not even what the filters leave out."""


def open_directory(root: int, path: bytes) -> int:
    """Open a directory below an open one, however long the path; no component may be a link.

    The caller closes the descriptor. Raises OSError.
    """
    descriptor = os.dup(root) if path else os.open(b".", _FLAGS, dir_fd=root)
    for hop in _hops(path):
        above = descriptor
        try:
            descriptor = os.open(hop, _FLAGS, dir_fd=above)
        finally:
            os.close(above)
    return descriptor


def _hops(path: bytes) -> Iterable[bytes]:
    while len(path) > _HOP:
        cut = path.rindex(b"/", 0, _HOP)
        yield path[:cut]
        path = path[cut + 1 :]
    if path:
        yield path


def read(descriptor: int, path: bytes, admit: Filter) -> Contents:
    """List an open directory. Raises OSError where it, or what is in it, cannot be read."""
    contents = Contents()
    with os.scandir(descriptor) as entries:
        for entry in entries:
            contents.empty = False
            _sort_in(contents, entry, path, admit)
    return contents


def _sort_in(contents: Contents, entry: os.DirEntry[str], path: bytes, admit: Filter) -> None:
    name = entry.name
    if name[0] == ".":
        contents.ignored += not entry.is_dir(follow_symlinks=False)
    elif entry.is_file(follow_symlinks=False):
        if not admit.admits(name, path):
            contents.ignored += 1
            return
        raw = os.fsencode(name)
        try:
            stat = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            contents.gone.append(raw)
            return
        mtime, ctime, inode = fit(stat.st_mtime_ns), fit(stat.st_ctime_ns), fit(stat.st_ino)
        contents.rows.append((raw, stat.st_size, mtime, ctime, inode))
    elif entry.is_dir(follow_symlinks=False):
        contents.directories.append(os.fsencode(name))
    elif entry.is_symlink() or admit.admits(name, path):
        contents.odd.append(os.fsencode(name))
    else:
        contents.ignored += 1


def digest(rows: list[Row]) -> str:
    """The xxh3-128 of a directory's sorted rows: equal when no file in it was touched."""
    state = xxhash.xxh3_128()
    for name, size, mtime_ns, ctime_ns, inode in rows:
        state.update(name + b"\0" + _NUMBERS.pack(size, mtime_ns, ctime_ns, inode))
    return state.hexdigest()

"""Part files: finished work beside its final name, hidden until it is renamed."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from darkstream.model.base import FencingToken, JobId

_NAME = re.compile(rb"\.darkstream-(\d+)-(\d+)-(\d+)\.part")


@dataclass(frozen=True, slots=True)
class Part:
    """A file (or package directory) that is whole, on disk, and not yet visible.

    `directory` is relative to the destination, `path` absolute. `size` in bytes; `blake3` is that
    of the file, or of the tree of a directory.
    """

    path: bytes
    directory: bytes
    name: bytes
    size: int
    blake3: str
    package: bool = False


def part_name(job: JobId, token: FencingToken, number: int) -> bytes:
    """The name of an attempt's n-th part file."""
    return f".darkstream-{job}-{token}-{number}.part".encode()


def owner(name: bytes) -> tuple[JobId, FencingToken] | None:
    """Job and fencing token a part file belongs to; None for any other name."""
    found = _NAME.fullmatch(name)
    return (JobId(int(found[1])), FencingToken(int(found[2]))) if found else None


def reap_parts(
    destination: bytes,
    live: Collection[tuple[JobId, FencingToken]],
    *,
    older_than_s: float = 60.0,
) -> tuple[bytes, ...]:
    """Remove abandoned part files of a destination; the answer names them.

    Kept are those of live attempts, and those touched within `older_than_s` (an attempt may have
    begun since the live ones were listed). What cannot be read or removed stays for the next time.
    """
    newest = time.time() - older_than_s
    return tuple(
        path
        for path, entry in _part_files(destination)
        if owner(entry.name) not in live and _older(entry, newest) and _remove(path)
    )


def reap_work(
    parent: bytes, keep: Collection[bytes], *, older_than_s: float = 3600.0
) -> tuple[bytes, ...]:
    """Remove work directories that nobody uses; `keep` are names, the answer names what went."""
    newest = time.time() - older_than_s
    try:
        with os.scandir(parent) as entries:
            found = list(entries)
    except FileNotFoundError:
        return ()
    return tuple(
        entry.path
        for entry in found
        if entry.name not in keep and _older(entry, newest) and _remove(entry.path)
    )


def _part_files(directory: bytes) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    pending = [directory]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                found = list(entries)
        except OSError:
            continue  # gone, or not ours to read: nothing of ours can be told apart there
        for entry in found:
            if owner(entry.name):
                yield entry.path, entry
            elif entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)


def _older(entry: os.DirEntry[bytes], newest: float) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return max(found.st_mtime, found.st_ctime) <= newest


def _remove(path: bytes) -> bool:
    """Remove a file or a tree; whether it is gone now by our doing."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except OSError:
        return False
    return True

"""Part files: finished work beside its final name, hidden until it is renamed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
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


def sweep(directory: int, job: JobId, token: FencingToken) -> None:
    """Remove what earlier attempts at a job, which are over, left in an open directory."""
    with os.scandir(directory) as entries:
        names = [os.fsencode(entry.name) for entry in entries]
    for name in names:
        found = owner(name)
        if found is not None and found[0] == job and found[1] < token:
            remove(name, dir_fd=directory)


def reap_parts(
    destination: bytes,
    live: Collection[tuple[JobId, FencingToken]],
    *,
    older_than_s: float = 60.0,
    deep: bool = True,
) -> tuple[bytes, ...]:
    """Remove abandoned part files of a destination, or (not `deep`) of one directory.

    The answer names them. Kept are those of live attempts, and those touched within `older_than_s`
    (an attempt may have begun since the live ones were listed). What cannot be read or removed
    stays for the next time.
    """
    newest = time.time() - older_than_s
    return tuple(
        path
        for path, entry in _part_files(destination, deep)
        if owner(entry.name) not in live and _older(entry, newest) and _remove(path)
    )


def reap_work(
    parent: bytes, older_than_s: Callable[[bytes], float] = lambda _path: 3600.0
) -> tuple[bytes, ...]:
    """Remove work directories that nobody holds; the answer names what went.

    An encode may take days without touching its directory itself: it holds a lock (`occupy`). For
    how long one is kept without a holder depends on the directory.
    """
    now = time.time()
    try:
        with os.scandir(parent) as entries:
            found = list(entries)
    except FileNotFoundError:
        return ()
    return tuple(
        entry.path
        for entry in found
        if _older(entry, now - older_than_s(entry.path)) and _remove_unheld(entry.path)
    )


def occupy(path: bytes) -> int | None:
    """Make a directory and lock it while the answer is open; None: another process holds it.

    Raises OSError.
    """
    while True:
        os.makedirs(path, exist_ok=True)
        descriptor = _lock(path)
        if descriptor is None or _is_still(path, descriptor):
            return descriptor
        os.close(descriptor)  # its former holder removed it meanwhile


def _lock(path: bytes) -> int | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_still(path: bytes, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_unheld(path: bytes) -> bool:
    """Remove what no process holds; whether it is gone now by our doing."""
    try:
        descriptor = _lock(path)
    except NotADirectoryError:
        return _remove(path)
    except OSError:
        return False
    if descriptor is None:
        return False
    try:
        return _remove(path)
    finally:
        os.close(descriptor)


def _part_files(directory: bytes, deep: bool) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
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
            elif deep and entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)


def _older(entry: os.DirEntry[bytes], newest: float) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return max(found.st_mtime, found.st_ctime) <= newest


def remove(name: bytes, *, dir_fd: int) -> None:
    """Remove a file or a tree, if it is there. Raises OSError."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(name, dir_fd=dir_fd).st_mode):
            shutil.rmtree(name, dir_fd=dir_fd)
        else:
            os.unlink(name, dir_fd=dir_fd)


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

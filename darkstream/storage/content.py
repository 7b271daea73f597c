"""What is in a file or a package directory: its size and blake3, read once; and copies of it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

import blake3

from darkstream.errors import StorageError
from darkstream.model.paths import display
from darkstream.observe.cancel import CancelToken

_READ = 1 << 20
_RANGE = 64 << 20  # bytes the kernel copies before we look at the cancel token
_FICLONE = 0x40049409
_NO_RANGE = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY}
)
_NO_CLONE = _NO_RANGE | {errno.ENOTTY, errno.EISDIR}


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes in all files, and blake3 of the file or of the tree."""

    size: int
    blake3: str


def content_of(
    path: bytes, cancel: CancelToken | None = None, *, dir_fd: int | None = None
) -> Content:
    """Read a file, or all files of a directory; the path itself is not followed if it is a link.

    A directory's blake3 is taken over its files in order of their relative paths: length of the
    path (8 bytes, little-endian), path, blake3 of the file. Raises OSError, StorageError for what
    is neither, and what `cancel` was given.
    """
    cancel = cancel or CancelToken()
    mode = os.lstat(path, dir_fd=dir_fd).st_mode
    if stat.S_ISREG(mode):
        return _file_content(path, dir_fd, cancel)
    if not stat.S_ISDIR(mode):
        raise StorageError(f"{display(path)} is neither a file nor a directory")
    size, state = 0, blake3.blake3()
    for name in files_below(path, dir_fd=dir_fd):
        found = _file_content(os.path.join(path, name), dir_fd, cancel)
        state.update(len(name).to_bytes(8, "little") + name + bytes.fromhex(found.blake3))
        size += found.size
    return Content(size, state.hexdigest())


def files_below(top: bytes, *, dir_fd: int | None = None) -> list[bytes]:
    """All files of a directory, relative and sorted. Raises StorageError for links and the like."""
    found: list[bytes] = []
    for directory, below, names, descriptor in os.fwalk(top, dir_fd=dir_fd, onerror=_raise):
        for name in (*below, *names):
            path = os.path.join(directory, name)
            mode = os.lstat(name, dir_fd=descriptor).st_mode
            if stat.S_ISREG(mode):
                found.append(os.path.relpath(path, top))
            elif not stat.S_ISDIR(mode):
                raise StorageError(f"{display(path)} is no regular file")
    return sorted(found)


def sync_tree(top: bytes, *, dir_fd: int | None = None) -> None:
    """Make a file, or a directory and all in it, durable."""
    if not stat.S_ISDIR(os.lstat(top, dir_fd=dir_fd).st_mode):
        _sync(top, dir_fd)
        return
    for _, _, names, descriptor in os.fwalk(top, topdown=False, dir_fd=dir_fd, onerror=_raise):
        for name in names:
            _sync(name, descriptor)
        os.fsync(descriptor)


def clone(source: int, target: int) -> bool:
    """Let an empty file share the blocks of another (a reflink); false where that is not known."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    return True


def copy_range(source: int, target: int, cancel: CancelToken) -> None:
    """Copy all bytes, in the kernel (or on the file server) where it can."""
    while True:
        cancel.check()
        try:
            count = os.copy_file_range(source, target, _RANGE)
        except OSError as error:
            if error.errno not in _NO_RANGE:
                raise
            break
        if count == 0:
            break
    stream(source, target, cancel)


def stream(source: int, target: int, cancel: CancelToken) -> None:
    """Copy what is left of an open file through memory."""
    for block in _blocks(source, cancel):
        rest = block
        while rest:
            rest = rest[os.write(target, rest) :]


def _file_content(path: bytes, dir_fd: int | None, cancel: CancelToken) -> Content:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        state, size = blake3.blake3(), 0
        for block in _blocks(descriptor, cancel):
            state.update(block)
            size += len(block)
        return Content(size, state.hexdigest())
    finally:
        os.close(descriptor)


def _blocks(descriptor: int, cancel: CancelToken) -> Iterator[memoryview]:
    buffer = bytearray(_READ)
    while count := os.readv(descriptor, [buffer]):
        cancel.check()
        yield memoryview(buffer)[:count]


def _sync(path: bytes, dir_fd: int | None) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error

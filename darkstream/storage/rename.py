"""Renames that never overwrite, and the exchange of two names; Linux first, POSIX as fallback."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from dataclasses import dataclass
from functools import cache

from darkstream.errors import StorageError

_NOREPLACE = 1
_EXCHANGE = 2
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


class Unsupported(OSError):
    """This system or file system has no such rename."""


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open directory (its descriptor)."""

    directory: int
    name: bytes


def rename_without_replacing(source: Place, target: Place) -> None:
    """Give a file or directory its final name; at no moment is anything there overwritten.

    Raises FileExistsError where the name is taken, StorageError where the file system knows no
    rename that keeps what is there, OSError otherwise.
    """
    try:
        rename_noreplace(source, target)
    except Unsupported:
        link_and_unlink(source, target)


def rename_noreplace(source: Place, target: Place) -> None:
    """By Linux' renameat2(RENAME_NOREPLACE). Raises Unsupported, FileExistsError, OSError."""
    _renameat2(source, target, _NOREPLACE)


def exchange(one: Place, other: Place) -> None:
    """Swap two names at once by renameat2(RENAME_EXCHANGE). Raises Unsupported, OSError."""
    _renameat2(one, other, _EXCHANGE)


def link_and_unlink(source: Place, target: Place) -> None:
    """Link the file to its final name, then drop the old one: whole at every moment.

    A directory cannot be linked: the kernel renames it over nothing, or over an empty directory.
    Raises FileExistsError, StorageError, OSError.
    """
    if stat.S_ISDIR(os.lstat(source.name, dir_fd=source.directory).st_mode):
        _rename_directory(source, target)
        return
    try:
        os.link(
            source.name,
            target.name,
            src_dir_fd=source.directory,
            dst_dir_fd=target.directory,
            follow_symlinks=False,
        )
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise StorageError(
            "this file system can neither rename without replacing nor make hard links; "
            "choose another destination"
        ) from error
    os.unlink(source.name, dir_fd=source.directory)


def _rename_directory(source: Place, target: Place) -> None:
    taken = FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target.name)
    try:
        os.lstat(target.name, dir_fd=target.directory)
    except FileNotFoundError:
        pass
    else:
        raise taken
    try:
        os.rename(
            source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory
        )
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):  # somebody was quicker
            raise taken from error
        raise


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _renameat2(source: Place, target: Place, flags: int) -> None:
    call = getattr(_libc(), "renameat2", None)
    if call is None:
        raise Unsupported(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if (
        call(
            ctypes.c_int(source.directory),
            ctypes.c_char_p(source.name),
            ctypes.c_int(target.directory),
            ctypes.c_char_p(target.name),
            ctypes.c_uint(flags),
        )
        == 0
    ):
        return
    code = ctypes.get_errno()
    kind = Unsupported if code in _UNSUPPORTED else OSError
    raise kind(code, os.strerror(code), source.name, None, target.name)

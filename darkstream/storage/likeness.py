"""Making a result look like its original: owner, mode, extended attributes, times."""

from __future__ import annotations

import errno
import os
import stat
from typing import Literal

from darkstream.errors import StorageError
from darkstream.storage.rename import Place

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_ACCESS = "system.posix_acl_access"
_KEPT = ("user.", _ACCESS)
"""Attributes that must be kept; what the system itself needs others for, it sets by itself."""
_REFUSED = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})


def liken(original: Place, result: Place, *, mtime: Literal["keep", "now"]) -> None:
    """Give a result the owner, mode, attributes and (as wished) times of its original, durably.

    Raises OSError, and StorageError where one of them may not be given.
    """
    source = os.open(original.name, _FLAGS | os.O_NONBLOCK, dir_fd=original.directory)
    try:
        copy = os.open(result.name, _FLAGS, dir_fd=result.directory)
        try:
            _liken(source, copy, keep_time=mtime == "keep")
            os.fsync(copy)
        finally:
            os.close(copy)
    finally:
        os.close(source)


def _liken(source: int, copy: int, *, keep_time: bool) -> None:
    model, mine = os.fstat(source), os.fstat(copy)
    if (model.st_uid, model.st_gid) != (mine.st_uid, mine.st_gid):
        _own(copy, model)
    _copy_attributes(source, copy)
    if stat.S_IMODE(model.st_mode) != stat.S_IMODE(os.fstat(copy).st_mode):
        os.fchmod(copy, stat.S_IMODE(model.st_mode))
    if keep_time:
        os.utime(copy, ns=(model.st_atime_ns, model.st_mtime_ns))
    else:
        os.utime(copy)


def _own(copy: int, model: os.stat_result) -> None:
    try:
        os.fchown(copy, model.st_uid, model.st_gid)
    except PermissionError as error:
        raise StorageError(
            f"the original belongs to user {model.st_uid} and group {model.st_gid}, which this "
            "worker may not give to the result: run the worker as that user or as root"
        ) from error


def _copy_attributes(source: int, copy: int) -> None:
    if not hasattr(os, "listxattr"):
        return
    try:
        names = os.listxattr(source)
    except OSError as error:
        if error.errno in _REFUSED:
            return
        raise
    if _ACCESS not in names and _ACCESS in os.listxattr(copy):
        os.removexattr(copy, _ACCESS)  # inherited from the directory it was made in
    for name in names:
        value = os.getxattr(source, name)
        try:
            os.setxattr(copy, name, value)
        except OSError as error:
            if error.errno not in _REFUSED or name.startswith(_KEPT):
                raise

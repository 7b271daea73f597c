"""Copies of files and packages: shared blocks first, then a hard link where allowed, then bytes."""

from __future__ import annotations

import errno
import os

from darkstream.observe.cancel import CancelToken
from darkstream.storage.content import clone, copy_range, files_below
from darkstream.storage.rename import Place

_NO_LINKS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def total_size(path: bytes) -> int:
    """Bytes in a file, or in all files of a directory. Raises OSError, StorageError."""
    if not os.path.isdir(path):
        return os.stat(path).st_size
    return sum(os.stat(os.path.join(path, name)).st_size for name in files_below(path))


def duplicate(source: bytes, target: Place, cancel: CancelToken, *, hard_link: bool) -> None:
    """Make a file (or a directory of files) again under a name that is free.

    Raises OSError, and what `cancel` was given; then the target may be incomplete.
    """
    if not os.path.isdir(source):
        _duplicate_file(source, target, cancel, hard_link=hard_link)
        return
    os.mkdir(target.name, dir_fd=target.directory)
    for name in files_below(source):
        place = Place(target.directory, os.path.join(target.name, name))
        _make_parents(target, name)
        _duplicate_file(os.path.join(source, name), place, cancel, hard_link=hard_link)


def _make_parents(top: Place, name: bytes) -> None:
    path = top.name
    for component in name.split(b"/")[:-1]:
        path = os.path.join(path, component)
        try:
            os.mkdir(path, dir_fd=top.directory)
        except FileExistsError:
            continue


def _duplicate_file(source: bytes, target: Place, cancel: CancelToken, *, hard_link: bool) -> None:
    original = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if _cloned(original, target) or (hard_link and _linked(source, target)):
            return
        copy = os.open(target.name, _CREATE, 0o666, dir_fd=target.directory)
        try:
            copy_range(original, copy, cancel)
        finally:
            os.close(copy)
    finally:
        os.close(original)


def _cloned(original: int, target: Place) -> bool:
    """Make a file of shared blocks; nothing is left where the file system cannot."""
    copy = os.open(target.name, _CREATE, 0o666, dir_fd=target.directory)
    try:
        shared = clone(original, copy)
    finally:
        os.close(copy)
    if not shared:
        os.unlink(target.name, dir_fd=target.directory)
    return shared


def _linked(source: bytes, target: Place) -> bool:
    try:
        os.link(source, target.name, dst_dir_fd=target.directory)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True

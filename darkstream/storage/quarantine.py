"""Where originals are kept that were replaced, and results that wait: beside them, hidden."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from contextlib import suppress

from darkstream.errors import SourceShared
from darkstream.model.base import JobId
from darkstream.model.paths import display
from darkstream.model.replacement import CLIP, QUARANTINE, InPlace
from darkstream.storage.destination import Destination, split, sync_directory
from darkstream.storage.faults import storage_faults

DIRECTORY = QUARANTINE
_HELD, _KEPT = b"result", b"original"
_EXTENSION = 24
"""Bytes of a file's extension that its name in quarantine keeps."""
_LEASES = (errno.EAGAIN, errno.EWOULDBLOCK)


def is_held(name: bytes) -> bool:
    """Whether a file in quarantine is a result that waits."""
    return name == _HELD or name.startswith(_HELD + b".")


def is_clip(name: bytes) -> bool:
    """Whether a file in quarantine is a clip of a result that waits and its original."""
    return name == CLIP


def is_kept(name: bytes) -> bool:
    """Whether a file in quarantine is an original."""
    return name == _KEPT or name.startswith(_KEPT + b".")


def held_name(target: bytes) -> bytes:
    """What a result is called while it waits."""
    return _HELD + os.path.splitext(target)[1][:_EXTENSION]


def kept_name(source: bytes) -> bytes:
    """What an original is called in quarantine."""
    return _KEPT + os.path.splitext(source)[1][:_EXTENSION]


def prepare(root: bytes, source: bytes, job: JobId, mark: str) -> bytes:
    """Make the quarantine directory of one replacement; its path relative to the root.

    At the root, where that is on the source's file system, else beside the source. Nobody but its
    owner may enter it, whoever may see the original. Raises StorageError.
    """
    directory, _ = split(source)
    name = f"{job}-{mark}".encode()
    with storage_faults(root), Destination(root) as opened:
        home = opened.directory(directory)
        base = b"" if _same_mount(opened.directory(b""), home) else directory
        above = os.path.join(base, DIRECTORY)
        _make(opened.directory(base), DIRECTORY)
        _make(opened.directory(above), name)
    return os.path.join(above, name)


def _make(parent: int, name: bytes) -> None:
    """A directory that is there after a loss of power too: an original will be in it."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    sync_directory(parent)


def check_replaceable(path: bytes, rule: InPlace, *, own_links: int = 0) -> None:
    """Raise SourceShared for a file that others use too, as the rule says of such.

    Raises StorageError where its directory takes no changes; else a whole encode were for nothing.
    """
    with storage_faults(os.path.dirname(path)):
        found = os.lstat(path)
        if not os.access(os.path.dirname(path), os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if not stat.S_ISREG(found.st_mode):
        raise SourceShared(f"{display(path)} is no regular file, and only such are replaced")
    links = found.st_nlink - own_links
    if links > 1 and rule.hard_links == "skip":
        raise SourceShared(
            f"the file has {links} names (hard links), and replacing one would not free its bytes; "
            "the library says hard-links: skip"
        )
    if rule.open_files == "skip":
        with storage_faults(path):
            is_open = _is_open_elsewhere(path)
        if is_open:
            raise SourceShared(
                "another program has the file open; the next scan looks again", passing=True
            )


def _same_mount(one: int, other: int) -> bool:
    """Whether files can be renamed from one directory into the other."""
    if os.fstat(one).st_dev != os.fstat(other).st_dev:
        return False
    return _mount(one) == _mount(other)


def _mount(descriptor: int) -> str | None:
    """The mount a directory is seen through: two of one disk have the same device."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
            return next((line for line in lines if line.startswith("mnt_id")), None)
    except OSError:
        return None


def _is_open_elsewhere(path: bytes) -> bool:
    """Whether a process of this machine holds a file open; false where that cannot be known.

    A write lease is given only on a file that nobody else has open.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Who opens it just now makes the kernel tell us by a signal, whose default would end us.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno in _LEASES
    finally:
        os.close(descriptor)
    return False

"""What a file is: an original, its result or somebody else's, told by `stat` or by its bytes."""

from __future__ import annotations

import os
import stat
from typing import Literal

from darkstream.errors import StorageError
from darkstream.model.paths import display
from darkstream.model.replacement import KnownFile, Replacement
from darkstream.model.source import fit
from darkstream.observe.cancel import CancelToken
from darkstream.storage.content import content_of
from darkstream.storage.rename import Place

Kind = Literal["original", "result", "other", "none"]
Signature = tuple[int, int, int, int, int]
"""Device, inode, size, and when it was written to and changed: any write makes another one."""


def know(path: bytes, blake3: str) -> KnownFile:
    """A file as it is now, with what is in it; raises OSError."""
    return known_as(os.lstat(path), blake3)


def known_as(found: os.stat_result, blake3: str) -> KnownFile:
    """A file as `stat` says it is, with what is in it."""
    return KnownFile(
        size=found.st_size,
        mtime_ns=fit(found.st_mtime_ns),
        inode=fit(found.st_ino),
        ctime_ns=fit(found.st_ctime_ns),
        blake3=blake3,
    )


def is_known(found: os.stat_result, known: KnownFile, *, exactly: bool = False) -> bool:
    """Whether `stat` tells a file as the known one; `exactly`: that was neither renamed."""
    now = known_as(found, known.blake3)
    if exactly and known.ctime_ns != now.ctime_ns:
        return False
    return (now.size, now.mtime_ns, now.inode) == (known.size, known.mtime_ns, known.inode)


def signature_of(place: Place) -> Signature | None:
    """What changes with every write; None where no file is. Raises OSError."""
    try:
        return _signature(os.lstat(place.name, dir_fd=place.directory))
    except FileNotFoundError:
        return None


def _signature(found: os.stat_result) -> Signature:
    return (
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def kind_of(
    place: Place, what: Replacement, *, surely: Kind | None = None
) -> tuple[Kind, Signature | None]:
    """What a file is, by what `stat` says of it, or (`surely`: always) by its bytes.

    Raises OSError. With it goes the signature of what was looked at. A file that somebody writes
    to while it is read is `other`: what was read is not what is there.
    """
    try:
        found = os.lstat(place.name, dir_fd=place.directory)
    except FileNotFoundError:
        return "none", None
    seen = _signature(found)
    if not stat.S_ISREG(found.st_mode):
        return "other", seen
    kinds: tuple[tuple[Kind, KnownFile], ...] = (
        ("original", what.original),
        ("result", what.result),
    )
    for kind, known in kinds:
        if is_known(found, known) and kind != surely:
            return kind, seen
    # A disk mounted anew may number its files otherwise, and a time may have been set.
    alike = [(kind, known) for kind, known in kinds if known.size == found.st_size]
    if alike:
        content = content_of(place.name, dir_fd=place.directory)
        if signature_of(place) != seen:
            return "other", seen
        for kind, known in alike:
            if known.blake3 == content.blake3:
                return kind, seen
    return "other", seen


def is_untouched(place: Place, what: Replacement, cancel: CancelToken) -> bool:
    """Whether an original is the very file that was encoded, and never was elsewhere.

    Raises StorageError where that cannot be seen, and what `cancel` was given.
    """
    try:
        found = os.lstat(place.name, dir_fd=place.directory)
        if not stat.S_ISREG(found.st_mode):
            return False
        if is_known(found, what.original, exactly=True):
            return True
        content = content_of(place.name, cancel, dir_fd=place.directory)
    except FileNotFoundError:
        return False
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise StorageError(f"cannot read {display(what.source)}: {said}") from error
    return content.blake3 == what.original.blake3

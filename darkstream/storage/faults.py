"""What the system says of a failed write, as one clear line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from darkstream.errors import StorageError, StorageFull
from darkstream.model.paths import display

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_ADVICE = {
    errno.EROFS: "the file system is read-only; choose another destination",
    errno.EACCES: "permission denied; give the user that runs the worker write access",
    errno.EPERM: "not permitted; give the user that runs the worker write access",
    errno.ENAMETOOLONG: "a name is too long for the file system; shorten the output template",
    errno.ENOTDIR: "a part of the path is a file; choose another destination",
    errno.ELOOP: "a part of the path is a link, and links below a destination are not followed",
    errno.EEXIST: "something of that name is in the way",
    errno.EFBIG: "the file is larger than the file system allows; choose another destination",
}


@contextmanager
def storage_faults(destination: bytes, needed: int | None = None) -> Iterator[None]:
    """Turn an OSError of writing to `destination` into StorageFull or StorageError.

    `needed` is how many bytes were to be written.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(destination, error, needed) from error


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room."""
    return error.errno in _FULL


def storage_error(destination: bytes, error: OSError, needed: int | None = None) -> StorageError:
    """The one line for a failed write."""
    if error.errno in _FULL:
        return full(destination, needed)
    said = _ADVICE.get(error.errno or 0) or (error.strerror or str(error)).lower()
    return StorageError(f"cannot write to {display(destination)}: {said}")


def full(destination: bytes, needed: int | None = None) -> StorageFull:
    """No space left; says how much to free where that is known."""
    amount = f"free {_size(needed)}" if needed else "free some"
    return StorageFull(
        f"no space left on {display(destination)}: {amount} or choose another destination"
    )


def check_room(directory: int, destination: bytes, needed: int) -> None:
    """Raise StorageFull before a copy that cannot fit."""
    found = os.statvfs(directory)
    if found.f_blocks and found.f_bavail * found.f_frsize < needed:
        raise full(destination, needed - found.f_bavail * found.f_frsize)


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"

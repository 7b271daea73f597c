"""An open destination: directories beneath it, made as needed, never through a link."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from types import TracebackType
from typing import Self

from darkstream.errors import StorageError
from darkstream.model.paths import display
from darkstream.storage.faults import storage_faults

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def split(relative: bytes) -> tuple[bytes, bytes]:
    """Directory ('' the destination itself) and name of a path relative to a destination.

    Raises StorageError for a path that could lead out of it.
    """
    components = relative.split(b"/")
    if b"\0" in relative or any(one in (b"", b".", b"..") for one in components):
        raise StorageError(f"{display(relative)} is no name for an output")
    return b"/".join(components[:-1]), components[-1]


class Destination:
    """Holds directories open, so that what is checked is what is written to; close it."""

    def __init__(self, path: bytes, *, make: bool = True) -> None:
        self.path = path
        with storage_faults(path):
            if make:
                os.makedirs(path, exist_ok=True)
            self._open = {b"": os.open(path, _FLAGS)}

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every directory."""
        for descriptor in self._open.values():
            with suppress(OSError):  # what is written in them is synced, or said to have failed
                os.close(descriptor)
        self._open.clear()

    def directory(self, relative: bytes) -> int:
        """The descriptor of a directory beneath, made if missing; it stays ours to close.

        Raises StorageError where a component is a link or a file.
        """
        if (found := self.find(relative)) is not None:
            return found
        above, _, name = relative.rpartition(b"/")
        parent = self.directory(above)
        with storage_faults(os.path.join(self.path, relative)):
            self._open[relative] = _make(parent, name)
        return self._open[relative]

    def find(self, relative: bytes) -> int | None:
        """As `directory`, but nothing is made: None where it is missing."""
        if relative not in self._open:
            above, _, name = relative.rpartition(b"/")
            parent = self.find(above)
            if parent is None:
                return None
            with storage_faults(os.path.join(self.path, relative)):
                try:
                    self._open[relative] = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=parent)
                except FileNotFoundError:
                    return None
        return self._open[relative]


def _make(parent: int, name: bytes) -> int:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        pass  # another job made it meanwhile; opening it says whether it is a directory
    else:
        sync_directory(parent)
    return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=parent)


def sync_directory(descriptor: int) -> None:
    """Make the names in a directory durable."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # file systems without such a thing
            raise

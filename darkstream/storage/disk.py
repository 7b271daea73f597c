"""Which disk this is: a file beside the quarantined originals has an id that nothing else has.

Another disk at the same path, or another machine, may hold the same names and an older copy.
"""

from __future__ import annotations

import os
import secrets

from darkstream.errors import StorageError
from darkstream.model.paths import display
from darkstream.model.replacement import Replacement
from darkstream.storage.destination import Destination, sync_directory
from darkstream.storage.faults import storage_faults
from darkstream.storage.rename import Place, rename_without_replacing

_NAME = b"id"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 100


def identify(root: bytes, quarantine: bytes) -> str:
    """The id of what holds a quarantine directory, given to it if it has none; StorageError."""
    with storage_faults(root), Destination(root, make=False) as opened:
        home = opened.directory(os.path.dirname(quarantine))
        if (found := _read(home)) is None:
            _give(home)
            found = _read(home)
    if not found:
        path = os.path.join(root, os.path.dirname(quarantine), _NAME)
        raise StorageError(f"{display(path)} is empty or was removed: remove it and try again")
    return found


def check_disk(opened: Destination, what: Replacement) -> None:
    """Raise StorageError unless what is open is where a replacement was made.

    What was made before disks had ids is on any.
    """
    if not what.disk:
        return
    home = os.path.dirname(what.quarantine)
    path = display(os.path.join(what.root, home))
    with storage_faults(opened.path):
        directory = opened.find(home)
        found = None if directory is None else _read(directory)
    if found != what.disk:
        raise StorageError(
            f"{display(os.path.join(what.root, what.quarantine))} is not there, and this is not "
            "the disk it was on: is that mounted on this machine? Nothing was touched. If you "
            f"removed {path} yourself, make it again with a file 'id' in it that holds {what.disk}"
        )


def _read(home: int) -> str | None:
    try:
        descriptor = os.open(_NAME, _READ, dir_fd=home)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, _MOST).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)


def _give(home: int) -> None:
    """Give it an id that is whole when it has its name; another job may be quicker."""
    new, made = secrets.token_hex(16), f"id.{secrets.token_hex(4)}".encode()
    descriptor = os.open(made, _WRITE, 0o600, dir_fd=home)
    try:
        os.write(descriptor, new.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        rename_without_replacing(Place(home, made), Place(home, _NAME))
    except FileExistsError:
        os.unlink(made, dir_fd=home)
    sync_directory(home)

"""The journal of one replacement: a small file in its quarantine directory, whole or not there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from pydantic import ValidationError

from darkstream.errors import StorageBusy, StorageError
from darkstream.model.base import Frozen
from darkstream.model.paths import display
from darkstream.model.replacement import Replacement
from darkstream.storage.destination import sync_directory

NAME = b"journal"
_NEW = b"journal.new"
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = b"lock"
_LOCKING = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 1 << 20

Goal = Literal["hold", "place", "restore", "forget"]
"""hold: the result waits; place: it takes the original's place; restore: the original has its name
and the result is gone; forget: the original in quarantine is gone."""


class Journal(Frozen):
    """What is to become of the files of a replacement: whoever finds it brings that about."""

    goal: Goal
    replacement: Replacement
    force: bool = False
    """Restore even where the result was changed since, which is then lost."""
    placed: float | None = None
    """When the result was put in place, seconds since the epoch."""


def read_journal(directory: int) -> Journal | None:
    """The journal in an open quarantine directory, if there is one.

    Raises OSError, and StorageError for one that cannot be read as such.
    """
    try:
        descriptor = os.open(NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        text = os.read(descriptor, _MOST)
    finally:
        os.close(descriptor)
    try:
        return Journal.model_validate_json(text)
    except ValidationError as error:
        raise StorageError(
            "a replacement's journal cannot be read: put what is called 'original' beside it back "
            f"under its name by hand, then remove the directory ({error})"
        ) from error


def write_journal(directory: int, journal: Journal) -> None:
    """Write it, durable when this returns; at every moment the former or the new one is there."""
    descriptor = os.open(_NEW, _WRITE, 0o600, dir_fd=directory)
    try:
        rest = memoryview(journal.model_dump_json().encode())
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(_NEW, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    sync_directory(directory)


def remove_journal(directory: int) -> None:
    """Remove it, and what was begun of another."""
    for name in (_NEW, NAME):
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            continue


@contextmanager
def locked(directory: int, path: bytes) -> Iterator[None]:
    """Keep other processes from the same replacement, by a file: NFS locks no directories.

    Raises StorageBusy while another one is at it, and StorageError where nothing can be locked.
    """
    busy = StorageBusy(f"another process is just replacing what {display(path)} holds; try again")
    try:
        descriptor = os.open(_LOCK, _LOCKING, 0o600, dir_fd=directory)
    except FileNotFoundError as error:  # it ended the whole just now
        raise busy from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise busy from error
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise StorageError(
                f"cannot lock a file in {display(path)} ({said}), and without locks two workers "
                "could be at one original: mount its file system with locks, or have the results "
                "go elsewhere (--to)"
            ) from error
        if not _is_current(descriptor, directory):
            raise busy
        yield
    finally:
        with suppress(OSError):  # nothing was written through it, and it is unlocked all the same
            os.close(descriptor)


def _is_current(descriptor: int, directory: int) -> bool:
    """Whether what was locked is what the next one would lock."""
    try:
        found = os.lstat(_LOCK, dir_fd=directory)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def remove_lock(directory: int) -> None:
    """Remove the lock's file once it is unlocked, else NFS keeps it under another name."""
    with suppress(FileNotFoundError):
        os.unlink(_LOCK, dir_fd=directory)

"""What is in a file: its change hint, its sampled xxh3, and the blake3 of every byte."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

import blake3
import xxhash

from darkstream.errors import (
    MediaError,
    SourceChanged,
    SourceError,
    SourceUnreadable,
    SourceVanished,
    StorageError,
)
from darkstream.library.irregular import cause
from darkstream.model.base import ContentId
from darkstream.model.paths import display
from darkstream.model.source import ChangeHint, Identity, fit
from darkstream.observe.cancel import CancelToken

_SAMPLE = 64 << 10
_READ = 1 << 20  # large enough that a read costs more than its call, small enough for the cache
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # non-blocking: a pipe must not hang us


def stat_hint(path: bytes) -> ChangeHint:
    """What `stat` says of a regular file, links followed.

    Raises SourceVanished, and SourceUnreadable for what is no regular file or cannot be asked.
    """
    try:
        return _hint(path, os.stat(path))
    except OSError as error:
        raise source_error(path, error) from error


def sample(path: bytes) -> str:
    """The xxh3-64 of a file's size and its first, middle and last 64 KiB; 16 hex digits.

    Raises SourceVanished or SourceUnreadable.
    """
    with _opened(path) as (descriptor, hint):
        return _sample(descriptor, hint.size)


def identify(path: bytes, cancel: CancelToken | None = None) -> Identity:
    """Read a file once, from start to end, on one core with the interpreter's lock released.

    Raises SourceVanished, SourceUnreadable, SourceChanged when the file is written to meanwhile,
    and what `cancel` was given.
    """
    started = time.perf_counter()
    with _opened(path) as (descriptor, hint):
        sampled = _sample(descriptor, hint.size)
        content = _content(descriptor, cancel or CancelToken())
        if _hint(path, os.fstat(descriptor)) != hint:
            raise SourceChanged(f"{display(path)} changed while it was read")
    return Identity(
        sample=sampled, content=ContentId(content), seconds=time.perf_counter() - started
    )


def check_unchanged(path: bytes, hint: ChangeHint) -> None:
    """Raise SourceChanged when a file is not what it was; SourceVanished, SourceUnreadable."""
    if stat_hint(path) != hint:
        raise SourceChanged(f"{display(path)} changed while it was read")


@contextmanager
def unchanged(path: bytes, hint: ChangeHint) -> Iterator[None]:
    """What is done inside was done to one and the same file, or this raises as `check_unchanged`.

    An error about the file is believed only if it is still the same.
    """
    try:
        yield
    except (SourceError, MediaError, StorageError):
        check_unchanged(path, hint)
        raise
    check_unchanged(path, hint)


def source_error(path: bytes, error: OSError) -> SourceError:
    """The one clear line for a source that the system did not let us read."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return SourceVanished(f"{display(path)} is no longer there")
    return SourceUnreadable(f"cannot read {display(path)}: {cause(error)}")


@contextmanager
def _opened(path: bytes) -> Iterator[tuple[int, ChangeHint]]:
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            yield descriptor, _hint(path, os.fstat(descriptor))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise source_error(path, error) from error


def _hint(path: bytes, found: os.stat_result) -> ChangeHint:
    if not stat.S_ISREG(found.st_mode):
        raise SourceUnreadable(f"cannot read {display(path)}: it is no regular file")
    return ChangeHint(
        size=found.st_size,
        mtime_ns=fit(found.st_mtime_ns),
        ctime_ns=fit(found.st_ctime_ns),
        inode=fit(found.st_ino),
    )


def _sample(descriptor: int, size: int) -> str:
    state = xxhash.xxh3_64(size.to_bytes(8, "little"))
    for offset in (0, max(0, (size - _SAMPLE) // 2), max(0, size - _SAMPLE)):
        state.update(os.pread(descriptor, _SAMPLE, offset))
    return state.hexdigest()


def _content(descriptor: int, cancel: CancelToken) -> str:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    state = blake3.blake3()
    buffer = bytearray(_READ)
    view = memoryview(buffer)
    while count := os.readv(descriptor, [buffer]):
        cancel.check()
        state.update(view[:count])
    return state.hexdigest()

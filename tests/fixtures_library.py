"""Scan orders of a library on disk, without a server."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkstream.model.base import LibraryId, ScanId
from darkstream.model.library import MEDIA_PATTERNS, DirectoryDigest, Library, ScanOrder

OrderMaker = Callable[..., ScanOrder]


def scan_order(
    root: Path | bytes,
    destination: Path | bytes | None = None,
    *,
    include: tuple[str, ...] = MEDIA_PATTERNS,
    exclude: tuple[str, ...] = (),
    known: Iterable[DirectoryDigest] = (),
    outputs: tuple[tuple[bytes, bytes], ...] = (),
) -> ScanOrder:
    """What the server would hand to a worker for that root."""
    top = os.fsencode(root)
    library = Library(
        id=LibraryId(1),
        name="movies",
        root=top,
        destination=os.fsencode(destination) if destination else top + b"-converted",
        preset="web",
        include=include,
        exclude=exclude,
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return ScanOrder(
        scan=ScanId(1),
        library=library,
        dry_run=False,
        settle_s=2.0,
        directories=tuple(known),
        outputs=outputs,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty library root."""
    path = tmp_path / "library"
    path.mkdir()
    return path


_IN_OPEN, _IN_ISDIR = 0x20, 0x40000000


@contextmanager
def count_opens(root: Path) -> Iterator[list[bytes]]:
    """The names of the files below a root that any process opens meanwhile, as the kernel says."""
    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watcher >= 0, os.strerror(ctypes.get_errno())
    opened: list[bytes] = []
    try:
        for directory, _, _ in os.walk(root):
            assert libc.inotify_add_watch(watcher, os.fsencode(directory), _IN_OPEN) > 0
        yield opened
        opened.extend(_read_opens(watcher))
    finally:
        os.close(watcher)


def _read_opens(watcher: int) -> Iterator[bytes]:
    while True:
        try:
            events = os.read(watcher, 1 << 16)
        except BlockingIOError:
            return
        while events:
            _, mask, _, length = struct.unpack_from("iIII", events)
            if not mask & _IN_ISDIR:
                yield events[16 : 16 + length].rstrip(b"\0")
            events = events[16 + length :]

"""Scan orders of a library on disk, without a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
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

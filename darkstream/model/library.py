"""A library: a named root, what belongs to it, and what its files should become."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from darkstream.model.base import Frozen, LibraryId, NodeName, ScanId
from darkstream.model.preset import Preset
from darkstream.model.replacement import InPlace
from darkstream.model.source import ChangeHint

_EXTENSIONS = (
    "3g2 3gp amv asf avi divx dv f4v flv m2ts m2v m4v mj2 mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts",
    "mxf nut ogm ogv qt rm rmvb ts vob webm wmv y4m",
    "aac ac3 aif aiff amr ape caf dts eac3 flac m4a m4b mka mp2 mp3 oga ogg opus wav wma wv",
)
MEDIA_PATTERNS = tuple(f"*.{name}" for line in _EXTENSIONS for name in line.split())
"""What a library holds unless it says otherwise; matched without regard to case."""


class Library(Frozen):
    """A named root with filters, preset and destination.

    `root` and `destination` are absolute paths, as bytes. `include` and `exclude` are globs
    against the path relative to the root, without regard to case; `**` crosses directories, a
    pattern without a slash is held against the name alone.
    """

    id: LibraryId
    name: str
    root: bytes
    destination: bytes
    preset: str
    include: tuple[str, ...] = MEDIA_PATTERNS
    exclude: tuple[str, ...] = ()
    schedule: str | None = None
    """Cron, five fields, in the server's time zone."""
    priority: int = 50
    in_place: InPlace | None = None
    """Where results take the place of their originals: how. Else no original is ever touched."""
    quarantined_bytes: int | None = None
    """What originals that were replaced, and results that wait, take; only where one is shown."""
    waiting: int | None = None
    """Results that wait to be approved; only where one is shown."""
    created: datetime


class Scan(Frozen):
    """One look over a library."""

    id: ScanId
    library: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    dry_run: bool
    created: datetime
    ended: datetime | None = None
    node: NodeName | None = None
    reason: str = ""
    met: int = 0
    """Files that the filters let through."""
    ignored: int = 0
    unchanged: int = 0
    jobs: int = 0
    """Jobs this scan made."""
    jobs_ended: int = 0
    jobs_failed: int = 0
    attempts: int = 0
    """Walks that were begun and lost with their worker."""


class DirectoryDigest(Frozen):
    """A directory (relative, '' the root) and the xxh3-128 of its sorted entries and hints."""

    path: bytes
    digest: str


class Entry(Frozen):
    """One regular file the filters let through."""

    name: bytes
    hint: ChangeHint


class DirectoryListing(Frozen):
    """All entries of a directory whose digest differs from the known one."""

    path: bytes
    digest: str
    entries: tuple[Entry, ...]


class Candidate(Frozen):
    """A file the server does not know in this state; `sample` is what it knew before."""

    path: bytes
    sample: str | None = None


class SampledFile(Frozen):
    """A candidate that settled, with its sampled hash (and blake3 when it was asked for)."""

    path: bytes
    hint: ChangeHint
    sample: str
    content: str | None = None


class ScanOrder(Frozen):
    """What a worker needs to walk a library, and what the catalog knows of it already."""

    scan: ScanId
    library: Library
    dry_run: bool
    settle_s: float
    directories: tuple[DirectoryDigest, ...]
    preset: Preset | None = None
    """The library's preset, whole: a dry run plans with it."""
    outputs: tuple[tuple[bytes, bytes], ...] = ()
    """(source path, published path relative to the destination) to be checked for presence."""


class ScanSummary(Frozen):
    """How a walk ended."""

    met: int
    ignored: int
    unchanged: int
    vanished_directories: tuple[bytes, ...] = ()
    missing_outputs: tuple[bytes, ...] = ()
    """Source paths whose published outputs are gone."""
    wall_s: float = Field(ge=0)

"""The videos of a folder that is no library: as a scan of one would find them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from darkstream.library.irregular import Irregular
from darkstream.library.walk import Differs, Walk
from darkstream.model.base import LibraryId, ScanId
from darkstream.model.job import ReportLine
from darkstream.model.library import Library, ScanOrder


@dataclass(frozen=True, slots=True)
class FolderFile:
    """One regular file with a media name; `path` is absolute."""

    path: bytes
    size: int


def walk_folder(root: bytes, destination: bytes | None) -> Iterator[FolderFile | ReportLine]:
    """The files in path order, and a line for each entry that cannot be one.

    What lies in the destination is no source. Raises NoSuchPath and SourceUnreadable for the root.
    """
    library = Library(
        id=LibraryId(0),
        name="folder",
        root=root,
        destination=destination or root,
        preset="",
        created=datetime.now(UTC),
    )
    order = ScanOrder(scan=ScanId(0), library=library, dry_run=True, settle_s=0, directories=())
    for met in Walk(order):
        if isinstance(met, Irregular):
            yield met.line()
        elif isinstance(met, Differs):
            directory = os.path.join(root, met.listing.path)
            for entry in met.listing.entries:
                yield FolderFile(os.path.join(directory, entry.name), entry.hint.size)

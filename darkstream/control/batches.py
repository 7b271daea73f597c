"""What people do with batches: add files, look, cancel, retry."""

from __future__ import annotations

import os
import re

from darkstream.catalog.batches import BatchEntry, BatchWish
from darkstream.control.jobs import read_moment
from darkstream.control.nodes import choose_pool
from darkstream.control.places import absolute_path
from darkstream.control.wing import Wing
from darkstream.control.wishes import resolve_preset
from darkstream.errors import NotFound, UsageError
from darkstream.model.base import BatchId
from darkstream.model.batch import Batch
from darkstream.model.paths import display
from darkstream.model.wire import NAME, AddToBatch, BatchAddition, BatchFile


def add_to_batch(wing: Wing, name: str, request: AddToBatch) -> BatchAddition:
    """Add files to a batch, making it where there is none.

    Raises UsageError for a name or paths that cannot be, or where nothing is left to convert,
    UnknownPreset, NotFound where they are to come after a job that is not there, and Conflict where
    the preset demands a GPU that no live worker has proved.
    """
    if re.fullmatch(NAME, name) is None:
        raise UsageError(
            f"a batch cannot be named {name!r}: take up to 63 small letters, digits, '-' and '_', "
            "a letter or digit first"
        )
    preset = resolve_preset(wing, request.preset)
    destination = None
    if request.destination is not None or request.destination_b64 is not None:
        destination = absolute_path(request.destination, request.destination_b64, "destination")
    entries = {entry.source: entry for entry in _entries(request.files, destination)}
    wish = BatchWish(
        preset=preset,
        priority=request.priority,
        not_before=read_moment(request.at),
        pool=choose_pool(preset, wing.catalog.nodes.all()),
        after=request.after,
        if_failed=request.if_failed,
    )
    added = wing.catalog.batches.add(name, list(entries.values()), wish)
    wing.jobs_wake.set()
    try:
        batch = get_batch(wing, name)
    except NotFound as error:
        raise UsageError("there is nothing to convert: all of these are results") from error
    return BatchAddition(batch=batch, added=added, left_out=len(request.files) - added)


def get_batch(wing: Wing, name: str) -> Batch:
    """One batch, and how far it is; raises NotFound."""
    return wing.catalog.batches.get(name, wing.board.shares())


def find_batches(wing: Wing, *, after: BatchId | None, limit: int) -> list[Batch]:
    """Batches, newest first; those older than `after`, at most `limit`."""
    return wing.catalog.batches.find(after=after, limit=limit, progress=wing.board.shares())


def cancel_batch(wing: Wing, name: str) -> Batch:
    """Cancel all of its jobs that have not ended; raises NotFound, Conflict where all have."""
    wing.catalog.batches.cancel(name)
    wing.jobs_wake.set()
    return get_batch(wing, name)


def retry_batch(wing: Wing, name: str) -> Batch:
    """Queue its failed and cancelled jobs again; raises NotFound, Conflict where none is."""
    wing.catalog.batches.retry(name)
    wing.jobs_wake.set()
    return get_batch(wing, name)


def _entries(files: tuple[BatchFile, ...], destination: bytes | None) -> list[BatchEntry]:
    return [_entry(file, destination) for file in files]


def _entry(file: BatchFile, destination: bytes | None) -> BatchEntry:
    source = absolute_path(file.source, file.source_b64, "source")
    relative = os.path.basename(source)
    found = file.folder is not None or file.folder_b64 is not None
    if relative in {b"", b".", b".."}:
        raise UsageError(f"the source names no file: {display(source)!r}")
    if found:
        folder = os.path.join(absolute_path(file.folder, file.folder_b64, "folder"), b"")
        if not source.startswith(folder):
            raise UsageError(f"{display(source)!r} is not in the folder {display(folder)!r}")
        if destination is not None:
            relative = source[len(folder) :]
    return BatchEntry(
        source=source,
        relative=relative,
        destination=os.path.dirname(source) if destination is None else destination,
        source_bytes=file.source_bytes,
        found=found,
    )

"""Libraries: add, look, remove."""

from __future__ import annotations

import os

from croniter import CroniterBadDateError, croniter

from darkstream.control.places import absolute_path, read_path
from darkstream.control.wing import Wing
from darkstream.control.wishes import resolve_preset
from darkstream.errors import UsageError
from darkstream.model.library import MEDIA_PATTERNS, Library
from darkstream.model.paths import display
from darkstream.model.wire import AddLibrary, LibraryFile


def add_library(wing: Wing, request: AddLibrary) -> Library:
    """Remember a library.

    Raises UsageError for paths, patterns or a schedule that cannot be, UnknownPreset, and Conflict
    where the name is taken and not `replace`.
    """
    root = absolute_path(request.root, request.root_b64, "root")
    destination = absolute_path(request.destination, request.destination_b64, "destination")
    _keep_apart(root, destination)
    if request.include is not None and not request.include:
        raise UsageError("include is empty, so nothing would ever be found: leave it out")
    for pattern in (*(request.include or ()), *request.exclude):
        check_pattern(pattern)
    library = wing.catalog.libraries.add(
        name=request.name,
        root=root,
        destination=destination,
        preset=resolve_preset(wing, request.preset),
        include=MEDIA_PATTERNS if request.include is None else request.include,
        exclude=request.exclude,
        schedule=check_schedule(request.schedule),
        priority=request.priority,
        replace=request.replace,
    )
    wing.schedules_wake.set()
    return library


def _keep_apart(root: bytes, destination: bytes) -> None:
    """Results may lie beside the originals, or in a directory of their own; not all around."""
    inner, outer = os.path.normpath(root), os.path.normpath(destination)
    if inner != outer and inner.startswith(outer.rstrip(b"/") + b"/"):
        raise UsageError(
            f"the destination {display(destination)!r} holds the library {display(root)!r}, and "
            "what lies in a destination is never a source: choose another directory, or the "
            "library itself to have the results beside the originals"
        )


def check_pattern(pattern: str) -> None:
    """Raise UsageError for a glob that could never match."""
    if not pattern.strip() or pattern.startswith("/"):
        raise UsageError(
            f"the pattern {pattern!r} matches nothing: write names, or paths below the library, "
            "for example '*.mkv' or 'Series/**'"
        )
    if pattern.rfind("[") > pattern.rfind("]"):
        raise UsageError(
            f"the pattern {pattern!r} has a '[' that is not closed: write '[[]' for it"
        )


def check_schedule(schedule: str | None) -> str | None:
    """The cron text without spaces around it; raises UsageError with an example."""
    if schedule is None:
        return None
    fields = schedule.split()
    text = " ".join(fields)
    # Random and hashed fields are croniter's own; Prefect takes neither.
    strange = {"r", "h"} & {field.lower() for field in fields}
    if len(fields) != 5 or strange or not croniter.is_valid(text):
        raise UsageError(
            f"the schedule {schedule!r} is no cron text of five fields (minute, hour, day, month, "
            "weekday): write for example '0 3 * * *' for every night at three"
        )
    try:
        croniter(text).get_next()
    except CroniterBadDateError as error:
        raise UsageError(f"the schedule {schedule!r} names a day that never comes") from error
    return text


def get_library(wing: Wing, name: str) -> Library:
    """One library; raises NotFound."""
    return wing.catalog.libraries.get(name)


def list_libraries(wing: Wing) -> list[Library]:
    """All libraries, by name."""
    return wing.catalog.libraries.all()


def remove_library(wing: Wing, name: str) -> None:
    """Forget a library, never its files; raises NotFound, Conflict while it is scanned."""
    wing.catalog.libraries.remove(name)
    wing.schedules_wake.set()


def list_files(
    wing: Wing, name: str, *, after: str | None, after_b64: str | None, limit: int
) -> list[LibraryFile]:
    """Files of a library in path order, those after a path; raises NotFound."""
    given = after is not None or after_b64 is not None
    path = read_path(after, after_b64, "path in after") if given else None
    return wing.catalog.libraries.files(name, after=path, limit=limit)

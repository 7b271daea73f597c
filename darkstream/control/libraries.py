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
from darkstream.model.preset import PictureRule, Preset
from darkstream.model.wire import AddLibrary, LibraryFile


def add_library(wing: Wing, request: AddLibrary) -> Library:
    """Remember a library.

    Raises UsageError for paths, patterns or a schedule that cannot be, UnknownPreset, and Conflict
    where the name is taken and not `replace`.
    """
    root = absolute_path(request.root, request.root_b64, "root")
    preset = resolve_preset(wing, request.preset)
    destination = _destination(root, request, preset)
    _keep_apart(root, destination)
    _keep_off_originals(wing, request, root, destination)
    if request.include is not None and not request.include:
        raise UsageError("include is empty, so nothing would ever be found: leave it out")
    for pattern in (*(request.include or ()), *request.exclude):
        check_pattern(pattern)
    library = wing.catalog.libraries.add(
        name=request.name,
        root=root,
        destination=destination,
        preset=preset,
        include=MEDIA_PATTERNS if request.include is None else request.include,
        exclude=request.exclude,
        schedule=check_schedule(request.schedule),
        priority=request.priority,
        in_place=request.in_place,
        replace=request.replace,
    )
    wing.schedules_wake.set()
    return library


def _destination(root: bytes, request: AddLibrary, preset: Preset) -> bytes:
    if request.in_place is None:
        return absolute_path(request.destination, request.destination_b64, "destination")
    if request.destination is not None or request.destination_b64 is not None:
        raise UsageError(
            "results that take the place of their originals have no other destination: leave it out"
        )
    if preset.package.kind != "file":
        raise UsageError(
            f"the preset {preset.name!r} makes a package, a directory of many files, which cannot "
            "take the place of one: choose a preset for single files, or a destination"
        )
    if preset.subtitles.sidecar != "none" or preset.pictures != PictureRule(
        width=preset.pictures.width
    ):
        raise UsageError(
            f"the preset {preset.name!r} writes pictures or subtitles beside its output, and what "
            "takes the place of one file is one: have them written with a destination"
        )
    return root


def _keep_apart(root: bytes, destination: bytes) -> None:
    """Results may lie beside the originals, or in a directory of their own; not all around."""
    inner, outer = os.path.normpath(root), os.path.normpath(destination)
    if inner != outer and inner.startswith(outer.rstrip(b"/") + b"/"):
        raise UsageError(
            f"the destination {display(destination)!r} holds the library {display(root)!r}, and "
            "what lies in a destination is never a source: choose another directory, or the "
            "library itself to have the results beside the originals"
        )


def _keep_off_originals(wing: Wing, request: AddLibrary, root: bytes, destination: bytes) -> None:
    """Where results take the place of originals, no other library's results may lie.

    Nor may two such libraries share files: what one put in place, the other would encode again.
    """
    for other in wing.catalog.libraries.all():
        if other.name == request.name:
            continue
        if other.in_place is not None and _overlap(destination, other.root):
            what = "the library" if request.in_place is not None else "the destination"
            raise UsageError(
                f"{what} {display(destination)!r} overlaps with the library {other.name!r} in "
                f"{display(other.root)!r}, whose results take the place of their originals: "
                "choose a directory apart from it, or remove that library first"
            )
        if request.in_place is not None and _overlap(root, other.destination):
            raise UsageError(
                f"results of the library {other.name!r} go to {display(other.destination)!r}, "
                f"which overlaps with {display(root)!r}, where results are to take the place of "
                "their originals: give that library a destination apart from it first"
            )


def _overlap(one: bytes, other: bytes) -> bool:
    """Whether two directories are the same, or one lies in the other."""
    paths = [os.path.join(os.path.normpath(path), b"") for path in (one, other)]
    return paths[0].startswith(paths[1]) or paths[1].startswith(paths[0])


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

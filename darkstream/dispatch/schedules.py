"""The cron schedules of libraries, held against those Prefect has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from darkstream.model.library import Library

if TYPE_CHECKING:
    from prefect.client.schemas.objects import DeploymentSchedule

_log = structlog.get_logger(__name__)

_PREFIX = "library-"
_LOCALTIME = "/etc/localtime"


class Wish(NamedTuple):
    """A schedule as it should be."""

    slug: str
    cron: str
    timezone: str
    library: str


class Differences(NamedTuple):
    """What to do, so that Prefect's schedules become the libraries'."""

    add: tuple[Wish, ...]
    change: tuple[tuple[UUID, Wish], ...]
    remove: tuple[UUID, ...]


def wishes_of(libraries: Sequence[Library], timezone: str) -> tuple[Wish, ...]:
    """The schedules that the libraries want; the slug holds the id, which outlives a new name."""
    return tuple(
        Wish(f"{_PREFIX}{library.id}", library.schedule, timezone, library.name)
        for library in libraries
        if library.schedule
    )


def compare(present: Sequence[DeploymentSchedule], wishes: Sequence[Wish]) -> Differences:
    """What differs; schedules made by others (no slug of ours) are left alone."""
    ours = {each.slug: each for each in present if (each.slug or "").startswith(_PREFIX)}
    wanted = {wish.slug: wish for wish in wishes}
    return Differences(
        add=tuple(wish for slug, wish in wanted.items() if slug not in ours),
        change=tuple(
            (ours[slug].id, wish)
            for slug, wish in wanted.items()
            if slug in ours and _wish_of(ours[slug]) != wish
        ),
        remove=tuple(each.id for slug, each in ours.items() if slug not in wanted),
    )


def _wish_of(present: DeploymentSchedule) -> Wish:
    schedule = present.schedule
    return Wish(
        present.slug or "",
        getattr(schedule, "cron", ""),
        getattr(schedule, "timezone", None) or "UTC",
        str(present.parameters.get("library", "")),
    )


def local_timezone() -> str:
    """The IANA name of this machine's time zone: `TZ`, else the link at /etc/localtime, else UTC.

    Prefect's schedules take only such names, so that daylight saving is theirs to follow.
    """
    named = os.environ.get("TZ", "").lstrip(":")
    if not named:
        named = os.path.realpath(_LOCALTIME).partition("/zoneinfo/")[2] or "UTC"
    try:
        ZoneInfo(named)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        _log.warning("timezone_unknown", name=named, used="UTC")
        return "UTC"
    return named

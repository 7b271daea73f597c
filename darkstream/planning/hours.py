"""When a node works: openings by the clock on its wall, and what rests it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from darkstream.model.node import Hours, PauseKind, Window

_DAY = timedelta(days=1)
_WEEK = timedelta(days=8)
_DAY_MIN = 24 * 60

Opening = tuple[datetime, datetime]
"""From when until when a node works."""


def openings(hours: Hours, begin: datetime, end: datetime) -> list[Opening]:
    """When a node works between two moments, in order; times in UTC, those that touch joined.

    An hour that the clock leaves out in spring is no longer than it is, and one that comes twice in
    autumn is worked twice where the window goes beyond it (PEP 495).
    """
    zone = ZoneInfo(hours.zone)
    day = begin.astimezone(zone).date() - _DAY
    found: list[Opening] = []
    while datetime.combine(day, time(), zone) < end:
        for window in hours.windows:
            if day.weekday() in window.days:
                first, last = _of_day(window, datetime.combine(day, time()), zone)
                found.append((max(first, begin), min(last, end)))
        day += _DAY
    return _joined(one for one in found if one[0] < one[1])


def is_open(hours: Hours | None, at: datetime) -> bool:
    """Whether a node works at a moment; without hours it always does."""
    return hours is None or bool(openings(hours, at, at + timedelta(microseconds=1)))


def next_change(hours: Hours | None, at: datetime) -> datetime | None:
    """When a node begins or ends to work next; None: it always works, or for more than a week."""
    if hours is None:
        return None
    coming = openings(hours, at, at + _WEEK)
    first = coming[0]
    moment = first[1] if first[0] <= at else first[0]
    return None if moment >= at + _WEEK else moment


def rest_of(pause: PauseKind | None, hours: Hours | None, at: datetime) -> PauseKind | None:
    """How a node rests at a moment; None: it takes work. What people say goes first."""
    if pause is not None:
        return pause
    return None if is_open(hours, at) else "soft"


def _of_day(window: Window, midnight: datetime, zone: ZoneInfo) -> Opening:
    end = window.end if window.end > window.begin else window.end + _DAY_MIN
    first, last = midnight + timedelta(minutes=window.begin), midnight + timedelta(minutes=end)
    return _in_utc(first, zone), _in_utc(last, zone)


def _in_utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def _joined(found: Iterable[Opening]) -> list[Opening]:
    joined: list[Opening] = []
    for begin, end in sorted(found):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined

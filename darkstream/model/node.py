"""When a node works: its hours, and what people say."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from darkstream.model.base import Frozen

PauseKind = Literal["soft", "hard", "drain"]
"""How a node rests. Soft: the jobs it has begun are finished. Hard: they are given back. Drain:
they are finished, and then it takes nothing at all, no scans either.
"""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 24 * 60
_WINDOW = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+)?"
    r"(?P<begin>\d{1,2}:\d{2})\s*-\s*(?P<end>\d{1,2}:\d{2})"
)
_ADVICE = "write 22:00-06:00, or mon-fri 18:00-08:00, sat-sun 00:00-24:00"


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(f"no time zone is called {name!r}: write Europe/Berlin or UTC") from error
    return name


Zone = Annotated[str, AfterValidator(_check_zone)]
"""A name of IANA's time zone database."""


class Window(Frozen):
    """A time of day on some days of the week (0: Monday), minutes after midnight, local time.

    One that ends no later than it begins ends on the next day.
    """

    days: tuple[Annotated[int, Field(ge=0, le=6)], ...] = (0, 1, 2, 3, 4, 5, 6)
    begin: int = Field(ge=0, lt=_DAY_MIN)
    end: int = Field(ge=0, le=_DAY_MIN)

    def __str__(self) -> str:
        """As people write it."""
        time = f"{self.begin // 60:02}:{self.begin % 60:02}-{self.end // 60:02}:{self.end % 60:02}"
        if len(self.days) == len(DAYS):
            return time
        first, last = DAYS[self.days[0]], DAYS[self.days[-1]]
        return f"{first if first == last else f'{first}-{last}'} {time}"


class Hours(Frozen):
    """When a node works; outside of it, it rests softly."""

    windows: tuple[Window, ...] = Field(min_length=1)
    zone: Zone

    def __str__(self) -> str:
        """As people write it."""
        return f"{', '.join(map(str, self.windows))} {self.zone}"


def parse_windows(text: str) -> tuple[Window, ...]:
    """Windows with commas between; raises ValueError with what to write instead."""
    return tuple(_parse_window(part.strip().lower()) for part in text.split(","))


def _parse_window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time window: {_ADVICE}")
    begin, end = _minutes(found["begin"], text), _minutes(found["end"], text)
    if begin in (_DAY_MIN, end):
        raise ValueError(f"{text!r} is no time window: all day is 00:00-24:00")
    return Window(days=_days(found["first"], found["last"], text), begin=begin, end=end)


def _minutes(time: str, text: str) -> int:
    hours, minutes = map(int, time.split(":"))
    total = hours * 60 + minutes
    if minutes > 59 or total > _DAY_MIN:
        raise ValueError(f"{time} in {text!r} is no time of day: they go from 00:00 to 24:00")
    return total


def _days(first: str | None, last: str | None, text: str) -> tuple[int, ...]:
    if first is None:
        return tuple(range(len(DAYS)))
    for name in (first, last or first):
        if name not in DAYS:
            raise ValueError(f"{name!r} in {text!r} is no day: they are {', '.join(DAYS)}")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    count = (end - begin) % len(DAYS) + 1
    return tuple((begin + n) % len(DAYS) for n in range(count))


class PauseNode(Frozen):
    """Let a node rest until it is resumed."""

    kind: PauseKind = "soft"


class NodeOrders(Frozen):
    """What a node that reported is to do; `rest` None: work."""

    rest: PauseKind | None = None

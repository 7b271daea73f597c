"""When a node works: windows as people write them, and openings by the clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from darkstream.model.node import Hours, Window, parse_windows
from darkstream.planning.hours import is_open, next_change, openings, rest_of

MONDAY = datetime(2030, 1, 7, tzinfo=UTC)
NIGHTS = Hours(windows=parse_windows("22:00-06:00"), zone="UTC")


def at(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("22:00-06:00", [Window(begin=1320, end=360)]),
        ("sat 0:00-24:00", [Window(days=(5,), begin=0, end=1440)]),
        (
            "Mon-Fri 18:30 - 8:00, fri-mon 00:00-24:00",
            [
                Window(days=(0, 1, 2, 3, 4), begin=1110, end=480),
                Window(days=(4, 5, 6, 0), begin=0, end=1440),
            ],
        ),
    ],
)
def test_windows_are_read_and_written(text: str, windows: list[Window]) -> None:
    assert list(parse_windows(text)) == windows
    hours = Hours(windows=tuple(windows), zone="UTC")
    assert list(parse_windows(str(hours).removesuffix(" UTC"))) == windows


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is no time window: write 22:00-06:00"),
        ("nights", "'nights' is no time window"),
        ("22:00-22:00", "all day is 00:00-24:00"),
        ("24:00-06:00", "all day is 00:00-24:00"),
        ("22:60-06:00", "22:60 in '22:60-06:00' is no time of day"),
        ("22:00-25:00", "25:00 in '22:00-25:00' is no time of day"),
        ("day 22:00-23:00", "'day' in 'day 22:00-23:00' is no day: they are mon, tue"),
        ("sat-moo 22:00-23:00", "'moo'"),
    ],
)
def test_what_is_no_window_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("?", ".")):
        parse_windows(text)


def test_a_zone_that_is_not_there_is_told() -> None:
    with pytest.raises(ValidationError, match="no time zone is called 'Mars/Base'"):
        Hours(windows=NIGHTS.windows, zone="Mars/Base")
    with pytest.raises(ValidationError, match="no time zone"):
        Hours(windows=NIGHTS.windows, zone="../etc/passwd")


def test_a_night_belongs_to_the_day_it_begins_on() -> None:
    saturdays = Hours(windows=parse_windows("sat 22:00-06:00"), zone="UTC")
    saturday = MONDAY + timedelta(days=5)
    assert openings(saturdays, MONDAY, MONDAY + timedelta(days=7)) == [
        (saturday + timedelta(hours=22), saturday + timedelta(hours=30))
    ]
    assert is_open(saturdays, saturday + timedelta(hours=29))
    assert not is_open(saturdays, saturday + timedelta(hours=5))


def test_openings_that_touch_are_one() -> None:
    hours = Hours(windows=parse_windows("06:00-12:00, 12:00-20:00, 19:00-22:00"), zone="UTC")
    assert openings(hours, at(0), at(24)) == [(at(6), at(22))]


def test_what_changes_next() -> None:
    assert next_change(None, at(0)) is None
    assert next_change(NIGHTS, at(1)) == at(6)
    assert next_change(NIGHTS, at(12)) == at(22)
    always = Hours(windows=parse_windows("00:00-24:00"), zone="UTC")
    assert next_change(always, at(1)) is None


def test_what_people_say_goes_before_the_hours() -> None:
    assert rest_of(None, None, at(12)) is None
    assert rest_of(None, NIGHTS, at(23)) is None
    assert rest_of(None, NIGHTS, at(12)) == "soft"
    assert rest_of("drain", NIGHTS, at(12)) == "drain"


@pytest.mark.parametrize(("day", "long"), [("2030-03-30", 7), ("2030-10-26", 9), ("2030-07-06", 8)])
def test_nights_in_which_the_clock_is_changed(day: str, long: int) -> None:
    """Europe/Berlin goes forward on 31 March and back on 27 October 2030, both at night."""
    nights = Hours(windows=parse_windows("22:00-06:00"), zone="Europe/Berlin")
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    ((begin, end),) = openings(nights, noon, noon + timedelta(days=1))
    assert end - begin == timedelta(hours=long)


TIMES = st.integers(0, 1439)


@given(
    windows=st.lists(
        st.builds(
            lambda days, begin, length: Window(
                days=tuple(sorted(days)), begin=begin, end=(begin + length) % 1440
            ),
            st.sets(st.integers(0, 6), min_size=1),
            TIMES,
            st.integers(1, 1439),
        ),
        min_size=1,
        max_size=4,
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]),
    minute=st.integers(0, 13 * 1440),
)
def test_openings_are_in_order_apart_and_say_what_is_open(
    windows: list[Window], zone: str, minute: int
) -> None:
    hours = Hours(windows=tuple(windows), zone=zone)
    found = openings(hours, MONDAY, MONDAY + timedelta(days=14))
    assert all(begin < end for begin, end in found)
    assert all(one[1] < next_[0] for one, next_ in pairwise(found))
    moment = MONDAY + timedelta(minutes=minute, seconds=30)
    assert is_open(hours, moment) == any(begin <= moment < end for begin, end in found)
    change = next_change(hours, moment)
    assert change is None or change > moment
    assert change is None or is_open(hours, change) != is_open(hours, moment)

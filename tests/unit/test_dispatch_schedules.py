"""Which schedules are added, changed and removed."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.schedules import CronSchedule

from darkstream.dispatch.schedules import Wish, compare, local_timezone, wishes_of
from darkstream.model.base import LibraryId
from darkstream.model.library import Library

_WISH = Wish("library-7", "0 3 * * *", "Europe/Berlin", "movies")


def _present(wish: Wish, slug: str | None = None, *, active: bool = True) -> DeploymentSchedule:
    return DeploymentSchedule(
        id=uuid4(),
        deployment_id=uuid4(),
        schedule=CronSchedule(cron=wish.cron, timezone=wish.timezone),
        active=active,
        parameters={"library": wish.library},
        slug=slug or wish.slug,
    )


def _library(identifier: int, schedule: str | None) -> Library:
    return Library(
        id=LibraryId(identifier),
        name=f"library{identifier}",
        root=b"/in",
        destination=b"/out",
        preset="web",
        schedule=schedule,
        created=datetime.now(UTC),
    )


def test_only_libraries_with_a_schedule_want_one() -> None:
    wishes = wishes_of([_library(1, None), _library(2, "*/5 * * * *")], "UTC")
    assert wishes == (Wish("library-2", "*/5 * * * *", "UTC", "library2"),)


def test_what_is_as_it_should_be_is_left_alone() -> None:
    assert not any(compare([_present(_WISH)], [_WISH]))


def test_a_schedule_paused_in_prefects_pages_stays_paused() -> None:
    assert not any(compare([_present(_WISH, active=False)], [_WISH]))


def test_schedules_of_others_are_left_alone() -> None:
    assert not any(compare([_present(_WISH, "nightly"), _present(_WISH)], [_WISH]))


@pytest.mark.parametrize(
    "other",
    [
        _WISH._replace(cron="0 4 * * *"),
        _WISH._replace(timezone="UTC"),
        _WISH._replace(library="films"),
    ],
)
def test_what_differs_is_changed_in_place(other: Wish) -> None:
    present = _present(_WISH)
    assert compare([present], [other]) == ((), ((present.id, other),), ())


def test_new_ones_are_added_and_old_ones_removed() -> None:
    old = _present(_WISH._replace(slug="library-3"))
    assert compare([old], [_WISH]) == ((_WISH,), (), (old.id,))


def test_the_time_zone_is_a_name_that_prefect_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Europe/Lisbon")
    assert local_timezone() == "Europe/Lisbon"
    monkeypatch.setenv("TZ", "XYZ-3")
    assert local_timezone() == "UTC"
    monkeypatch.delenv("TZ")
    monkeypatch.setattr("darkstream.dispatch.schedules._LOCALTIME", "/nowhere")
    assert local_timezone() == "UTC"

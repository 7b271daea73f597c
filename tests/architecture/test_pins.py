"""Pins there are for the sake of one version of Prefect, and when they can go."""

from __future__ import annotations

import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PREFECT = "3.8.8"
"""The newest Prefect whose own requirements are all published: 3.9 wants a later certifi."""

PINS = {"fastapi": "0.151", "sqlalchemy": "2.1"}
"""What this Prefect does not work with, though its requirements allow it, from which version on."""


def pinned() -> dict[str, Requirement]:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    found = map(Requirement, tomllib.loads(text)["project"]["dependencies"])
    return {one.name: one for one in found}


def find_needless(prefect: str, wanted: list[str]) -> list[str]:
    """What to do about pins, given a version of Prefect and its requirements."""
    allowed = {one.name: one.specifier for one in map(Requirement, wanted)}
    found = [
        f"Prefect {prefect} excludes {name} {first} itself: its pin can go"
        for name, first in PINS.items()
        if name in allowed and not allowed[name].contains(first)
    ]
    if prefect != PREFECT:
        found.append(f"Prefect is {prefect} now: try without the pins of {', '.join(PINS)}")
    return found


def test_the_pins_are_still_needed() -> None:
    found = find_needless(version("prefect"), requires("prefect") or [])
    assert not found, "; ".join(found)


def test_no_pin_is_left_behind() -> None:
    dependencies = pinned()
    assert str(dependencies["prefect"].specifier) == f"=={PREFECT}"
    for name, first in PINS.items():
        assert not dependencies[name].specifier.contains(first), name


@pytest.mark.parametrize(
    ("prefect", "wanted", "count"),
    [
        (PREFECT, ["fastapi<1.0.0,>=0.139.0", "sqlalchemy[asyncio]<3.0.0,>=2.0"], 0),
        (PREFECT, ["fastapi<0.151,>=0.139.0", "sqlalchemy[asyncio]<3.0.0,>=2.0"], 1),
        (PREFECT, ["fastapi<0.151,>=0.139.0", "sqlalchemy[asyncio]!=2.1,>=2.0"], 2),
        ("3.9.2", ["fastapi<1.0.0,>=0.139.0", "sqlalchemy[asyncio]<3.0.0,>=2.0"], 1),
    ],
)
def test_a_pin_that_can_go_is_named(prefect: str, wanted: list[str], count: int) -> None:
    assert len(find_needless(prefect, wanted)) == count

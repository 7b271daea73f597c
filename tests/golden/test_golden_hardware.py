"""Commands of every family of hardware encoders stay as they were looked at."""

from __future__ import annotations

import json

import golden_hardware
import pytest

from darkstream.planning.hardware import FAMILIES

_KEPT = json.loads(golden_hardware.PATH.read_bytes())
_MADE = golden_hardware.snapshot()


@pytest.mark.parametrize("encoder", sorted(_KEPT))
def test_the_words_of_an_encoder(encoder: str) -> None:
    assert _MADE[encoder] == _KEPT[encoder]


def test_every_family_is_there() -> None:
    names = {name for family in FAMILIES.values() for name in family.encoders.values()}
    assert names == set(_KEPT) and len(FAMILIES) == 7

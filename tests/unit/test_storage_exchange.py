"""The order of an exchange, as pure decisions: what no step may ever do."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from darkstream.storage.exchange import REFUSALS, Kind, Seen, Step, next_step
from darkstream.storage.journal import Goal

KINDS: tuple[Kind, ...] = get_args(Kind)
SEEN = [Seen(*kinds) for kinds in product(KINDS, repeat=4)]
LOSES_ORIGINAL = {
    Step.drop_name: "name",
    Step.drop_target: "target",
    Step.drop_held: "held",
    Step.drop_quarantined: "quarantined",
    Step.overwrite: "name",
    Step.overwrite_back: "name",
}
"""Steps after which a file is gone, and where it was."""


@pytest.mark.parametrize("same_name", [True, False])
@pytest.mark.parametrize("goal", ["hold", "place", "restore"])
def test_no_step_takes_the_last_original(goal: Goal, same_name: bool) -> None:
    for seen, force in product(SEEN, (False, True)):
        if same_name and seen.name != seen.target:
            continue
        step = next_step(goal, seen, same_name=same_name, force=force)
        if step in LOSES_ORIGINAL and getattr(seen, LOSES_ORIGINAL[step]) == "original":
            places = [seen.name, seen.held, seen.quarantined, *([] if same_name else [seen.target])]
            assert places.count("original") > 1, (goal, seen, step)


@pytest.mark.parametrize("same_name", [True, False])
@pytest.mark.parametrize("goal", ["hold", "place", "restore"])
def test_no_step_takes_a_strangers_file_that_has_a_name(goal: Goal, same_name: bool) -> None:
    for seen in SEEN:
        if same_name and seen.name != seen.target:
            continue
        step = next_step(goal, seen, same_name=same_name)
        if step in LOSES_ORIGINAL and LOSES_ORIGINAL[step] in ("name", "target"):
            assert getattr(seen, LOSES_ORIGINAL[step]) != "other", (goal, seen, step)


@pytest.mark.parametrize("same_name", [True, False])
def test_nothing_is_forgotten_unless_the_result_is_where_it_was_put(same_name: bool) -> None:
    for seen in SEEN:
        if same_name and seen.name != seen.target:
            continue
        if next_step("forget", seen, same_name=same_name) in LOSES_ORIGINAL:
            assert seen.target == "result", seen


def test_to_hold_is_to_do_nothing() -> None:
    assert {next_step("hold", seen, same_name=False) for seen in SEEN} == {None}


@pytest.mark.parametrize("same_name", [True, False])
@pytest.mark.parametrize("goal", ["place", "restore", "forget"])
def test_an_end_is_an_end(goal: Goal, same_name: bool) -> None:
    """Where nothing is left to do, the goal is reached: no result or original is left behind."""
    for seen in SEEN:
        if same_name and seen.name != seen.target:
            continue
        if next_step(goal, seen, same_name=same_name) is not None:
            continue
        assert seen.held == "none", (goal, seen)
        if goal == "place":
            assert seen.quarantined == "original", seen
        else:
            assert seen.quarantined == "none", seen


def test_what_cannot_be_is_left_alone() -> None:
    strange = Seen(name="result", target="result", held="none", quarantined="none")
    assert next_step("restore", strange, same_name=True) in REFUSALS

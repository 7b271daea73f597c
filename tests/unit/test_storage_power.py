"""Power that goes before or after any call of the system: the old or the new file is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fixtures_power import Power
from fixtures_replacement import (
    NAMES,
    NEW,
    OLD,
    Case,
    Doing,
    check_settled,
    check_whole,
    make_order,
    new_case,
    prepared_for,
    recover,
)

from darkstream.model.replacement import ReplacementAction
from darkstream.stages.settle import carry_out


class Stage:
    """One thing that is done on one kind of file system, again and again from the start."""

    def __init__(self, top: Path, doing: str, name: str, system: str) -> None:
        self._top, self._doing, self._name, self._system = top, doing, name, system
        self._runs = 0
        self.elsewhere: Path | None = None
        (top / "trash").mkdir()

    def power(self) -> Power:
        made = Power(self._top / "trash", forgetful=self._system == "forgets")
        made.lacks_renames = self._system == "links"
        return made

    def run(self, *losses: tuple[int, bool]) -> int:
        """Do it, losing power at these calls: the first time, while recovering, … ; calls made."""
        self._runs += 1
        case = new_case(self._top / str(self._runs), NAMES[self._name], self.elsewhere)
        act = prepared_for(self._doing, case)
        calls = self._lose(case, act, losses[0] if losses else None)
        for loss in losses[1:]:
            calls = self._lose(case, recover, loss)
        if losses:
            calls = self._lose(case, recover, None)
            check_settled(case, self._doing)
        return calls

    def _lose(self, case: Case, act: Doing, loss: tuple[int, bool] | None) -> int:
        power = self.power()
        if loss is not None:
            power.fail_at(loss[0], after=loss[1])
        with power.on():
            act(case)
        check_whole(case, self._doing)
        return len(power.calls)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power is really lost, and a real sync takes its time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("system", ["exchanges", "links", "forgets"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("doing", ["convert", "approve", "keep", "undo", "force", "forget"])
def test_power_may_go_at_every_system_call(
    tmp_path: Path, doing: str, name: str, system: str
) -> None:
    stage = Stage(tmp_path, doing, name, system)
    calls = stage.run()
    assert calls > 20
    for call in range(calls):
        for after in (False, True):
            stage.run((call, after))


@pytest.mark.usefixtures("_quick")
def test_power_may_go_while_a_result_comes_from_another_file_system(
    tmp_path: Path, elsewhere: Path
) -> None:
    stage = Stage(tmp_path, "convert", "another name", "forgets")
    stage.elsewhere = elsewhere
    for call in range(stage.run()):
        for after in (False, True):
            stage.run((call, after))


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("system", ["exchanges", "links", "forgets"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("doing", ["approve", "undo"])
def test_power_may_go_again_while_itrecovers(
    tmp_path: Path, doing: str, name: str, system: str
) -> None:
    stage = Stage(tmp_path, doing, name, system)
    for first in range(0, stage.run(), 4):
        for again in range(0, stage.run((first, True)), 2):
            stage.run((first, True), (again, False))


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("system", ["exchanges", "links", "forgets"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("action", ["approve", "keep", "abandon", "undo", "expire"])
def test_an_order_is_carried_out_though_power_went_at_any_call_of_it(
    tmp_path: Path, action: ReplacementAction, name: str, system: str
) -> None:
    stage = Stage(tmp_path, action, name, system)
    for call in range(1_000):
        case = new_case(tmp_path / f"case-{call}", NAMES[name], open_files="replace")
        held = case.hold()
        if action in ("undo", "expire"):
            case.place(held)
        order = make_order(case, action)
        power = stage.power()
        power.fail_at(call, after=True)
        with power.on():
            carry_out(order)
        end = carry_out(order)
        assert end is not None and end.error == "", call
        placed = action in ("approve", "expire")
        assert (NEW if placed else OLD) == (case.result if placed else case.original).read_bytes()
        assert (OLD in case.copies()) == (action != "expire")
        assert (case.root / os.fsdecode(case.quarantine)).exists() == (action == "approve")
        if len(power.calls) <= call:
            break
    assert call > 20

"""The forecast of a library, by the command, with a real server and worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fixtures_system import Machine, Up


def forecast(machine: Machine) -> dict[str, Any]:
    """`darkstream forecast foreseen --json`."""
    told = machine.type("forecast", "foreseen", "--json")
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


def test_a_forecast_learns_from_what_was_done(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    (machine.films / "foreseen").mkdir()
    for number in range(3):
        machine.film(system_clips["blink"], f"foreseen/{number}.avi")
    added = machine.type(
        *("library", "add", "foreseen", str(machine.films / "foreseen"), "--preset", "slow"),
        *("--to", str(machine.out / "foreseen")),
    )
    assert added.returncode == 0, added.stderr
    before = forecast(machine)
    assert (before["files"], before["new_files"]) == (3, 3)
    assert before["finish"] is not None
    assert before["work_hours"]["low"] < before["work_hours"]["likely"]
    done = machine.type("scan", "foreseen", seconds=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert forecast(machine)["files"] == 0
    machine.film(system_clips["blink"], "foreseen/more.avi")
    known = forecast(machine)
    assert (known["new_files"], known["guessed"]) == (1, 0), "like files were measured"
    assert known["saved_bytes"] is not None
    assert 0 < known["work_hours"]["likely"] < 0.05
    removed = machine.type("library", "remove", "foreseen")
    assert removed.returncode == 0, removed.stderr

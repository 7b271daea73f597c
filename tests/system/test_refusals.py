"""The files of the shared collection that nobody could convert, as the product meets them."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from fixtures_planning import shared_media
from fixtures_system import START_S, Machine

pytestmark = pytest.mark.shared_media

_EACH_S = 30.0


def test_each_is_refused_soon_and_with_a_reason(machine: Machine) -> None:
    manifest: list[dict[str, Any]] = json.loads((shared_media() / "MANIFEST.json").read_text())
    names = sorted(entry["file"] for entry in manifest if entry["expect"] == "reject")
    assert len(names) >= 12
    for name in names:
        shutil.copy(shared_media() / name, machine.films)
    report = machine.root / "report.jsonl"
    done = machine.type(
        *("run", str(machine.films), "--preset", "web", "--to", str(machine.out)),
        *("--report", str(report)),
        seconds=START_S + _EACH_S * len(names),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in report.read_bytes().splitlines()]
    assert [line["source"] for line in lines] == names
    for line in lines:
        assert (line["decision"], line["status"]) == ("reject", "rejected"), line
        assert len(line["reason"].split()) >= 3, line
        assert 0 < line["wall_s"] <= _EACH_S, line
        assert line["attempts"] == 1, line
    assert machine.published() == []
    machine.check()

"""Probed media x preset -> plan and command, as reviewed; see golden_plans.py to renew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import golden_plans


def test_there_is_a_snapshot_of_every_kind() -> None:
    assert len(golden_plans.MEDIA) >= 20


@pytest.mark.parametrize("path", golden_plans.MEDIA, ids=lambda path: path.stem)
def test_plan_and_command_are_as_reviewed(path: Path) -> None:
    wanted = json.loads(golden_plans.plan_path(path).read_text())
    assert golden_plans.snapshot(path) == wanted

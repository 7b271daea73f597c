"""Probed media x preset -> plan and command, as reviewed; see golden_plans.py to renew."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fixtures_planning import shared_media

sys.path.insert(0, str(Path(__file__).parent))
import golden_plans

from darkstream.media.probe import Prober
from darkstream.settings import MediaSettings


def test_there_is_a_snapshot_of_every_file() -> None:
    assert len(golden_plans.MEDIA) >= 62


@pytest.mark.parametrize(
    "path", (*golden_plans.MEDIA, *golden_plans.MADE), ids=lambda path: path.stem
)
def test_plan_and_command_are_as_reviewed(path: Path) -> None:
    wanted = json.loads(golden_plans.plan_path(path).read_text())
    assert golden_plans.snapshot(path) == wanted


@pytest.mark.shared_media
def test_the_files_are_still_seen_as_they_were() -> None:
    names = {entry["file"] for entry in json.loads((shared_media() / "MANIFEST.json").read_text())}
    assert names == {path.stem for path in golden_plans.MEDIA}
    with Prober(MediaSettings()) as prober:
        for path in golden_plans.MEDIA:
            found = golden_plans.probe(prober, shared_media() / path.stem)
            assert found == json.loads(path.read_text()), path.stem

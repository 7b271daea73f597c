"""Every real file of the shared collection, looked over as thoroughly as can be.

`pytest -m shared_media tests/media/test_analysis_shared_media.py`; DARKSTREAM_TEST_MEDIA names it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures_planning import shared_media

from darkstream.model.analysis import Analysis, Depth
from darkstream.settings import Settings
from darkstream.stages.analyse import analyse
from darkstream.stages.toolbox import Toolbox

pytestmark = pytest.mark.shared_media

_CONTAINER_ALONE = {"vp9_opus_no_duration.webm": {"duration-missing"}}
"""Found in files that are fine otherwise."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toolbox]:
    """Tools at a home without a server."""
    with Toolbox(Settings(home=tmp_path_factory.mktemp("home")), flow_run="") as made:
        yield made


def test_whole_files_are_whole_and_damaged_ones_are_not(tools: Toolbox) -> None:
    directory = shared_media()
    wrong: dict[str, Analysis] = {}
    for entry in json.loads((directory / "MANIFEST.json").read_text()):
        name = entry["file"]
        found = analyse(tools, os.fsencode(directory / name), Depth(loudness=True, level="full"))
        codes = {one.code for one in found.findings if one.severity != "ok"}
        expected = {
            "ok": found.status == "done" and codes == _CONTAINER_ALONE.get(name, set()),
            "repairable": found.status == "rejected" or bool(codes),
            "reject": found.status == "rejected",
        }
        if not expected[entry["expect"]]:
            wrong[name] = found
    assert wrong == {}


def test_nothing_of_a_whole_picture_is_cut(tools: Toolbox) -> None:
    directory = shared_media()
    for entry in json.loads((directory / "MANIFEST.json").read_text()):
        if entry["expect"] != "ok":
            continue
        found = analyse(tools, os.fsencode(Path(directory / entry["file"])), Depth())
        assert found.picture is None or found.picture.crop is None, entry["file"]
        scan = found.picture.interlacing.scan if found.picture else "unknown"
        assert scan in {"progressive", "unknown"}, entry["file"]

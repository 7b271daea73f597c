"""Blocks in a real Prefect: registered, saved, loaded, given to flows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures_flows import Field

from blocks.library import Library, load_library
from blocks.preset import Preset
from darkstream.cli.main import main
from darkstream.model.preset import VideoRule
from darkstream.planning.presets import load_preset
from flows.convert import convert
from flows.scan_library import scan_library


def test_prefect_registers_them(field: Field) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "block", "register", "-m", "blocks"],
        env={**os.environ, "PREFECT_API_URL": field.prefect.api_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("Library", "Notifier", "Object Store", "Preset"):
        assert f"DarkStream {name}" in done.stdout


def test_a_saved_library_comes_back_and_is_scanned(field: Field, flow_clips: Path) -> None:
    field.add(flow_clips / "inside.mkv")
    own = Preset(video=VideoRule(speed="ultrafast"))
    own.save("quick", overwrite=True)
    block = Library(
        root=str(field.library), destination=str(field.destination), own_preset=own, priority=70
    )
    block.save("family", overwrite=True)
    loaded = load_library("family")
    assert loaded.to_request() == block.to_request("family")
    assert scan_library(library=loaded, return_state=True).is_completed()
    (library,) = field.client.libraries()
    assert (library.name, library.priority, library.preset) == ("family", 70, "quick")
    assert len(field.client.jobs()) == 1


def test_a_preset_block_is_a_parameter(field: Field, flow_clips: Path) -> None:
    block = Preset(video=VideoRule(speed="ultrafast", max_width=64, max_height=64))
    block.save("tiny", overwrite=True)
    source, to = str(field.add(flow_clips / "old.avi")), str(field.destination)
    state = convert(source=source, preset=block, destination=to, return_state=True)
    assert state.is_completed(), state.message
    (job,) = field.client.jobs()
    assert (job.status, job.preset) == ("done", "tiny"), job.reason


def test_presets_travel_to_blocks_and_back(
    field: Field, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DARKSTREAM_SERVER__URL", field.client.base_url)
    for words in (
        ("preset", "export", "archive", "--block", "keep"),
        ("preset", "import", "--block", "keep"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        assert ended.value.code == 0, capsys.readouterr().err
    kept = field.client.preset("keep")
    assert kept == load_preset("archive").model_copy(update={"name": "keep"})


def add(*options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["library", "add", "family", *options])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_command_adds_the_library_of_a_block(
    field: Field, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", field.prefect.api_url)
    Library(
        root=str(field.library),
        destination=str(field.destination),
        priority=70,
        schedule="0 3 * * *",
    ).save("cine", overwrite=True)
    assert add("--block", "cine") == 0
    (library,) = field.client.libraries()
    assert (library.name, library.priority, library.schedule) == ("family", 70, "0 3 * * *")
    assert add("--block", "cine", "--priority", "5", "--replace") == 0
    assert field.client.library("family").priority == 5
    capsys.readouterr()
    assert add("--block", "cinema") == 2
    assert "no block 'cinema'" in capsys.readouterr().err
    assert add("--block", "cine", "--preset", "web") == 2

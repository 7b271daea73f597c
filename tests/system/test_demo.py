"""`make demo` as it goes on after the install."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures_system import Machine

from benchmarks.clips import make_library

_ROOT = Path(__file__).parents[2]
_ODD = "a $(HOME) $HOME $$b `id` \"c\" 'd' #e \\f"
_ROW = re.compile(r"^(\S.*?)  +(convert|remux|skip|reject) +(done|skipped|rejected) ", re.MULTILINE)


def _demo(machine: Machine, demo: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "-s", "-o", "install", "demo", f"BIN={Path(sys.executable).parent}"],
        env={**machine.environment, "DEMO": str(demo), "OUT": str(machine.out)},
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _digests(directory: Path) -> dict[Path, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_demo_shows_every_decision_and_says_where_things_are(machine: Machine) -> None:
    demo = machine.root / "demo"
    make_library(demo / "library")
    before = _digests(demo / "library")
    done = _demo(machine, demo)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {name: (decision, status) for name, decision, status in _ROW.findall(done.stdout)}
    assert set(rows.values()) == {
        ("convert", "done"),
        ("remux", "done"),
        ("skip", "skipped"),
        ("reject", "rejected"),
    }
    report = demo / "report.jsonl"
    assert f"Results: {machine.out}   Report: {report}\n" in done.stdout
    assert f"{machine.url}/prefect " in done.stdout
    assert f"DARKSTREAM_HOME={machine.home} " in done.stdout
    lines = [json.loads(line) for line in report.read_bytes().splitlines()]
    assert {line["source"]: (line["decision"], line["status"]) for line in lines} == rows
    assert {os.path.relpath(path, demo / "library") for path in before} == rows.keys()
    told = sorted(name for line in lines for name in line["outputs"])
    assert told == machine.published()
    assert len(told) == sum(status == "done" for _, status in rows.values())
    assert _digests(demo / "library") == before
    machine.check()
    assert machine.processes() == {}


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_path_of_any_characters_reaches_the_command(tmp_path: Path, by: str) -> None:
    program = tmp_path / "darkstream"
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    said = {"LIBRARY": f"/films/{_ODD}", "OUT": f"/out/{_ODD}"}
    words = [f"{name}={value}" for name, value in said.items()] if by == "argument" else []
    done = subprocess.run(
        ["make", "-s", "-o", "install", "demo", f"BIN={tmp_path}", *words],
        cwd=_ROOT,
        env=os.environ | {"DEMO": str(tmp_path)} | (said if by == "environment" else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[:6] == [
        *("run", f"/films/{_ODD}", "--preset", "web", "--to", f"/out/{_ODD}"),
    ]

"""A library whose results take the place of the originals, as a user types it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fixtures_system import Machine, Up

HIDDEN = ".darkstream-originals"


def _add(machine: Machine, name: str, *options: str) -> Path:
    root = machine.films / name
    root.mkdir()
    added = machine.type("library", "add", name, str(root), "--preset", "slow", *options)
    assert added.returncode == 0, added.stderr
    return root


def _scan(machine: Machine, name: str) -> int:
    scanned = machine.type("scan", name, seconds=120)
    assert scanned.returncode == 0, scanned.stdout + scanned.stderr
    newest = max(job.scan for job in machine.client.jobs(library=name) if job.scan is not None)
    return int(newest)


def _names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != HIDDEN)


def test_originals_are_replaced_and_put_back(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    root = _add(machine, "place", "--in-place", "--keep-originals", "7")
    films = [machine.film(system_clips["blink"], f"place/{name}") for name in ("a.avi", "b.avi")]
    films[0].chmod(0o600)
    before = [(path.read_bytes(), path.lstat()) for path in films]
    scan = _scan(machine, "place")
    assert _names(root) == ["a.mp4", "b.mp4"]
    assert (root / "a.mp4").lstat().st_mtime_ns == before[0][1].st_mtime_ns
    shown = machine.type("library", "show", "place").stdout
    assert "kept 7 days" in shown and "in quarantine" in shown

    again = machine.type("scan", "place")
    assert again.returncode == 0 and _names(root) == ["a.mp4", "b.mp4"]
    undone = machine.type("undo", "--scan", str(scan), seconds=120)
    assert undone.returncode == 0, undone.stderr
    assert undone.stdout.count("the original is back") == 2
    assert _names(root) == ["a.avi", "b.avi"]
    for path, (content, found) in zip(films, before, strict=True):
        now = path.lstat()
        assert path.read_bytes() == content
        assert (now.st_ino, now.st_mode, now.st_mtime_ns) == (
            found.st_ino,
            found.st_mode,
            found.st_mtime_ns,
        )
    _scan(machine, "place")
    assert _names(root) == ["a.avi", "b.avi"]
    listed = machine.type("jobs", "--library", "place", "--json").stdout
    assert [json.loads(line)["replacement"]["state"] for line in listed.splitlines()] == [
        "undone",
        "undone",
    ]


def test_results_wait_for_approval(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    root = _add(machine, "asked", "--in-place", "--approve", "ask")
    for name in ("yes.avi", "no.avi"):
        machine.film(system_clips["blink"], f"asked/{name}")
    _scan(machine, "asked")
    assert _names(root) == ["no.avi", "yes.avi"]
    jobs = {os.path.basename(job.source): job.id for job in machine.client.jobs(library="asked")}
    shown = machine.type("show", str(jobs["yes.avi"])).stdout
    assert "pending" in shown and HIDDEN in shown and "saving" in shown
    assert "VMAF" in shown and "compare.mp4 (left: the original" in shown
    listed = machine.type("jobs", "--library", "asked", "--replacement", "pending").stdout
    assert listed.count("VMAF") == listed.count("compare.mp4") == 2
    waiting = machine.type("library", "show", "asked").stdout
    assert "2 results: 'darkstream jobs --replacement pending'" in waiting
    refused = machine.type("undo", str(jobs["yes.avi"]))
    assert refused.returncode == 3 and "'approve'" in refused.stderr
    kept = machine.type("keep", str(jobs["no.avi"]), seconds=120)
    assert kept.returncode == 0 and "the original stays" in kept.stdout, kept.stderr
    approved = machine.type("approve", "--all", "--library", "asked", seconds=120)
    assert approved.returncode == 0 and "in place" in approved.stdout, approved.stderr
    assert _names(root) == ["no.avi", "yes.mp4"]
    back = machine.type("undo", str(jobs["yes.avi"]), seconds=120)
    assert back.returncode == 0, back.stderr
    assert _names(root) == ["no.avi", "yes.avi"]


def test_what_cannot_be_is_said(up: Up) -> None:
    machine = up.machine
    root = str(machine.films)
    for words, said in (
        (("--in-place", "--to", "/elsewhere"), "--in-place"),
        (("--to", "/elsewhere", "--approve", "ask"), "--approve is for a library with --in-place"),
    ):
        refused = machine.type("library", "add", "x", root, "--preset", "slow", *words)
        assert refused.returncode == 2 and said in refused.stderr
    nothing = machine.type("undo")
    assert nothing.returncode == 2 and "--scan" in nothing.stderr

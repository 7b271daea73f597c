"""One `darkstream run` over a folder of everything that is odd."""

from __future__ import annotations

import base64
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fixtures_server import wait_until
from fixtures_system import START_S, Machine, Program, patiently

from darkstream.client.api import Client
from darkstream.model.paths import display

_NAMES = ("🎬 film.avi", "שלום עולם.avi", "two\nlines.avi", "-v.avi", "n" * 251 + ".avi")
_RAW = b"caf\xe9.avi"
_DEEP = "d" * 250

Line = dict[str, Any]


def _fill(machine: Machine, clip: Path) -> None:
    films = machine.films
    for name in (*_NAMES, os.fsdecode(_RAW), "twin.avi", "twin.mkv", "foreign.avi", "zz-gone.avi"):
        machine.film(clip, name)
    (machine.out / "foreign.mp4").write_bytes(b"not ours")
    (films / "x.mp4").mkdir()
    machine.film(clip, "x.mp4/inside.avi")
    os.mkfifo(films / "pipe.mp4")
    (films / "dangling.mp4").symlink_to("nowhere.mp4")
    (films / "loop-a.mp4").symlink_to("loop-b.mp4")
    (films / "loop-b.mp4").symlink_to("loop-a.mp4")
    (films / "out.avi").symlink_to(shutil.copy(clip, machine.root / "outside.avi"))
    (films / "in.avi").symlink_to("twin.avi")
    (films / "noise.mp4").write_bytes(os.urandom(50_000))
    _bury(films, clip)


def _bury(films: Path, clip: Path) -> None:
    """A file so deep that no path opens it."""
    here = os.open(films, os.O_RDONLY)
    for _ in range(17):
        os.mkdir(_DEEP, dir_fd=here)
        below = os.open(_DEEP, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("deep.avi", os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as file:
        file.write(clip.read_bytes())
    os.close(here)


@contextmanager
def _growing(path: Path) -> Iterator[None]:
    """A file that is appended to as long as the context lasts."""
    over = threading.Event()

    def write() -> None:
        while not over.wait(0.1):
            with path.open("ab") as file:
                file.write(os.urandom(1000))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def _remove_once_queued(machine: Machine, run: Program, source: Path) -> None:
    def queued() -> bool:
        assert run.process.poll() is None, run.log
        with Client(machine.url) as client:
            return any(job.source == str(source) for job in patiently(client.jobs))

    wait_until(queued, "its job", START_S)
    source.unlink()


def _path(line: Line) -> bytes:
    return base64.b64decode(line.get("source_b64", "")) or line["source"].encode()


def _outcomes(lines: list[Line]) -> dict[str, tuple[str, str]]:
    return {line["source"]: (line["status"], line["reason"]) for line in lines}


def test_every_oddity_is_a_line_of_the_report(
    make_machine: Any, system_clips: dict[str, Path]
) -> None:
    machine: Machine = make_machine(DARKSTREAM_LIBRARY__SETTLE_S="2")
    _fill(machine, system_clips["blink"])
    report = machine.root / "report.jsonl"
    with _growing(machine.films / "growing.avi"):
        run = machine.start(
            *("run", str(machine.films), "--preset", "slow", "--to", str(machine.out)),
            *("--report", str(report), "--jobs", "1"),
        )
        _remove_once_queued(machine, run, machine.films / "zz-gone.avi")
        code = run.process.wait(240)
    machine.forget(machine.films / "zz-gone.avi")
    assert code == 0, run.log
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    paths = [_path(line) for line in lines]
    assert paths == sorted(paths)
    by_path = dict(zip(paths, lines, strict=True))
    for name in (*map(str.encode, _NAMES), _RAW, b"x.mp4/inside.avi", b"twin.avi", b"twin.mkv"):
        assert by_path[name]["status"] == "done", by_path[name]
    assert by_path[_RAW]["source"] == display(_RAW)
    twins = [by_path[name]["outputs"] for name in (b"twin.avi", b"twin.mkv", b"foreign.avi")]
    assert len({name for (name,) in twins}) == 3
    assert "foreign.mp4" not in by_path[b"foreign.avi"]["outputs"]
    assert (machine.out / "foreign.mp4").read_bytes() == b"not ours"
    skipped = {
        "x.mp4": "a directory",
        "pipe.mp4": "a named pipe",
        "dangling.mp4": "does not exist",
        "loop-a.mp4": "leads back to itself",
        "loop-b.mp4": "leads back to itself",
        "out.avi": "outside the library",
        "in.avi": "converted under its own name",
        "growing.avi": "still being written",
        "zz-gone.avi": "no longer there",
        "/".join([_DEEP] * 17) + "/deep.avi": "the system opens at most",
    }
    found = _outcomes(lines)
    for name, reason in skipped.items():
        assert found[name][0] == "skipped", (name, found[name])
        assert reason in found[name][1], (name, found[name])
    assert found["noise.mp4"][0] == "rejected"
    assert len(lines) == len(_NAMES) + 1 + 4 + len(skipped) + 1
    assert len(machine.published()) == len(_NAMES) + 1 + 4 + 1
    machine.check()
    assert machine.processes() == {}

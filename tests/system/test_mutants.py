"""A thousand files that are almost videos, through the product."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fixtures_mutants import mutate, sources, write_mutants
from fixtures_planning import Clips
from fixtures_system import Machine, is_ffmpeg

_SEEDS = range(10)
_OF_EACH = 100
_EACH_S = 30.0
_MEMORY = 2 << 30
_OUTCOMES = {
    ("convert", "done"),
    ("remux", "done"),
    ("skip", "skipped"),
    ("convert", "skipped"),
    ("remux", "skipped"),
    ("reject", "rejected"),
    ("convert", "failed"),
    ("remux", "failed"),
}


class _Watch:
    """What happens on a machine meanwhile: memory by process, and who calls a port."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.most: dict[str, int] = {}
        self.calls = 0

    def look(self) -> None:
        for pid in self._machine.processes():
            kind = "ffmpeg" if is_ffmpeg(pid) else "other"
            self.most[kind] = max(self.most.get(kind, 0), _resident(pid))


def _resident(pid: int) -> int:
    """Peak anonymous memory and files of a process, bytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


@contextmanager
def _watching(machine: Machine, listener: socket.socket) -> Iterator[_Watch]:
    watch, over = _Watch(machine), threading.Event()
    listener.settimeout(0.1)

    def answer() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            watch.calls += 1
            connection.close()

    def look() -> None:
        while not over.wait(0.3):
            watch.look()

    threads = [threading.Thread(target=target) for target in (answer, look)]
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _tree(root: Path) -> dict[str, tuple[int, int]]:
    """Every file there, its size and time."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file():
            status = path.stat()
            found[str(path.relative_to(root))] = (status.st_size, status.st_mtime_ns)
    return found


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_each_ends_soon_in_a_named_outcome_and_does_no_harm(machine: Machine, clips: Clips) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.mp4"
        whole = sources(clips)
        names: list[str] = []
        for seed in _SEEDS:
            names += write_mutants(machine.films, whole, mutate(whole, _OF_EACH, seed, url))
        names.sort()
        assert len(set(names)) == len(_SEEDS) * _OF_EACH
        before = _tree(machine.films)
        machine.environment["DARKSTREAM_MEDIA__MEMORY_BYTES"] = str(_MEMORY)
        report = machine.root / "report.jsonl"
        with _watching(machine, listener) as watch:
            run = machine.start(
                *("run", str(machine.films), "--preset", "web", "--to", str(machine.out)),
                *("--report", str(report)),
            )
            code = run.process.wait(3500)
    assert code in {0, 3}, run.log[-4000:]
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert [line["source"] for line in lines] == names
    for line in lines:
        assert (line["decision"], line["status"]) in _OUTCOMES, line
        assert line["reason"], line
        assert line["wall_s"] <= _EACH_S, line
        assert line["attempts"] == 1, line
    assert watch.calls == 0
    assert watch.most["ffmpeg"] <= _MEMORY, watch.most
    assert _tree(machine.films) == before
    outputs = sorted(name for line in lines for name in line["outputs"])
    assert machine.published() == outputs
    beside = {path.name for path in machine.root.iterdir()} - {path.name for path in _own(machine)}
    assert {name for name in beside if not name.endswith(".log")} == {"report.jsonl"}
    assert "zygote_lost" not in run.log
    assert "prober_died" not in run.log
    machine.check()
    assert machine.processes() == {}


def _own(machine: Machine) -> tuple[Path, ...]:
    return (machine.home, machine.films, machine.out, machine.root / "presets")

"""Analyses by the server, as people type them; also where their worker is killed or stopped."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from fixtures_server import wait_until
from fixtures_system import Machine, Up, command, is_ffmpeg, patiently

from darkstream.model.analyses import StartAnalysis
from darkstream.model.base import AnalysisId


def test_a_worker_analyses_what_is_asked_for(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    film = machine.film(system_clips["blink"], "asked-for.avi")
    asked = machine.type("analyze", "--server", "--json", str(film), "/not/there.mkv", seconds=120)
    assert asked.returncode == 3, asked.stderr
    there, lost = (json.loads(line) for line in asked.stdout.splitlines())
    assert (there["source"], there["status"]) == (str(film), "done")
    assert there["picture"]["places"] > 0
    assert (lost["status"], lost["reason"]) == ("failed", "/not/there.mkv is gone")
    here = machine.type("analyze", "--json", str(film))
    assert json.loads(here.stdout) == there


def test_another_worker_begins_anew_where_the_first_is_killed(
    up: Up, system_clips: dict[str, Path]
) -> None:
    machine = up.machine
    film = machine.film(system_clips["short"], "begun-anew.avi")
    request = StartAnalysis(paths=(str(film),) * 300, level="full", loudness=True)
    number = patiently(lambda: machine.client.start_analysis(request)).id
    wait_until(lambda: machine.client.analysis(number).analysed, "the first result", 60)
    ffmpeg, *_ = wait_until(lambda: _looking_at(film), "a file being looked at")
    os.kill(machine.flow_of(ffmpeg), signal.SIGKILL)
    wait_until(lambda: machine.client.analysis(number).attempts == 1, "the loss", 60)
    wait_until(lambda: _goes_on(machine, number), "the second worker", 60)
    machine.client.remove_analysis(number)
    wait_until(lambda: not _looking_at(film), "the end of what was looked at", 30)


def test_a_stop_in_the_middle_is_no_loss(machine: Machine, system_clips: dict[str, Path]) -> None:
    film = machine.film(system_clips["short"], "stopped.avi")
    up = machine.up()
    request = StartAnalysis(paths=(str(film),) * 300, level="full", loudness=True)
    number = patiently(lambda: machine.client.start_analysis(request)).id
    wait_until(lambda: _goes_on(machine, number), "the first result", 60)
    up.end()
    assert _looking_at(film) == []
    again = machine.up()
    wait_until(lambda: _goes_on(machine, number), "the second worker", 60)
    run = machine.client.analysis(number)
    assert (run.attempts, run.releases) == (0, 1)
    again.end()
    assert machine.processes() == {}


def _goes_on(machine: Machine, number: AnalysisId) -> bool:
    run = patiently(lambda: machine.client.analysis(number))
    return run.status == "running" and run.analysed > 0


def _looking_at(film: Path) -> list[int]:
    """The ffmpeg processes that read a film: in their cage they know of no home."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    name = f"file:{film}".encode()
    return [pid for pid in pids if is_ffmpeg(pid) and name in command(pid)]

"""Ctrl-C and SIGTERM with encodes running, and going on afterwards."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures_server import wait_until
from fixtures_system import STOPPED_STEP, Machine, Program, Record, Up, patiently

from darkstream.model.job import JobStatus

_WITHIN_S = 15.0

Stop = Callable[[Program], None]


def _type_ctrl_c(program: Program) -> None:
    program.type_interrupt()


def _terminate(program: Program) -> None:
    program.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("stop", [_type_ctrl_c, _terminate])
def test_the_next_up_goes_on(
    machine: Machine, system_clips: dict[str, Path], stop: Stop, record_property: Record
) -> None:
    up = machine.up()
    sources = [machine.film(system_clips["short"], f"{name}.avi") for name in ("one", "two")]
    numbers = [machine.convert(source) for source in sources]
    for number, source in zip(numbers, sources, strict=True):
        machine.wait_encode(number, source)
    took = up.end(lambda: stop(up))
    record_property("stopped_after_s", round(took, 1))
    assert took < _WITHIN_S
    assert up.process.returncode == 0
    assert machine.processes() == {}
    assert machine.leftovers() == []
    told = (STOPPED_STEP, "Execution was aborted by a termination signal")
    assert not [line for line in up.new_errors() if not any(text in line for text in told)]
    again = machine.up()
    for number in numbers:
        job = machine.wait_end(number)
        assert (job.status, job.attempts) == (JobStatus.done, 1), job.reason
    assert machine.published() == ["one.mp4", "two.mp4"]
    machine.check()
    assert again.end() < _WITHIN_S
    assert machine.processes() == {}


def test_an_interrupted_run_goes_on(machine: Machine, system_clips: dict[str, Path]) -> None:
    quick = machine.film(system_clips["blink"], "a-quick.avi")
    source = machine.film(system_clips["short"], "b-slow.avi")
    words = ("run", str(machine.films), "--preset", "slow", "--to", str(machine.out))
    report = machine.root / "report.jsonl"
    first = machine.start(*words, "--report", str(report))

    def both() -> dict[str, int] | None:
        jobs = {Path(job.source).name: job.id for job in patiently(machine.client.jobs)}
        return jobs if len(jobs) == 2 else None

    numbers = wait_until(both, "two jobs", 120)
    assert machine.wait_end(numbers[quick.name]).status is JobStatus.done
    machine.wait_encode(numbers[source.name], source)
    took = first.end(first.type_interrupt)
    assert took < _WITHIN_S
    assert first.process.returncode == 130
    assert "Interrupted: what is done is kept, the next run goes on." in first.log
    assert machine.processes() == {}
    assert not report.exists()
    second = machine.type(*words, "--report", str(report), seconds=180)
    assert second.returncode == 0, second.stderr + second.stdout
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert [(line["source"], line["status"], line["attempts"]) for line in lines] == [
        ("a-quick.avi", "done", 1),
        ("b-slow.avi", "done", 1),
    ]
    assert [line["job"] for line in lines] == [numbers["a-quick.avi"], numbers["b-slow.avi"]]
    assert machine.published() == ["a-quick.mp4", "b-slow.mp4"]
    assert machine.processes() == {}
    machine.check()


def test_a_second_up_says_that_one_is_there(up: Up) -> None:
    machine = up.machine
    before = machine.processes()
    second = machine.type("up")
    assert second.returncode == 2
    assert "is up already" in second.stderr
    assert len(second.stderr.splitlines()) == 1, second.stderr
    assert machine.processes().keys() == before.keys()


def test_run_uses_the_server_that_is_up(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    own = machine.films / "own"
    own.mkdir()
    machine.film(system_clips["blink"], "own/guest.avi")
    done = machine.type("run", str(own), "--preset", "slow", "--to", str(machine.out / "guest"))
    assert done.returncode == 0, done.stderr
    assert "Starting DarkStream" not in done.stderr
    assert "guest/guest.mp4" in machine.published()
    assert up.program.process.poll() is None

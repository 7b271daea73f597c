"""Pause, drain and resume of a machine, by the command, with real processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures_server import wait_until
from fixtures_system import STOPPED_STEP, Machine, Up

from darkstream.model.job import JobStatus


@pytest.fixture
def machine(up: Up) -> Iterator[Machine]:
    """The machine; it works again after the test."""
    yield up.machine
    say(up.machine, "resume")


def say(machine: Machine, *words: str) -> str:
    """`darkstream node … machine`."""
    done = machine.type("node", *words, "machine")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_drained_machine_finishes_its_job_and_takes_no_other(
    machine: Machine, system_clips: dict[str, Path]
) -> None:
    source = machine.film(system_clips["short"], "drained.avi")
    first = machine.convert(source)
    machine.wait_encode(first, source)
    assert say(machine, "drain") == "machine: draining; 1 job running\n"
    second = machine.convert(machine.film(system_clips["blink"], "after-drain.avi"))
    assert machine.wait_end(first).status is JobStatus.done
    time.sleep(3)  # longer than a look at the queue, and than an idle worker's
    waiting = machine.job(second)
    assert (waiting.status, waiting.attempts) == (JobStatus.queued, 0)
    assert "drained" in machine.type("node", "list").stdout
    assert say(machine, "resume").startswith("machine: works")
    done = machine.wait_end(second)
    assert (done.status, done.attempts) == (JobStatus.done, 1)


def test_a_hard_pause_ends_ffmpeg_and_the_job_begins_anew_later(
    up: Up, machine: Machine, system_clips: dict[str, Path]
) -> None:
    up.expect(STOPPED_STEP)
    source = machine.film(system_clips["short"], "paused.avi")
    number = machine.convert(source)
    machine.wait_encode(number, source)
    say(machine, "pause", "--hard")
    wait_until(lambda: not machine.ffmpegs(source), "the end of ffmpeg", 10)
    wait_until(lambda: machine.job(number).status is JobStatus.queued, "the job given back", 10)
    assert machine.job(number).attempts == 0
    say(machine, "resume")
    done = machine.wait_end(number)
    assert (done.status, done.attempts) == (JobStatus.done, 1)

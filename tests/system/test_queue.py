"""Priority, time, schedules."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fixtures_server import wait_until
from fixtures_system import Up, patiently

from darkstream.model.job import JobStatus


def test_an_urgent_job_goes_to_the_queue_urgent(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    source = machine.film(system_clips["blink"], "urgent.avi")
    done = machine.wait_end(machine.convert(source, "slow", "--priority", "90"))
    assert (done.status, done.queue) == (JobStatus.done, "urgent"), done.reason
    assert done.flow_run is not None
    assert machine.flow_run(done.flow_run)["work_queue_name"] == "urgent"


def test_a_job_waits_for_its_time(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    source = machine.film(system_clips["blink"], "later.avi")
    at = datetime.now().astimezone().replace(microsecond=0) + timedelta(seconds=8)
    number = machine.convert(source, "slow", "--at", at.isoformat())
    assert machine.job(number).status is JobStatus.queued
    done = machine.wait_end(number)
    assert done.status is JobStatus.done, done.reason
    assert done.started is not None
    assert at <= done.started < at + timedelta(seconds=30)


@pytest.mark.slow
def test_a_schedule_scans_by_itself(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    (machine.films / "timed").mkdir()
    machine.film(system_clips["blink"], "timed/film.avi")
    added = machine.type(
        *("library", "add", "timed", str(machine.films / "timed"), "--preset", "slow"),
        *("--to", str(machine.out / "timed"), "--schedule", "* * * * *"),
    )
    assert added.returncode == 0, added.stderr
    try:
        wait_until(lambda: "timed/film.mp4" in machine.published(), "the film of the schedule", 150)
        (job,) = patiently(lambda: machine.client.jobs(library="timed"))
        assert job.scan is not None
        scan = machine.wait_scan(job.scan)
        assert (scan.status, scan.met, scan.jobs) == ("done", 1, 1)
    finally:
        removed = machine.type("library", "remove", "timed")
    assert removed.returncode == 0, removed.stderr

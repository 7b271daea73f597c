"""Cancel of a running encode: by the command, the API, and Prefect's UI."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fixtures_server import wait_until
from fixtures_system import STOPPED_STEP, Machine, Record, Up
from fixtures_worker import alive

from darkstream.model.job import Job, JobStatus

_WITHIN_S = 5.0

Cancel = Callable[[Machine, Job], None]


def _by_command(machine: Machine, job: Job) -> None:
    done = machine.type("cancel", str(job.id))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"job {job.id}: ")


def _by_api(machine: Machine, job: Job) -> None:
    answer = httpx.post(f"{machine.url}/api/v1/jobs/{job.id}/cancel", trust_env=False)
    assert answer.json()["cancel_requested"] is True


def _by_prefects_page(machine: Machine, job: Job) -> None:
    """What the button sends (prefect-ui-library): the state CANCELLING, not forced."""
    path = f"{machine.url}/api/flow_runs/{job.flow_run}/set_state"
    answer = httpx.post(path, json={"state": {"type": "CANCELLING"}}, trust_env=False)
    assert answer.json()["status"] == "ACCEPT"


def _at_once_in_prefect(machine: Machine, job: Job) -> None:
    """A state CANCELLED that skips CANCELLING, as a script would set it."""
    path = f"{machine.url}/api/flow_runs/{job.flow_run}/set_state"
    body = {"state": {"type": "CANCELLED"}, "force": True}
    assert httpx.post(path, json=body, trust_env=False).json()["status"] == "ACCEPT"


@pytest.mark.parametrize("cancel", [_by_command, _by_api, _by_prefects_page, _at_once_in_prefect])
def test_a_cancelled_encode_is_gone_within_seconds(
    up: Up, system_clips: dict[str, Path], cancel: Cancel, record_property: Record
) -> None:
    up.expect(STOPPED_STEP)
    machine = up.machine
    source = machine.film(system_clips["long"], f"cancel{cancel.__name__}.avi")
    number = machine.convert(source)
    ffmpeg = machine.wait_encode(number, source)
    job = machine.job(number)
    assert job.flow_run is not None
    flow = machine.flow_of(ffmpeg)
    before = machine.published()
    cancel(machine, job)
    begun = time.monotonic()
    wait_until(lambda: not alive(ffmpeg), "the end of ffmpeg", _WITHIN_S)
    ended = machine.wait_end(number, _WITHIN_S)
    record_property("cancelled_after_s", round(time.monotonic() - begun, 1))
    assert ended.status is JobStatus.cancelled
    wait_until(lambda: not alive(flow), "the end of the flow process", 10)
    machine.wait_flow_run(job.flow_run, "CANCELLED", 15)
    assert machine.published() == before
    assert machine.leftovers() == []


def test_a_cancel_before_the_start_needs_no_worker(up: Up, system_clips: dict[str, Path]) -> None:
    machine = up.machine
    source = machine.film(system_clips["blink"], "early.avi")
    number = machine.convert(source, "slow", "--at", "2099-01-01T00:00")
    assert machine.type("cancel", str(number)).stdout == f"job {number}: cancelled\n"
    job = machine.job(number)
    assert (job.status, job.attempts) == (JobStatus.cancelled, 0)

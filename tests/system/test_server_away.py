"""The server dies or restarts while ffmpeg encodes, and while it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from fixtures_server import wait_until
from fixtures_system import START_S, STOPPED_STEP, Machine, Up
from fixtures_worker import alive

from darkstream.client.api import Client
from darkstream.errors import ServerUnreachable
from darkstream.model.job import JobStatus


def _ready(machine: Machine) -> bool:
    try:
        with Client(machine.url) as client:
            return client.ready().ready
    except ServerUnreachable:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_encode_ends_with_the_server(
    up: Up, system_clips: dict[str, Path], how: signal.Signals
) -> None:
    up.expect(STOPPED_STEP, "FlowRunSuspendingObserver")
    machine = up.machine
    source = machine.film(system_clips["long"], f"server-{how.name}.avi")
    number = machine.convert(source)
    ffmpeg = machine.wait_encode(number, source)
    server = up.program.child("server")
    flow_run = machine.job(number).flow_run
    os.kill(server, how)
    wait_until(lambda: not alive(server), "the end of the server", 10)
    wait_until(lambda: up.program.child("server") != server, "another server", 30)
    wait_until(lambda: _ready(machine), "its readiness", START_S)
    machine.wait_encode(number, source)
    job = machine.job(number)
    assert alive(ffmpeg), "the encode ended with the server"
    assert machine.ffmpegs(source) == [ffmpeg]
    assert (job.status, job.attempts, job.flow_run) == (JobStatus.running, 1, flow_run)
    machine.type("cancel", str(number))
    wait_until(lambda: not alive(ffmpeg), "the end of ffmpeg", 5)
    assert machine.wait_end(number).status is JobStatus.cancelled

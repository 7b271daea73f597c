"""The server dies or restarts while ffmpeg encodes, and while it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures_server import wait_until
from fixtures_system import START_S, STOPPED_STEP, Machine, Program, Up
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
    up.expect(STOPPED_STEP)
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


@pytest.fixture
def apart(make_machine: Callable[..., Machine]) -> Iterator[tuple[Machine, Program, Program]]:
    """A server and a worker that nobody restarts."""
    machine = make_machine()
    server, worker = machine.start("server"), machine.start("worker")
    try:
        wait_until(lambda: _ready(machine), "the server's readiness", START_S)
        yield machine, server, worker
        machine.check()
        assert worker.end() < 15
    finally:
        machine.clear()


def test_what_ends_without_a_server_is_committed_when_it_is_back(
    apart: tuple[Machine, Program, Program], system_clips: dict[str, Path]
) -> None:
    machine, server, worker = apart
    source = machine.film(system_clips["short"], "alone.avi")
    number = machine.convert(source)
    ffmpeg = machine.wait_encode(number, source)
    flow = machine.flow_of(ffmpeg)
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not machine.ffmpegs(), "the end of encode and verification", 90)
    assert alive(flow), "the flow process gave up"
    assert worker.new_errors() == []
    machine.start("server")
    done = machine.wait_end(number, START_S)
    assert (done.status, done.attempts) == (JobStatus.done, 1), done.reason
    assert machine.published() == ["alone.mp4"]
    assert done.flow_run is not None
    machine.wait_flow_run(done.flow_run, "COMPLETED", 60)

"""kill -9 in the middle of an encode: of the worker, the zygote, the flow process, ffmpeg."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures_server import wait_until
from fixtures_system import Record, Up, parent
from fixtures_worker import alive

from darkstream.model.job import JobStatus

_DIES_WITHIN_S = 3.0
_DONE_WITHIN_S = 60.0

Choose = Callable[[Up, int], int]


def _worker(up: Up, _ffmpeg: int) -> int:
    return up.program.child("worker")


def _zygote(up: Up, ffmpeg: int) -> int:
    return parent(up.machine.flow_of(ffmpeg))


def _flow(up: Up, ffmpeg: int) -> int:
    return up.machine.flow_of(ffmpeg)


def _ffmpeg(_up: Up, ffmpeg: int) -> int:
    return ffmpeg


@pytest.mark.parametrize("choose", [_ffmpeg, _flow, _zygote, _worker])
def test_a_killed_encode_is_done_again_within_a_minute(
    up: Up, system_clips: dict[str, Path], choose: Choose, record_property: Record
) -> None:
    up.expect("zygote_lost", "was killed from outside")
    machine = up.machine
    source = machine.film(system_clips["short"], f"killed{choose.__name__}.avi")
    number = machine.convert(source)
    ffmpeg = machine.wait_encode(number, source)
    flow, flow_run = machine.flow_of(ffmpeg), machine.job(number).flow_run
    assert flow_run is not None
    os.kill(choose(up, ffmpeg), signal.SIGKILL)
    begun = time.monotonic()
    wait_until(lambda: not alive(ffmpeg), "the end of ffmpeg", _DIES_WITHIN_S)
    died = time.monotonic() - begun
    if choose is not _ffmpeg:
        wait_until(lambda: not alive(flow), "the end of the flow process", _DIES_WITHIN_S)
    done = machine.wait_end(number, _DONE_WITHIN_S - (time.monotonic() - begun))
    record_property("ffmpeg_dead_after_s", round(died, 2))
    record_property("done_after_s", round(time.monotonic() - begun, 1))
    assert done.status is JobStatus.done, done.reason
    assert done.attempts == 2
    assert done.outputs == (f"killed{choose.__name__}.mp4",)
    assert [name for name in machine.published() if choose.__name__ in name] == list(done.outputs)
    if choose is not _ffmpeg:
        machine.wait_flow_run(flow_run, "CRASHED", 45)


def test_a_file_that_kills_each_flow_process_ends_as_failed(
    up: Up, system_clips: dict[str, Path]
) -> None:
    machine = up.machine
    source = machine.film(system_clips["long"], "poison.avi")
    number = machine.convert(source)
    killed = set()

    def ended() -> bool:
        for ffmpeg in machine.ffmpegs(source):
            flow = machine.flow_of(ffmpeg)
            if flow not in killed and alive(flow):
                os.kill(flow, signal.SIGKILL)
                killed.add(flow)
        return machine.job(number).status.ended

    wait_until(ended, "the end of the poison", 90)
    failed = machine.job(number)
    assert failed.status is JobStatus.failed
    assert failed.attempts == len(killed) == 3
    assert "3 times" in failed.reason
    assert "the flow process was ended by SIGKILL" in failed.reason
    assert not [name for name in machine.published() if "poison" in name]
    machine.reap()

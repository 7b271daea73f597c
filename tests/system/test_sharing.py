"""One film in the chunks of two slots, through `up`; also where one of them is killed or rests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures_server import wait_until
from fixtures_system import Machine, Program

from darkstream.media.binary import find_ffmpeg
from darkstream.model.job import Job, JobStatus
from darkstream.settings import MediaSettings

_PARTS, _PART_S, _RATE = 10, 6, 25
_TOLD = re.compile(r"(\d+) chunks, (\d+) of them encoded by this attempt(?:, (\d+) by others)?")


@pytest.fixture(scope="module")
def sharing(make_machine: Callable[..., Machine]) -> Iterator[tuple[Machine, Program]]:
    """A machine whose second slot helps for the least work."""
    machine = make_machine(DARKSTREAM_PREFECT__BATCH_SECONDS="0.01")
    program = machine.up()
    yield machine, program
    program.end()
    assert machine.processes() == {}


@pytest.fixture
def machine(sharing: tuple[Machine, Program]) -> Iterator[Machine]:
    """The machine; what must hold is checked afterwards."""
    yield sharing[0]
    sharing[0].check()


@pytest.fixture(scope="module")
def clip(system_clips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute."""
    made = tmp_path_factory.mktemp("minute") / "minute.avi"
    short = ("-stream_loop", "2", "-i", str(system_clips["short"]), "-c", "copy", str(made))
    subprocess.run([_ffmpeg(), "-nostdin", "-v", "error", *short], check=True)
    return made


def _ffmpeg() -> str:
    return str(find_ffmpeg(MediaSettings()))


def begin(machine: Machine, clip: Path, name: str) -> tuple[int, Path]:
    """A job whose film has several chunks."""
    film = machine.film(clip, name)
    return machine.convert(film, "slow", "--set", f"video.chunk_seconds={_PART_S}"), film


def flows_at(machine: Machine, film: Path) -> set[int]:
    """The flow processes that encode chunks of a film."""
    return {machine.flow_of(ffmpeg) for ffmpeg in machine.ffmpegs(film)}


def told(machine: Machine, job: int) -> tuple[int, int]:
    """How many chunks the last attempt encoded itself, and how many others did for it."""
    *_, (parts, own, others) = _TOLD.findall(machine.client.job_log(job))
    assert int(parts) == _PARTS
    return int(own), int(others or 0)


def check_whole(machine: Machine, job: Job, name: str) -> None:
    assert job.status is JobStatus.done, job.reason
    argv = [_ffmpeg(), "-nostdin", "-i", str(machine.out / name), "-map", "0:v", "-f", "null", "-"]
    seen = subprocess.run(argv, capture_output=True, check=True).stderr
    assert int(re.findall(rb"frame= *(\d+)", seen)[-1]) == _PARTS * _PART_S * _RATE


def test_a_slot_that_no_job_wants_helps_with_a_film(machine: Machine, clip: Path) -> None:
    number, _ = begin(machine, clip, "helped.avi")
    check_whole(machine, machine.wait_end(number), "helped.mp4")
    own, others = told(machine, number)
    assert own + others == _PARTS
    assert min(own, others) >= 1


def test_a_leader_that_is_killed_loses_no_chunk_of_its_helper(machine: Machine, clip: Path) -> None:
    number, film = begin(machine, clip, "led.avi")
    wait_until(lambda: len(flows_at(machine, film)) == 2, "two at work", 60)
    led_by = machine.job(number).flow_run
    leader = next(pid for pid in flows_at(machine, film) if _works_for(pid, str(led_by)))
    os.kill(leader, signal.SIGKILL)
    done = machine.wait_end(number)
    check_whole(machine, done, "led.mp4")
    assert done.attempts == 2
    assert sum(told(machine, number)) < _PARTS


def _works_for(pid: int, flow_run: str) -> bool:
    """Whether a flow process is that of a flow run: it works in its directory."""
    return os.path.basename(os.readlink(f"/proc/{pid}/cwd")) == flow_run


def test_a_machine_that_is_paused_gives_back_both_and_goes_on_later(
    machine: Machine, clip: Path
) -> None:
    number, film = begin(machine, clip, "rested.avi")
    wait_until(lambda: len(flows_at(machine, film)) == 2, "two at work", 60)
    assert machine.type("node", "pause", "--hard", "machine").returncode == 0
    wait_until(lambda: not machine.ffmpegs(film), "the end of both", 15)
    wait_until(lambda: machine.job(number).status is JobStatus.queued, "the job given back", 15)
    assert machine.job(number).attempts == 0
    assert machine.type("node", "resume", "machine").returncode == 0
    done = machine.wait_end(number)
    check_whole(machine, done, "rested.mp4")
    assert done.attempts == 1

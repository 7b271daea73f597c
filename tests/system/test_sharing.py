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
_END_S = 180.0
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
    """The machine; what must hold is checked afterwards, and it works again."""
    machine = sharing[0]
    yield machine
    machine.type("node", "resume", "machine")
    machine.stop_jobs()
    machine.check()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute, a key frame each second."""
    made = tmp_path_factory.mktemp("minute") / "minute.mkv"
    seconds = str(_PARTS * _PART_S)
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={_RATE}", "-t", seconds)
    coded = ("-c:v", "mpeg4", "-q:v", "20", "-g", str(_RATE))
    subprocess.run([_ffmpeg(), "-nostdin", "-v", "error", *picture, *coded, str(made)], check=True)
    return made


def _ffmpeg() -> str:
    return str(find_ffmpeg(MediaSettings()))


def begin(machine: Machine, clip: Path, name: str) -> tuple[int, Path]:
    """A job whose film has several chunks."""
    film = machine.film(clip, name)
    return machine.convert(film, "slow", "--set", f"video.chunk_seconds={_PART_S}"), film


def told(machine: Machine, job: int) -> tuple[int, int]:
    """How many chunks the last attempt encoded itself, and how many others did for it."""
    *_, (parts, own, others) = _TOLD.findall(machine.client.job_log(job))
    assert int(parts) == _PARTS
    return int(own), int(others or 0)


def flow_process(machine: Machine, job: int) -> int | None:
    """The flow process that leads a job: it works in the directory of its flow run.

    So does what it begins, by other commands.
    """
    flow_run = machine.job(job).flow_run
    for pid, words in machine.processes().items():
        try:
            if (
                words.endswith(" worker")
                and os.path.basename(os.readlink(f"/proc/{pid}/cwd")) == flow_run
            ):
                return pid
        except OSError:
            continue
    return None


def is_helped(machine: Machine, film: Path, leader: int) -> bool:
    """Whether another flow process than the leader's encodes a chunk."""
    at_work = {machine.flow_of(pid) for pid in machine.ffmpegs(film)}
    return bool(at_work - {0, leader})


def finished(machine: Machine) -> int:
    """Chunks that are finished and kept."""
    return len(list(machine.out.glob(".darkstream-chunks/*/[0-9]*-*.json")))


def wait_shared(machine: Machine, job: int, film: Path) -> int:
    """Wait until a job's film is helped with and some of it finished; the flow process it leads."""
    leader: int = wait_until(lambda: flow_process(machine, job), "its flow process", 60)
    wait_until(lambda: is_helped(machine, film, leader), "a helper", 60)
    wait_until(lambda: finished(machine) >= 2, "two finished chunks", 60)
    return leader


def check_whole(machine: Machine, job: Job, name: str) -> None:
    assert job.status is JobStatus.done, job.reason
    argv = [_ffmpeg(), "-nostdin", "-i", str(machine.out / name), "-map", "0:v", "-f", "null", "-"]
    seen = subprocess.run(argv, capture_output=True, check=True).stderr
    assert int(re.findall(rb"frame= *(\d+)", seen)[-1]) == _PARTS * _PART_S * _RATE


def test_a_slot_that_no_job_wants_helps_with_a_film(machine: Machine, clip: Path) -> None:
    number, _ = begin(machine, clip, "helped.mkv")
    check_whole(machine, machine.wait_end(number, _END_S), "helped.mp4")
    own, others = told(machine, number)
    assert own + others == _PARTS
    assert min(own, others) >= 1


def test_no_finished_chunk_is_lost_with_a_killed_leader(machine: Machine, clip: Path) -> None:
    number, film = begin(machine, clip, "led.mkv")
    leader, led_by = wait_shared(machine, number, film), machine.job(number).flow_run
    os.kill(leader, signal.SIGKILL)
    kept = finished(machine)
    done = machine.wait_end(number, _END_S)
    check_whole(machine, done, "led.mp4")
    assert done.flow_run != led_by
    assert sum(told(machine, number)) <= _PARTS - kept


def test_a_machine_that_is_paused_gives_back_both_and_goes_on_later(
    machine: Machine, clip: Path
) -> None:
    number, film = begin(machine, clip, "rested.mkv")
    wait_shared(machine, number, film)
    assert machine.type("node", "pause", "--hard", "machine").returncode == 0
    wait_until(lambda: not machine.ffmpegs(film), "the end of both", 15)
    wait_until(lambda: machine.job(number).status is JobStatus.queued, "the job given back", 15)
    assert machine.job(number).attempts == 0
    kept = finished(machine)
    assert machine.type("node", "resume", "machine").returncode == 0
    done = machine.wait_end(number, _END_S)
    check_whole(machine, done, "rested.mp4")
    assert done.attempts == 1
    assert sum(told(machine, number)) <= _PARTS - kept

"""A film that several workers encode: one leads it, others help where a slot is free."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fixtures_flows import Field, laid_out, make_clip
from fixtures_server import wait_until
from fixtures_worker import alive, descendants
from structlog.testing import capture_logs

from darkstream.errors import ProcessFailed
from darkstream.media.binary import find_ffmpeg
from darkstream.model.base import DispatchId
from darkstream.model.job import Job, JobStatus
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.wire import SubmitJob
from darkstream.settings import MediaSettings
from darkstream.stages import helping
from darkstream.stages.helping import Helping, claim_chunk
from darkstream.stages.toolbox import Toolbox
from darkstream.storage.parts import reap_work
from flows import encode_chunks as encode_chunks_module
from flows.encode_chunks import encode_chunks

if TYPE_CHECKING:
    from fixtures_prefect import PrefectServer

_PROGRAM = """
import os, sys
os.sched_setaffinity(0, {core})
from flows.{module} import {flow}
{flow}(dispatch={dispatch})
"""
_PARTS, _LONG = 8, 5
"""Chunks of the films."""
_TOLD = re.compile(r"(\d+) chunks, (\d+) of them encoded by this attempt(?:, (\d+) by others)?")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 s, a key frame each second."""
    path = tmp_path_factory.mktemp("shared") / "film.mkv"
    return make_clip(path, "-c:v", "mpeg4", "-g", "25", "-c:a", "libmp3lame", seconds=48)


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, of which a chunk takes some seconds: another process has begun by then."""
    path = tmp_path_factory.mktemp("long") / "film.mkv"
    codec = ("-vf", "scale=576:324", "-c:v", "mpeg4", "-q:v", "3", "-g", "25")
    return make_clip(path, *codec, "-c:a", "libmp3lame", seconds=_LONG * 6)


@pytest.fixture
def shared(
    shared_prefect: PrefectServer,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Field]:
    """A server that has helpers begin for the least work."""
    proofs = tmp_path_factory.getbasetemp() / "capabilities"
    with laid_out(shared_prefect, tmp_path, proofs, monkeypatch, batch_seconds=0.01) as made:
        yield made


Start = Callable[[str, DispatchId, str], subprocess.Popen[bytes]]


@pytest.fixture
def start(shared: Field) -> Iterator[Start]:
    """Begin a flow in a process of a node of its own, on one core."""
    begun: list[subprocess.Popen[bytes]] = []
    cores = sorted(os.sched_getaffinity(0))

    def start(flow: str, dispatch: DispatchId, node: str) -> subprocess.Popen[bytes]:
        module = {"convert": "convert", "encode_chunks": "encode_chunks"}[flow]
        core = {cores[len(begun) % len(cores)]}
        words = {"core": core, "module": module, "flow": flow, "dispatch": dispatch}
        environment = {
            **shared.prefect.environment,
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "DARKSTREAM_WORKER__NAME": node,
        }
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM.format(**words)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        left = [process.pid, *descendants(process.pid)] if process.poll() is None else []
        for pid in filter(alive, left):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def submit(field: Field, film: Path, speed: str = "slower") -> Job:
    rule = VideoRule(speed=speed, chunk_seconds=Fraction(6))
    request = SubmitJob(
        source=str(field.add(film)),
        preset=Preset(name="parts", video=rule),
        destination=str(field.destination),
    )
    return field.client.submit_job(request)


def order(field: Field, film: int | None) -> DispatchId:
    """The next dispatch of the job, or of one that helps with it."""
    orders = field.server.dispatcher.orders

    def find() -> DispatchId | None:
        for place, one in enumerate(orders[field.seen :], field.seen):
            if one.film == film:
                field.seen = place + 1
                return one.id
        return None

    found: DispatchId = wait_until(find, "a dispatch", 60)
    return found


def wait_end(field: Field, job: Job) -> Job:
    wait_until(lambda: field.client.job(job.id).status.ended, "the end of the film", 120)
    return field.client.job(job.id)


def told(job: Job, field: Field) -> tuple[int, int, int]:
    """How many chunks there were, how many the leader encoded, and how many its helpers."""
    found = _TOLD.search(field.client.job_log(job.id))
    assert found is not None
    return int(found[1]), int(found[2]), int(found[3] or 0)


def count_pictures(path: Path) -> int:
    argv = [str(find_ffmpeg(MediaSettings())), "-nostdin", "-i", str(path), "-map", "0:v"]
    done = subprocess.run([*argv, "-f", "null", "-"], capture_output=True, check=True)
    return int(re.findall(rb"frame= *(\d+)", done.stderr)[-1])


def check_whole(field: Field, job: Job, parts: int = _PARTS) -> None:
    assert job.status is JobStatus.done, job.reason
    # A job is done once it is committed; what it needed is cleared away behind that.
    wait_until(lambda: field.published() == ["film.mp4"], "the end of its chunks")
    wait_until(lambda: not field.leftovers(), "the end of its work")
    assert count_pictures(field.destination / "film.mp4") == parts * 6 * 25


def test_two_nodes_finish_one_film_together(shared: Field, start: Start, long_film: Path) -> None:
    job = submit(shared, long_film)
    leader = start("convert", order(shared, None), "leader")
    helper = start("encode_chunks", order(shared, job.id), "helper")
    ended = wait_end(shared, job)
    assert leader.wait(30) == helper.wait(30) == 0
    check_whole(shared, ended, _LONG)
    parts, own, helped = told(ended, shared)
    assert parts == own + helped == _LONG
    assert min(own, helped) >= 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_helper_leaves_is_done_by_others(
    shared: Field, start: Start, long_film: Path, how: signal.Signals
) -> None:
    job = submit(shared, long_film)
    start("convert", order(shared, None), "leader")
    dispatch = order(shared, job.id)
    helper = start("encode_chunks", dispatch, "helper")
    wait_until(lambda: any(map(_is_encode, descendants(helper.pid))), "its encode", 60)
    children = descendants(helper.pid)
    helper.send_signal(how)
    helper.wait(30)
    if how is signal.SIGKILL:
        wait_until(lambda: not any(map(alive, children)), "the death of what it began")
        shared.client.end_dispatch(dispatch)  # its worker says so, or its lease ends
        (left,) = reap_work(bytes(shared.home / "work"), lambda _: 0.0)
        assert os.path.basename(left).startswith(b"chunk-"), "not what the leader works in"
    ended = wait_end(shared, job)
    check_whole(shared, ended, _LONG)
    assert told(ended, shared) == (_LONG, _LONG, 0)
    assert ended.attempts == 1


def _is_encode(pid: int) -> bool:
    try:
        return b"-copyts" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def elsewhere(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Have this process's helper find its film under other paths than the leader's."""

    def claim(tools: Toolbox, dispatch: DispatchId) -> Helping | None:
        helper = claim_chunk(tools, dispatch)
        if helper is not None:
            helper.claim = helper.claim.model_copy(update=changes)
        return helper

    monkeypatch.setattr(encode_chunks_module, "claim_chunk", claim)


@pytest.mark.parametrize("what", ["place", "source", "build"])
def test_a_node_that_would_make_other_chunks_does_not_help(
    shared: Field, start: Start, film: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    other = shared.home.parent / "other"
    if what == "place":
        elsewhere(monkeypatch, destination=bytes(other))
        why = "is not the leader's directory on this node"
    elif what == "source":
        data = bytearray(film.read_bytes())
        data[len(data) // 3] ^= 1  # where no sample is taken
        other.write_bytes(data)
        elsewhere(monkeypatch, source=bytes(other))
        why = "is another file on this node"
    else:
        build = Toolbox.capabilities.func  # type: ignore[attr-defined]
        monkeypatch.setattr(
            Toolbox,
            "capabilities",
            property(lambda tools: build(tools).model_copy(update={"build": "other"})),
        )
        why = "its ffmpeg is other, and the film's is"
    job = submit(shared, film)
    start("convert", order(shared, None), "leader")
    dispatch = order(shared, job.id)
    with capture_logs() as logs:
        state = encode_chunks(dispatch=dispatch, return_state=True)
    assert state.message == "0 chunks encoded"
    assert any(why in str(line.get("reason")) for line in logs), logs
    ended = wait_end(shared, job)
    check_whole(shared, ended)
    assert told(ended, shared) == (_PARTS, _PARTS, 0)
    assert not other.is_dir()


def test_a_copy_of_the_source_is_the_source(
    shared: Field, start: Start, long_film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shared.home.parent / "copy.mkv"
    other.write_bytes(long_film.read_bytes())
    elsewhere(monkeypatch, source=bytes(other))
    job = submit(shared, long_film)
    start("convert", order(shared, None), "leader")
    encode_chunks(dispatch=order(shared, job.id), return_state=True)
    ended = wait_end(shared, job)
    check_whole(shared, ended, _LONG)
    assert told(ended, shared)[2] >= 1


def test_helpers_of_a_cancelled_job_stop_and_leave_nothing(
    shared: Field, start: Start, long_film: Path
) -> None:
    job = submit(shared, long_film)
    leader = start("convert", order(shared, None), "leader")
    helper = start("encode_chunks", order(shared, job.id), "helper")
    wait_until(lambda: any(map(_is_encode, descendants(helper.pid))), "its encode", 60)
    shared.client.cancel_job(job.id)
    assert wait_end(shared, job).status is JobStatus.cancelled
    leader.wait(60)
    assert helper.wait(60) == 0
    assert shared.leftovers() == []


def test_what_a_helper_fails_at_the_leader_does(
    shared: Field, start: Start, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ProcessFailed("ffmpeg failed", argv=(), code=1, stderr="on fire")

    monkeypatch.setattr(helping, "encode_chunk", fail)
    job = submit(shared, film, "veryfast")
    start("convert", order(shared, None), "leader")
    state = encode_chunks(dispatch=order(shared, job.id), return_state=True)
    assert state.message == "0 chunks encoded"
    check_whole(shared, wait_end(shared, job))


def test_a_leader_without_helpers_does_all_itself(shared: Field, film: Path) -> None:
    job = submit(shared, film, "ultrafast")
    shared.work_off()
    ended = shared.client.job(job.id)
    check_whole(shared, ended)
    assert told(ended, shared) == (_PARTS, _PARTS, 0)

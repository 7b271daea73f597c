"""A film in chunks: what was finished before a kill is never encoded again."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import Field, make_clip
from fixtures_server import wait_until
from fixtures_worker import alive, descendants

from darkstream.errors import IndexDiffers, ProcessFailed
from darkstream.model.base import DispatchId
from darkstream.model.job import Job, JobStatus
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.wire import SubmitJob
from darkstream.stages import chunks
from darkstream.storage.chunks import HOME
from flows.maintain import maintain
from flows.wiring import undisturbed

_PROGRAM = "import sys; from flows.convert import convert; convert(dispatch=int(sys.argv[1]))"
_PARTS = 8


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 s, a key frame each second."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return make_clip(path, "-c:v", "mpeg4", "-g", "25", "-c:a", "libmp3lame", seconds=48)


def in_parts(speed: str = "slower") -> Preset:
    rule = VideoRule(speed=speed, chunk_seconds=Fraction(6))
    return Preset(name="parts", video=rule)


def submit(field: Field, source: Path, preset: Preset) -> Job:
    request = SubmitJob(source=str(source), preset=preset, destination=str(field.destination))
    return field.client.submit_job(request)


def records(field: Field) -> list[dict[str, Any]]:
    """Finished chunks, as they are recorded at the destination."""
    found = (field.destination / os.fsdecode(HOME)).glob("*/[0-9]*-*.json")
    return [json.loads(path.read_bytes()) for path in found]


def soundtracks(field: Field) -> set[str]:
    """Finished soundtracks at the destination, by the names of their records."""
    found = (field.destination / os.fsdecode(HOME)).glob("*/sound-*.json")
    return {path.name for path in found}


def begin(field: Field, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(number)],
        env={**field.prefect.environment, "PREFECT_LOGGING_TO_API_ENABLED": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker at once, with all that it began."""
    children = descendants(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, children)), "the death of what it began")


def told(job: Job, field: Field) -> tuple[int, int]:
    """How many chunks there were, and how many of them the last attempt encoded."""
    found = re.search(r"(\d+) chunks, (\d+) of them", field.client.job_log(job.id))
    assert found is not None
    return int(found[1]), int(found[2])


def names(field: Field) -> set[str]:
    return {file["name"] for record in records(field) for file in record["files"]}


def next_dispatch(field: Field) -> DispatchId:
    orders = field.server.dispatcher.orders
    wait_until(lambda: len(orders) > field.seen, "a dispatch")
    field.seen += 1
    return orders[field.seen - 1].id


def work_until(field: Field, dispatch: DispatchId, chunks: int, then_s: float) -> None:
    """Let a worker finish so many chunks, and kill it some time later."""
    process = begin(field, dispatch)
    try:
        wait_until(
            lambda: process.poll() is not None or len(records(field)) >= chunks, "chunks", 120
        )
        time.sleep(then_s)  # a moment like any other: nothing is awaited
    finally:
        kill(process)
    field.client.end_dispatch(dispatch)


def kill_again_and_again(field: Field, film: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    job = submit(field, field.add(film), in_parts())
    finished: set[str] = set()
    heard: set[str] = set()
    for _ in range(kills):
        enough = min(len(finished) + chance.choice((0, 1, 1, 2)), _PARTS)
        work_until(field, next_dispatch(field), enough, chance.uniform(0.0, 1.5))
        if field.client.job(job.id).status.ended:
            break
        assert finished <= names(field), "a finished chunk is gone"
        finished = names(field)
        assert not heard or soundtracks(field) == heard, "the sound was encoded again"
        heard = soundtracks(field)
    field.work_off(120)
    ended = field.client.job(job.id)
    assert ended.status is JobStatus.done, ended.reason
    chunks, encoded = told(ended, field)
    assert (chunks, encoded) == (_PARTS, _PARTS - len(finished))
    by = "an earlier attempt" if heard else "this one"
    assert f"the sound by {by}, beside them" in field.client.job_log(job.id)
    assert field.published() == ["film.mp4"]


def test_a_killed_worker_costs_one_chunk(field: Field, film: Path) -> None:
    kill_again_and_again(field, film, kills=2, seed=4)


def _do_undisturbed() -> None:
    with undisturbed():
        assert threading.current_thread() is not threading.main_thread()


def test_what_is_removed_at_the_end_is_not_left_half_done() -> None:
    heard: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            assert heard == []
        assert heard == [signal.SIGTERM]
        with ThreadPoolExecutor() as pool:
            pool.submit(_do_undisturbed).result()
    finally:
        signal.signal(signal.SIGTERM, former)


@pytest.mark.slow
def test_workers_killed_at_twenty_moments_cost_a_chunk_each(field: Field, film: Path) -> None:
    kill_again_and_again(field, film, kills=20, seed=20)


def test_pictures_that_packets_do_not_promise_are_encoded_in_one_piece(
    field: Field, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise IndexDiffers("chunk 3: 149 pictures instead of 150")

    monkeypatch.setattr(chunks, "encode_chunk", refuse)
    job = field.convert(field.add(film), in_parts("ultrafast"))
    assert job.status is JobStatus.done, job.reason
    codes = {finding.code for finding in job.findings}
    assert {"index-differs", "encoded-in-one-piece"} <= codes
    assert "149 pictures instead of 150" in field.client.job_log(job.id)
    assert field.published() == ["film.mp4"]


def test_a_failed_film_keeps_its_chunks_for_a_retry(
    field: Field, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = chunks.encode_chunk, []

    def stop_later(*arguments: Any, **more: Any) -> Any:
        if len(made) == 3:
            raise ProcessFailed("ffmpeg failed", argv=(), code=1, stderr="on fire")
        made.append(arguments[1].index)
        return real(*arguments, **more)

    monkeypatch.setattr(chunks, "encode_chunk", stop_later)
    source = field.add(film)
    job = submit(field, source, in_parts("ultrafast"))
    field.work_off()
    assert field.client.job(job.id).status is JobStatus.failed
    assert len(records(field)) == 3
    monkeypatch.setattr(chunks, "encode_chunk", real)
    field.client.retry_job(job.id)
    field.work_off()
    ended = field.client.job(job.id)
    assert ended.status is JobStatus.done, ended.reason
    assert told(ended, field) == (_PARTS, _PARTS - 3)
    assert field.published() == ["film.mp4"]


def test_chunks_of_a_film_that_nobody_tries_again_are_cleared_away(
    field: Field, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, made = chunks.encode_chunk, []

    def stop_later(*arguments: Any) -> Any:
        if made:
            raise ProcessFailed("ffmpeg failed", argv=(), code=1, stderr="on fire")
        made.append(arguments[1].index)
        return real(*arguments)

    monkeypatch.setattr(chunks, "encode_chunk", stop_later)
    submit(field, field.add(film), in_parts("ultrafast"))
    field.work_off()
    assert len(records(field)) == 1
    maintain(return_state=True)
    assert len(records(field)) == 1
    (store,) = (field.destination / os.fsdecode(HOME)).iterdir()
    os.utime(store, (1, 1))
    maintain(return_state=True)
    assert field.published() == []


def test_an_output_that_cannot_become_small_ends_with_its_first_chunks(
    field: Field, film: Path
) -> None:
    preset = in_parts("ultrafast")
    guards = preset.guards.model_copy(update={"smaller_by": 0.99})
    job = field.convert(field.add(film), preset.model_copy(update={"guards": guards}))
    assert job.status is JobStatus.skipped, job.reason
    assert "not be smaller" in job.reason
    assert field.published() == []

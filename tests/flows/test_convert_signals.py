"""The flow `convert` in a process of its own, ended from outside while ffmpeg runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures_flows import Field, make_clip
from fixtures_server import wait_until
from fixtures_worker import alive, descendants

from darkstream.model.job import Job, JobStatus
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.wire import SubmitJob

_PROGRAM = "import sys; from flows.convert import convert; convert(dispatch=int(sys.argv[1]))"
_ENDED_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes."""
    path = tmp_path_factory.mktemp("long") / "long.avi"
    return make_clip(path, "-c:v", "mpeg4", "-an", seconds=600)


@pytest.fixture
def encoding(field: Field, long_clip: Path) -> Iterator[tuple[subprocess.Popen[bytes], Job]]:
    """A process whose ffmpeg encodes right now, and its job."""
    slow = Preset(name="slow", video=VideoRule(speed="veryslow"))
    source, to = str(field.add(long_clip)), str(field.destination)
    job = field.client.submit_job(SubmitJob(source=source, preset=slow, destination=to))
    order = wait_until(lambda: field.server.dispatcher.orders, "the dispatch")[0]
    with open(field.home / "said", "wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(order.id)],
            env={**field.prefect.environment, "PREFECT_LOGGING_TO_API_ENABLED": "false"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:

        def seen() -> bool:
            progress = field.client.job(job.id).progress
            return progress is not None and progress.step == "encode" and bool(progress.frame)

        wait_until(seen, "the encode", 90)
        yield process, job
    finally:
        process.kill()
        process.wait()


def test_sigterm_gives_the_job_back_without_counting_an_attempt(
    field: Field, encoding: tuple[subprocess.Popen[bytes], Job]
) -> None:
    process, job = encoding
    children = descendants(process.pid)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert time.monotonic() - begun < _ENDED_WITHIN_S
    assert not [child for child in children if alive(child)]
    waiting = field.client.job(job.id)
    assert waiting.status in {JobStatus.queued, JobStatus.dispatched}
    assert waiting.attempts == 0
    assert field.leftovers() == []
    said = (field.home / "said").read_text().lower()
    assert "aborted by a termination signal" in said
    assert "error" not in said, "it was told to stop: that is none"


def test_ffmpeg_dies_with_a_killed_flow_process(
    field: Field, encoding: tuple[subprocess.Popen[bytes], Job]
) -> None:
    process, _ = encoding
    children = descendants(process.pid)
    assert children
    process.kill()
    process.wait()
    wait_until(
        lambda: not [child for child in children if alive(child)], "their death", _ENDED_WITHIN_S
    )
    assert field.published() == []

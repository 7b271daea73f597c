"""A node that rests while its flow runs are under way."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_flows import Field, make_clip
from fixtures_server import wait_until

from darkstream.model.job import JobStatus
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.wire import SubmitJob

SLOW = Preset(name="slow", video=VideoRule(speed="veryslow"))


@pytest.fixture(autouse=True)
def _this_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKSTREAM_WORKER__NAME", "here")


def submit(field: Field, source: Path) -> int:
    """A job with a dispatch, whose flow run nobody has begun."""
    request = SubmitJob(source=str(source), preset=SLOW, destination=str(field.destination))
    job = field.client.submit_job(request)
    wait_until(lambda: len(field.server.dispatcher.orders) > field.seen, "its dispatch")
    return job.id


def test_a_flow_run_that_a_resting_node_took_ends_without_work(
    field: Field, flow_clips: Path
) -> None:
    number = submit(field, field.add(flow_clips / "old.avi"))
    field.client.pause_node("here", "soft")
    (state,) = field.run_dispatches()
    assert state.is_completed()
    waiting = field.client.job(number)
    assert (waiting.status, waiting.attempts) == (JobStatus.queued, 0)
    field.client.resume_node("here")
    field.work_off()
    assert field.client.job(number).status is JobStatus.done


def test_a_hard_pause_gives_the_running_job_back_and_counts_no_attempt(
    field: Field, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "rest.avi", "-c:v", "mpeg4", "-an", seconds=120)
    number = submit(field, field.add(clip))

    def pause() -> None:
        def encodes() -> bool:
            progress = field.client.job(number).progress
            return progress is not None and bool(progress.frame)

        wait_until(encodes, "the encode")
        field.client.pause_node("here", "hard")

    pausing = threading.Thread(target=pause)
    pausing.start()
    field.run_dispatches()
    pausing.join()
    given_back = field.client.job(number)
    assert (given_back.status, given_back.attempts) == (JobStatus.queued, 0)
    assert given_back.reason == "the node here was paused"
    assert field.published() == []
    assert field.client.node("here").running == 0
    field.client.resume_node("here")
    field.work_off()
    done = field.client.job(number)
    assert (done.status, done.attempts) == (JobStatus.done, 1)


def test_a_film_in_chunks_is_given_back_between_two_of_them(field: Field, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "film.mkv", "-c:v", "mpeg4", "-g", "25", "-an", seconds=96)
    rule = VideoRule(speed="veryslow", chunk_seconds=Fraction(6))
    request = SubmitJob(
        source=str(field.add(clip)),
        preset=Preset(name="parts", video=rule),
        destination=str(field.destination),
    )
    number = field.client.submit_job(request).id
    wait_until(lambda: len(field.server.dispatcher.orders) > field.seen, "its dispatch")

    def finished() -> int:
        return len(list(field.destination.glob(".darkstream-chunks/*/[0-9]*-*.json")))

    def pause() -> None:
        wait_until(lambda: finished() >= 2, "two chunks", 60)
        field.client.pause_node("here", "soft")

    pausing = threading.Thread(target=pause)
    pausing.start()
    field.run_dispatches()
    pausing.join()
    waiting = field.client.job(number)
    assert (waiting.status, waiting.attempts) == (JobStatus.queued, 0)
    assert "goes on with the next chunk" in waiting.reason
    before = finished()
    assert 2 <= before < 16
    field.client.resume_node("here")
    field.work_off()
    assert field.client.job(number).status is JobStatus.done
    told = f"16 chunks, {16 - before} of them encoded by this attempt"
    assert told in field.client.job_log(number)

"""The flow `convert` when something goes wrong in the middle."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import Field, make_clip
from fixtures_server import wait_until

from darkstream.errors import Cancelled, SourceUnreadable, StorageFull, VerificationFailed
from darkstream.model.job import JobStatus
from darkstream.model.wire import SubmitJob
from darkstream.stages import discover, encode, identify, measure, validate
from darkstream.stages.attempt import Attempt
from darkstream.storage.publish import Publication


def test_a_source_written_to_while_it_is_encoded_is_given_back(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = field.add(flow_clips / "old.avi")
    real = encode.media.encode

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        made = real(*arguments, **options)
        with source.open("ab") as file:
            file.write(b"more")
        return made

    monkeypatch.setattr(encode.media, "encode", meanwhile)
    job = field.client.submit_job(
        SubmitJob(source=str(source), preset="web", destination=str(field.destination))
    )
    (state,) = wait_until(field.run_dispatches, "the dispatch")
    assert state.is_completed()
    waiting = field.client.job(job.id)
    assert (waiting.status, waiting.attempts) == (JobStatus.queued, 1)
    assert waiting.not_before is not None
    assert field.published() == [] and field.leftovers() == []


def test_a_step_that_is_stopped_leaves_nothing_to_the_next_attempt(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = field.add(flow_clips / "old.avi", "stopped.avi")
    with source.open("ab") as file:
        file.write(b"of another content than other tests' films")

    def stop(attempt: Attempt, _media: object) -> None:
        attempt.cancel.cancel(Cancelled("the job was cancelled"))
        attempt.cancel.check()

    with monkeypatch.context() as patched:
        patched.setattr(validate, "look_over", stop)
        job = field.convert(source)
    assert job.status is JobStatus.cancelled
    field.client.retry_job(job.id)
    field.work_off()
    again = field.client.job(job.id)
    assert again.status is JobStatus.done, again.reason


def test_a_source_that_vanishes_while_it_is_encoded_is_not_published(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = field.add(flow_clips / "old.avi")
    real = encode.media.encode

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        made = real(*arguments, **options)
        source.unlink()
        return made

    monkeypatch.setattr(encode.media, "encode", meanwhile)
    job = field.convert(source)
    assert (job.status, job.decision) == (JobStatus.failed, "convert")
    assert "no longer there" in job.reason
    assert field.published() == [] and field.leftovers() == []


def test_a_full_disk_is_one_clear_line_and_no_part(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Publication.place

    def place(publication: Publication, work: bytes, relative: bytes) -> Any:
        real(publication, work, relative)
        raise StorageFull("no space left on /out: free 3 GiB or choose another destination")

    monkeypatch.setattr(Publication, "place", place)
    job = field.convert(field.add(flow_clips / "old.avi"))
    assert job.status is JobStatus.failed
    assert job.reason == "no space left on /out: free 3 GiB or choose another destination"
    assert field.published() == []
    (made,) = (field.home / "work").glob("*/output/*.mp4")

    monkeypatch.setattr(Publication, "place", real)
    inode = made.stat().st_ino
    field.client.retry_job(job.id)
    field.work_off()
    assert field.client.job(job.id).status is JobStatus.done
    assert (field.destination / "old.mp4").stat().st_ino == inode, "it was encoded again"
    assert field.leftovers() == []


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    """A clip whose conversion needs more than a small disk has."""
    noise = ("-vf", "noise=alls=100:allf=t,scale=640:360", "-c:v", "mpeg4", "-q:v", "2", "-an")
    return make_clip(tmp_path / "noisy.avi", *noise, seconds=3.0)


def test_a_destination_that_fills_up_is_named(field: Field, noisy: Path, small_disk: Path) -> None:
    job = field.convert(field.add(noisy), destination=small_disk)
    assert job.status is JobStatus.failed
    said = rf"no space left on {small_disk}: free [\d.]+ \wiB or choose another destination"
    assert re.fullmatch(said, job.reason)
    assert os.listdir(small_disk) == []
    assert list((field.home / "work").glob("*/output/*.mp4")), "verified work waits for a retry"


def test_a_work_directory_that_fills_up_is_named(
    field: Field, noisy: Path, small_disk: Path
) -> None:
    (field.home / "work").symlink_to(small_disk)
    job = field.convert(field.add(noisy))
    assert job.status is JobStatus.failed
    assert job.reason.startswith(f"no space is left in the work directory {field.home}/work/")
    assert "free some" in job.reason
    assert os.listdir(small_disk) == [] and field.published() == []


def test_a_destination_on_another_disk_gets_the_same(
    field: Field, flow_clips: Path, small_disk: Path
) -> None:
    job = field.convert(field.add(flow_clips / "old.avi"), destination=small_disk / "films")
    assert job.status is JobStatus.done, job.reason
    assert os.listdir(small_disk / "films") == ["old.mp4"]
    assert field.leftovers() == []


def test_what_is_found_in_another_file_is_not_kept_for_this_one(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source is exchanged after it was identified: its content's cache stays clean."""
    source = field.add(flow_clips / "old.avi")
    real = identify.identify

    def exchange(*arguments: Any) -> Any:
        found = real(*arguments)
        monkeypatch.setattr(identify, "identify", real)
        os.replace(shutil.copy(flow_clips / "inside.mkv", field.home / "x"), source)
        return found

    monkeypatch.setattr(identify, "identify", exchange)
    job = field.client.submit_job(
        SubmitJob(source=str(source), preset="web", destination=str(field.destination))
    )
    wait_until(field.run_dispatches, "the dispatch")
    waiting = field.client.job(job.id)
    assert (waiting.status, waiting.attempts) == (JobStatus.queued, 1), waiting.reason
    again = field.convert(field.add(flow_clips / "old.avi", "the same.avi"))
    assert (again.decision, again.status) == ("convert", JobStatus.done), again.reason


def test_an_output_that_is_not_what_was_planned_is_not_published(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def verify(*_arguments: Any) -> Any:
        calls.append(1)
        raise VerificationFailed("the output decodes to 3 pictures instead of 50")

    monkeypatch.setattr(measure, "verify", verify)
    job = field.convert(field.add(flow_clips / "old.avi"))
    assert job.status is JobStatus.failed
    assert "3 pictures instead of 50" in job.reason
    assert len(calls) == 1, "what is wrong once is wrong again: no retry"
    assert field.published() == [] and field.leftovers() == []


def test_a_cable_that_was_loose_for_a_moment_is_not_the_jobs_end(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = identify.identify
    calls = []

    def stumble(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise SourceUnreadable("cannot read it") from OSError(errno.ESTALE, "stale handle")
        return real(*arguments)

    monkeypatch.setattr(identify, "identify", stumble)
    job = field.convert(field.add(flow_clips / "inside.mkv"))
    assert (job.status, job.attempts) == (JobStatus.done, 1), job.reason
    assert len(calls) == 2


@pytest.mark.logs_errors
def test_an_error_of_our_own_fails_one_job_and_not_the_batch(
    field: Field,
    flow_clips: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = discover.discover

    def stumble(path: bytes, *more: Any) -> Any:
        if path.endswith(b"bad.avi"):
            raise KeyError("codec")
        return real(path, *more)

    monkeypatch.setattr(discover, "discover", stumble)
    for name in ("bad.avi", "good.avi"):
        source = str(field.add(flow_clips / "old.avi", name))
        to = str(field.destination)
        field.client.submit_job(SubmitJob(source=source, preset="web", destination=to))
    states = field.work_off()
    assert all(state.is_completed() for state in states)
    ends = {Path(job.source).name: job for job in field.client.jobs()}
    assert ends["good.avi"].status is JobStatus.done
    assert ends["bad.avi"].status is JobStatus.failed
    assert "KeyError" in ends["bad.avi"].reason
    assert "Traceback" in field.client.job_log(ends["bad.avi"].id)

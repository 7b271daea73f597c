"""The flow `convert` on real files: what is made, what is said of it, and what Prefect shows."""

from __future__ import annotations

import base64
import os
import shutil
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import Field, make_clip
from fixtures_server import wait_until

from darkstream.model.job import JobStatus
from darkstream.model.preset import Guards, PictureRule, Preset, VideoRule
from darkstream.model.wire import SubmitJob
from flows.convert import convert


def test_a_batch_converts_copies_skips_and_rejects(field: Field, flow_clips: Path) -> None:
    names = ("old.avi", "inside.mkv", "fits.mp4", "noise.mp4")
    for name in names:
        source = str(field.add(flow_clips / name))
        to = str(field.destination)
        field.client.submit_job(SubmitJob(source=source, preset="web", destination=to))
    states = field.work_off()

    jobs = {os.path.basename(job.source): job for job in field.client.jobs()}
    ends = {name: (jobs[name].status.value, jobs[name].decision) for name in names}
    assert ends == {
        "old.avi": ("done", "convert"),
        "inside.mkv": ("done", "remux"),
        "fits.mp4": ("skipped", "skip"),
        "noise.mp4": ("rejected", "reject"),
    }
    assert field.published() == ["inside.mp4", "old.mp4"]
    assert jobs["old.avi"].output_bytes == (field.destination / "old.mp4").stat().st_size
    assert all(job.reason for job in jobs.values())
    assert all((jobs[name].cpu_s or 0) > 0 and (jobs[name].wall_s or 0) > 0 for name in names)
    log = field.client.job_log(jobs["old.avi"].id)
    assert log.startswith("$ ") and "libx264" in log.splitlines()[0]
    # Files that cannot be converted do not make a batch fail: it has done its work.
    assert all(state.is_completed() for state in states)
    assert field.leftovers() == []


def test_prefect_shows_the_graph_and_the_table(field: Field, flow_clips: Path) -> None:
    job = field.convert(field.add(flow_clips / "old.avi"))
    runs = field.task_runs(job.flow_run or "")
    steps = ["identify", "probe", "validate", "plan", "encode", "verify", "publish"]
    assert [run.name for run in runs] == [f"{step} old.avi" for step in steps]
    ids = {run.name.split()[0]: str(run.id) for run in runs}
    edges = {
        run.name.split()[0]: {
            str(parent.id) for parents in run.task_inputs.values() for parent in parents
        }
        for run in runs
    }
    assert edges["probe"] == {ids["identify"]}
    assert edges["plan"] == {ids["probe"], ids["validate"]}
    assert edges["encode"] == {ids["plan"]}
    assert edges["publish"] >= {ids["encode"], ids["verify"]}
    (table,) = _artifacts(job.flow_run or "")
    assert "old.avi" in table and f"/api/v1/jobs/{job.id}" in table and "50 pictures" in table


def test_the_same_content_is_looked_at_and_encoded_once(field: Field, flow_clips: Path) -> None:
    film = field.add(flow_clips / "old.avi")
    first = field.convert(film)
    other = field.destination / "again"
    second = field.convert(field.add(flow_clips / "old.avi", "copy of it.avi"), destination=other)
    assert second.status is JobStatus.done, second.reason
    assert second.reused == first.id
    assert (other / "copy of it.mp4").read_bytes() == (field.destination / "old.mp4").read_bytes()
    os.link(film, film.with_name("linked.avi"))
    third = field.convert(film.with_name("linked.avi"))
    assert third.status is JobStatus.done and third.reused in {first.id, second.id}, third.reason
    assert (field.destination / "linked.mp4").stat().st_size == third.output_bytes
    states = {
        run.name.split()[0]: run.state.name
        for run in field.task_runs(second.flow_run or "")
        if run.state
    }
    assert states == {
        "identify": "Completed",
        "probe": "Cached",
        "validate": "Cached",
        "plan": "Cached",
        "reuse": "Completed",
    }


def test_what_goes_beside_has_the_name_of_the_output_and_is_made_once(
    field: Field, flow_clips: Path
) -> None:
    pictures = PictureRule(
        poster=True, sprites_seconds=Fraction(1), thumbnails_seconds=Fraction(1), preview="webp"
    )
    wish = Preset(name="shown", video=VideoRule(speed="ultrafast"), pictures=pictures)
    (field.destination / "old.mp4").write_bytes(b"a stranger's")
    first = field.convert(field.add(flow_clips / "old.avi"), preset=wish)
    assert first.status is JobStatus.done, first.reason
    main, *beside = first.outputs
    assert main == "old.avi.mp4"
    assert beside == [
        "old.avi-poster.jpg",
        "old.avi.trickplay",
        "old.avi.thumbnails",
        "old.avi-preview.webp",
    ]
    assert (field.destination / "old.avi.trickplay" / "thumbnails.vtt").is_file()
    other = field.destination / "again"
    copy = field.add(flow_clips / "old.avi", "copy.avi")
    second = field.convert(copy, preset=wish, destination=other)
    assert second.reused == first.id, second.reason
    assert sorted(path.name for path in other.iterdir()) == [
        "copy-poster.jpg",
        "copy-preview.webp",
        "copy.mp4",
        "copy.thumbnails",
        "copy.trickplay",
    ]
    assert field.leftovers() == []


def test_an_earlier_result_that_is_gone_is_made_again(field: Field, flow_clips: Path) -> None:
    field.convert(field.add(flow_clips / "old.avi"))
    (field.destination / "old.mp4").write_bytes(b"somebody wrote over it")
    other = field.destination / "again"
    job = field.convert(field.add(flow_clips / "old.avi", "copy.avi"), destination=other)
    assert (job.status, job.reused) == (JobStatus.done, None), job.reason
    assert (other / "copy.mp4").stat().st_size > 1_000


def test_nothing_is_ever_overwritten(field: Field, flow_clips: Path) -> None:
    (field.destination / "old.mp4").write_bytes(b"a stranger's")
    one = field.convert(field.add(flow_clips / "old.avi"))
    two = field.convert(field.add(make_clip(field.home / "x.mpg", "-c:v", "mpeg2video"), "old.mpg"))
    assert (one.status, two.status) == (JobStatus.done, JobStatus.done), (one.reason, two.reason)
    assert (field.destination / "old.mp4").read_bytes() == b"a stranger's"
    assert len({*one.outputs, *two.outputs}) == 2
    assert set(field.published()) == {"old.mp4", *one.outputs, *two.outputs}


def test_names_that_are_no_text_are_kept(field: Field, flow_clips: Path) -> None:
    path = os.path.join(os.fsencode(field.library), b"caf\xe9 {x} |[a](b).avi")
    shutil.copy(os.fsencode(flow_clips / "old.avi"), path)
    request = SubmitJob(
        source_b64=base64.b64encode(path).decode(), preset="web", destination=str(field.destination)
    )
    job = field.client.submit_job(request)
    field.work_off()
    job = field.client.job(job.id)
    assert job.status is JobStatus.done, job.reason
    found = os.listdir(os.fsencode(field.destination))
    assert found == [b"caf\xe9 {x} |[a](b).mp4"]
    names = [run.name for run in field.task_runs(job.flow_run or "")]
    assert names[0] == r"identify caf\xe9 {x} |[a](b).avi"


def test_a_single_source_that_is_not_there_is_a_failure(field: Field) -> None:
    """Somebody asked for this very file: nobody may take it for converted."""
    job = field.convert(field.library / "never.avi")
    assert job.status is JobStatus.failed
    assert "no longer there" in job.reason


def _demanding(on_skip: Any) -> Preset:
    guards = Guards(smaller_by=0.99, on_skip=on_skip)
    return Preset(name="demanding", video=VideoRule(speed="ultrafast"), guards=guards)


@pytest.mark.parametrize("on_skip", ["none", "link", "copy"])
def test_an_output_that_is_not_smaller_is_not_published(
    field: Field, flow_clips: Path, on_skip: str
) -> None:
    source = field.add(flow_clips / "old.avi")
    job = field.convert(source, preset=_demanding(on_skip))
    assert (job.status, job.decision) == (JobStatus.skipped, "skip"), job.reason
    assert "smaller" in job.reason
    if on_skip == "none":
        assert field.published() == []
        return
    assert field.published() == ["old.avi"]
    kept = field.destination / "old.avi"
    assert kept.read_bytes() == source.read_bytes()
    assert (kept.stat().st_ino == source.stat().st_ino) == (on_skip == "link")


def test_a_young_flow_run_goes_on_with_the_jobs_of_the_next(field: Field, flow_clips: Path) -> None:
    jobs = []
    for name in ("one.mkv", "two.mkv", "three.mkv"):
        source, to = field.add(flow_clips / "inside.mkv", name), str(field.destination)
        size = source.stat().st_size
        request = SubmitJob(source=str(source), preset="web", destination=to, source_bytes=size)
        jobs.append(field.client.submit_job(request).id)
    wait_until(lambda: len(field.server.dispatcher.orders) >= 2, "two dispatches")
    (first, *later) = field.run_dispatches()
    assert first.message == "3 done"
    assert {state.message for state in later} == {"nothing to do"}
    assert len({field.client.job(job).flow_run for job in jobs}) == 1


def test_a_cancelled_job_stops_at_once_and_leaves_nothing(field: Field, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "long.avi", "-c:v", "mpeg4", "-an", seconds=600)
    slow = Preset(name="slow", video=VideoRule(speed="veryslow"))
    field.add(source)
    job = field.client.submit_job(
        SubmitJob(
            source=str(field.library / "long.avi"), preset=slow, destination=str(field.destination)
        )
    )

    def cancel() -> None:
        def encoding() -> bool:
            progress = field.client.job(job.id).progress
            return progress is not None and progress.step == "encode" and bool(progress.frame)

        wait_until(encoding, "the encode", 60)
        field.client.cancel_job(job.id)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    (state,) = field.work_off()
    canceller.join()
    ended = field.client.job(job.id)
    assert ended.status is JobStatus.cancelled
    assert state.is_cancelled()
    assert ended.ended is not None
    assert field.published() == []
    assert field.leftovers() == []


def test_a_single_file_is_submitted_by_the_flow_itself(field: Field, flow_clips: Path) -> None:
    source, to = str(field.add(flow_clips / "inside.mkv")), str(field.destination)
    state = convert(source=source, preset="web", destination=to, return_state=True)
    assert state.is_completed()
    (job,) = field.client.jobs()
    assert (job.status, job.decision) == (JobStatus.done, "remux"), job.reason


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"source": "/videos/a.mkv", "preset": "wub"}, "web"),
        ({"source": "a.mkv", "preset": "web"}, "absolute"),
        ({"source": "/videos/a.mkv"}, "preset"),
        ({}, "nothing to convert"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    field: Field, arguments: dict[str, Any], said: str
) -> None:
    state = convert(**arguments, return_state=True)
    assert state.is_failed()
    assert said in (state.message or "")
    assert field.client.jobs() == []


def _artifacts(flow_run: str) -> list[str]:
    from uuid import UUID

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(flow_run)]))
    with get_client(sync_client=True) as prefect:
        found = prefect.read_artifacts(artifact_filter=chosen)
    return [str(artifact.data) for artifact in found]


def test_bars_and_fields_are_measured_where_the_preset_asks(field: Field) -> None:
    barred = ("-vf", "drawbox=h=28:t=fill:color=black,drawbox=y=ih-28:h=28:t=fill:color=black")
    clip = make_clip(field.home / "barred.avi", *barred, "-c:v", "mpeg4")
    wish = Preset(name="cut", video=VideoRule(speed="ultrafast", crop="auto", fields="measured"))
    job = field.convert(field.add(clip), preset=wish)
    assert job.status is JobStatus.done, job.reason
    assert "it has black bars" in job.reason
    names = [run.name.split()[0] for run in field.task_runs(job.flow_run or "")]
    assert names[:5] == ["identify", "probe", "measure", "validate", "plan"]

"""The flow `convert` with a quality to reach: a step of its own, found once, told with the job."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures_flows import Field
from fixtures_server import wait_until

from darkstream.model.job import JobStatus
from darkstream.model.plan import EncodePlan
from darkstream.model.preset import Preset, QualityTarget, VideoRule
from darkstream.observe.cancel import CancelToken
from darkstream.stages import search
from darkstream.stages.attempt import Attempt


def wish(vmaf: float = 88) -> Preset:
    rule = VideoRule(speed="ultrafast", quality=QualityTarget(vmaf=vmaf), copy_codecs=())
    return Preset(name="aimed", video=rule)


def test_a_quality_is_searched_between_plan_and_encode_and_found_once(
    field: Field, flow_clips: Path
) -> None:
    film = field.add(flow_clips / "old.avi")
    job = field.convert(film, preset=wish())
    assert job.status is JobStatus.done, job.reason
    codes = [finding.code for finding in job.findings]
    assert "quality-found" in codes and "quality-reached" in codes, job.findings
    names = [run.name.split()[0] for run in field.task_runs(job.flow_run or "")]
    assert names[3:7] == ["plan", "search", "encode", "verify"]
    other = field.destination / "again"
    again = field.convert(field.add(flow_clips / "old.avi", "b.avi"), wish(), destination=other)
    assert again.reused == job.id, again.reason
    states = {
        run.name.split()[0]: run.state.name
        for run in field.task_runs(again.flow_run or "")
        if run.state
    }
    assert states["search"] == "Cached" and "encode" not in states
    assert field.leftovers() == []


def test_a_job_that_is_cancelled_in_the_search_leaves_nothing(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = search.search

    def cancelled(attempt: Attempt, plan: EncodePlan) -> EncodePlan:
        field.client.cancel_job(attempt.claim.job)
        assert attempt.progress.step == "search"
        return _wait_for(attempt.cancel) or real(attempt, plan)

    monkeypatch.setattr(search, "search", cancelled)
    job = field.convert(field.add(flow_clips / "old.avi"), preset=wish())
    assert job.status is JobStatus.cancelled, job.reason
    assert field.leftovers() == [] and field.published() == []


def _wait_for(token: CancelToken) -> None:
    """Until the heartbeat has told that the job is cancelled; `search` then ends by itself."""
    wait_until(lambda: token.cancelled, "the cancel")

"""The progress of a running encode in Prefect's UI."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import Field, make_clip

from darkstream.model.job import JobStatus
from darkstream.model.preset import Preset, VideoRule
from flows import progress

QUICK_S = 0.4


def test_progress_is_drawn_now_and_then_and_ends_at_100(
    field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert progress.EVERY_S == 5.0
    drawn: list[tuple[float, float]] = []
    create, update = progress.create_progress_artifact, progress.update_progress_artifact

    def first(percent: float, **more: Any) -> Any:
        drawn.append((time.monotonic(), percent))
        assert more["description"] == "encode long.avi"
        return create(percent, **more)

    def again(picture: Any, percent: float) -> Any:
        drawn.append((time.monotonic(), percent))
        return update(picture, percent)

    monkeypatch.setattr(progress, "EVERY_S", QUICK_S)
    monkeypatch.setattr(progress, "create_progress_artifact", first)
    monkeypatch.setattr(progress, "update_progress_artifact", again)
    source = make_clip(tmp_path / "long.avi", "-c:v", "mpeg4", "-an", seconds=60)
    slow = Preset(name="slow", video=VideoRule(speed="veryslow"))
    job = field.convert(field.add(source), preset=slow)
    assert job.status is JobStatus.done, job.reason
    percents = [percent for _, percent in drawn]
    assert len(percents) >= 3
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    times = [moment for moment, _ in drawn[:-1]]  # the last is the end, whenever it comes
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(gap >= QUICK_S * 0.9 for gap in gaps)
    (data,) = _progress_of(job.flow_run or "")
    assert data == 100.0


def _progress_of(flow_run: str) -> list[float]:
    from uuid import UUID

    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(flow_run)]))
    with get_client(sync_client=True) as prefect:
        found = prefect.read_artifacts(artifact_filter=chosen)
    return [float(str(one.data)) for one in found if one.type == "progress"]

"""How thoroughly a source is checked before it is planned: by the setting, or as a preset asks."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures_damage import stretch
from fixtures_flows import Field
from fixtures_planning import damage

from darkstream.planning.presets import load_preset


def test_a_wrong_duration_is_repaired_only_where_it_is_looked_for(
    field: Field, flow_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.mp4"
    wrong.write_bytes(stretch((flow_clips / "fits.mp4").read_bytes()))
    film = field.add(wrong)
    assert field.convert(film).decision == "skip"
    monkeypatch.setenv("DARKSTREAM_MEDIA__VALIDATION", "quick")
    job = field.convert(film)
    assert (job.status.value, job.decision) == ("done", "remux"), job.reason
    assert [finding.code for finding in job.findings] == ["duration-wrong"]
    assert field.published() == ["wrong.mp4"]


def test_a_preset_that_demands_a_level_has_it_whatever_the_setting(
    field: Field, flow_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong.mp4"
    wrong.write_bytes(stretch((flow_clips / "fits.mp4").read_bytes()))
    job = field.convert(field.add(wrong), load_preset("web", changes=["validation=quick"]))
    assert (job.status.value, job.decision) == ("done", "remux"), job.reason
    assert [finding.code for finding in job.findings] == ["duration-wrong"]
    monkeypatch.setenv("DARKSTREAM_MEDIA__VALIDATION", "quick")
    lax = load_preset("web", changes=["validation=headers"])
    assert field.convert(field.add(wrong, "again.mp4"), lax).decision == "skip"


@pytest.mark.parametrize("level", ["normal", "full"])
def test_damage_is_known_before_the_plan(
    field: Field, flow_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("DARKSTREAM_MEDIA__VALIDATION", level)
    assert field.convert(field.add(flow_clips / "fits.mp4")).decision == "skip"
    hurt = damage(flow_clips / "fits.mp4", tmp_path / "hurt.mp4", share=0.1, count=4000)
    job = field.convert(field.add(hurt))
    assert (job.status.value, job.decision) == ("done", "convert"), job.reason
    assert "decode-errors" in {finding.code for finding in job.findings}
    steps = [run.name.split()[0] for run in field.task_runs(job.flow_run or "")]
    assert steps.count("plan") == 1, "nothing was planned in vain"

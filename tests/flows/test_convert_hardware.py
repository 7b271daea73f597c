"""The flow `convert` on a node whose hardware fails in the middle of a job.

NVENC is played by a stand-in: such hardware cannot run here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures_flows import Field, make_clip
from fixtures_hardware import LOSES_PICTURES, fails, nvenc_stand_in
from fixtures_server import node_report, wait_until

from darkstream.media.capabilities import detect_capabilities
from darkstream.media.sandbox import Sandbox
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.model.job import JobStatus
from darkstream.model.preset import Preset
from darkstream.model.wire import SubmitJob
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings
from darkstream.stages import toolbox

_NO_SESSION = "OpenEncodeSessionEx failed: out of memory (10): (no details)"
_NO_DRIVER = "Cannot load libcuda.so.1"


@pytest.fixture
def source(field: Field, tmp_path: Path) -> Path:
    options = ("-vf", "scale=320:240", "-c:v", "mpeg4", "-q:v", "4", "-an")
    return make_clip(tmp_path / "library" / "old.avi", *options, seconds=1.0)


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Capabilities:
    """What this machine can do, and NVENC."""
    found = detect_capabilities(MediaSettings(), tmp_path_factory.mktemp("capabilities"))
    nvenc = Encoder(name="h264_nvenc", codec="h264", hardware=True, family="nvenc")
    return found.model_copy(update={"encoders": (*found.encoders, nvenc)})


@pytest.fixture
def hardware(
    field: Field, tmp_path: Path, proved: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Gives the node an NVENC with a fault."""
    # A cage would hide the real ffmpeg from the stand-in.
    monkeypatch.setattr(Sandbox, "detect", lambda _mode="auto": Sandbox("rlimits"))
    (field.home / "capabilities").unlink()
    (field.home / "capabilities").mkdir()
    (field.home / "capabilities" / "proof.json").touch()
    field.client.report_node("here", node_report(gpu="Made-up GPU"))

    def give(fault: str) -> None:
        made = nvenc_stand_in(tmp_path, proved.ffmpeg, fault=fault)
        node = proved.model_copy(update={"ffmpeg": str(made)})
        monkeypatch.setattr(toolbox, "detect_capabilities", lambda *_: node)

    return give


def _preset(hardware: str) -> Preset:
    preset = load_preset("web")
    assert preset.video is not None
    video = preset.video.model_copy(update={"hardware": hardware, "speed": "ultrafast"})
    return preset.model_copy(update={"video": video})


@pytest.mark.parametrize(
    ("fault", "meaning", "kept"),
    [
        (fails(_NO_SESSION), "it had no encoding session left", True),
        (fails(_NO_DRIVER), "its driver is gone, or does not start", False),
        (fails("something new"), "its encoder gave an error", False),
        (LOSES_PICTURES, "what it made is not what was planned", False),
    ],
    ids=["no session", "no driver", "unknown words", "wrong output"],
)
def test_what_only_prefers_hardware_is_planned_again_without_it(
    field: Field,
    source: Path,
    hardware: Callable[[str], None],
    fault: str,
    meaning: str,
    kept: bool,
) -> None:
    hardware(fault)
    job = field.convert(source, _preset("prefer"))
    assert (job.status, job.attempts) == (JobStatus.done, 1)
    (finding,) = [one for one in job.findings if one.code == "hardware-failed"]
    assert meaning in finding.message and "h264_nvenc" in finding.message
    assert "planned again without it" in finding.message
    log = field.client.job_log(job.id)
    assert finding.message in log and "-c:v:0 libx264" in log
    assert field.published() == ["old.mp4"] and field.leftovers() == []
    names = [run.name.split()[0] for run in field.task_runs(str(job.flow_run))]
    assert names.count("plan") == 2 and names.count("encode") == 2
    assert bool(list((field.home / "capabilities").glob("*.json"))) is kept


@pytest.mark.parametrize(
    ("said", "attempts", "least_s"), [(_NO_SESSION, 0, 50), (_NO_DRIVER, 1, 5)]
)
def test_what_demands_hardware_waits_for_it(
    field: Field,
    source: Path,
    hardware: Callable[[str], None],
    said: str,
    attempts: int,
    least_s: float,
) -> None:
    hardware(fails(said))
    job = field.client.submit_job(
        SubmitJob(source=str(source), preset=_preset("require"), destination=str(field.destination))
    )
    (state,) = wait_until(field.run_dispatches, "the dispatch")
    assert state.is_completed()
    waiting = field.client.job(job.id)
    assert (waiting.status, waiting.attempts) == (JobStatus.queued, attempts)
    assert waiting.not_before is not None
    assert (waiting.not_before - waiting.created).total_seconds() > least_s
    assert "the preset demands hardware" in waiting.reason
    assert field.published() == []

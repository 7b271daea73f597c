"""Decoding by hardware: proved by its pictures, measured by its time, used where both are good.

CUDA is played by a stand-in: such hardware cannot run here.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures_hardware import cuda_stand_in
from fixtures_planning import Clips, Walker

from darkstream.media import decoding_proofs
from darkstream.media.decoding_proofs import CLIPS, prove_decoders
from darkstream.media.proofs import Workshop
from darkstream.media.sandbox import Sandbox
from darkstream.model.capabilities import HardwareDecoder
from darkstream.model.plan import VideoEncode
from darkstream.planning.presets import load_preset

_FILTERS = ("scale", "scale_cuda")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_proofs, "decoding_devices", lambda: [("cuda", None)])
    monkeypatch.setattr(decoding_proofs, "_SIZE", (320, 180))
    monkeypatch.setattr(decoding_proofs, "_SMALLER", (160, 90))
    monkeypatch.setattr(decoding_proofs, "_SECONDS", 1)
    monkeypatch.setattr(decoding_proofs, "_LOOPS", 1)
    monkeypatch.setattr(decoding_proofs, "CLIPS", CLIPS[:1])


def _prove(ffmpeg: Path, encoders: tuple[str, ...] = ("libx264",)) -> tuple[HardwareDecoder, ...]:
    return prove_decoders(Workshop(str(ffmpeg), Sandbox("rlimits")), encoders, _FILTERS)


def test_one_that_makes_the_same_pictures(walker: Walker, tmp_path: Path) -> None:
    (found,) = _prove(cuda_stand_in(tmp_path, walker.capabilities.ffmpeg))
    assert (found.family, found.codec, found.bits, found.scales) == ("cuda", "h264", 8, True)
    assert found.psnr > 50 and found.speed > 0


def test_one_that_makes_others_is_not_used(walker: Walker, tmp_path: Path) -> None:
    other = cuda_stand_in(tmp_path, walker.capabilities.ffmpeg, scaler="neighbor")
    (found,) = _prove(other)
    assert found.psnr < 40 and not found.scales and not found.is_used


@pytest.mark.parametrize(
    "fault", ["sys.exit(1)", 'words[-3:-3] = ["-frames:v", "3"]'], ids=["fails", "fewer pictures"]
)
def test_one_that_does_not_make_them_is_not_proved(
    walker: Walker, tmp_path: Path, fault: str
) -> None:
    assert _prove(cuda_stand_in(tmp_path, walker.capabilities.ffmpeg, fault=fault)) == ()


def test_one_that_is_slow_is_not_used(walker: Walker, tmp_path: Path) -> None:
    slow = cuda_stand_in(tmp_path, walker.capabilities.ffmpeg, fault="time.sleep(3)")
    (found,) = _prove(slow)
    assert found.scales and found.speed < 1.2 and not found.is_used


def test_nothing_is_made_for_nobody(
    walker: Walker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ffmpeg = cuda_stand_in(tmp_path, walker.capabilities.ffmpeg)
    assert _prove(ffmpeg, ("libx265",)) == ()
    assert prove_decoders(Workshop("/no/ffmpeg", Sandbox("rlimits")), ("libx264",), ()) == ()
    assert _prove(tmp_path / "no such ffmpeg") == ()


def test_a_film_is_decoded_and_scaled_by_it(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    """Decode and scale on the GPU, encode on the CPU, as on an H200: it has no encoder."""
    source = clips.plain("accelerated.mkv")
    fast = HardwareDecoder(family="cuda", codec="h264", bits=8, scales=True, psnr=48.0, speed=3.0)
    ffmpeg = cuda_stand_in(tmp_path, walker.capabilities.ffmpeg)
    node = walker.capabilities.model_copy(
        update={"ffmpeg": str(ffmpeg), "hardware_decoders": (fast,)}
    )
    preset = load_preset("web")
    assert preset.video is not None
    told = {"max_width": 160, "max_height": 120, "hardware": "prefer", "speed": "ultrafast"}
    preset = preset.model_copy(update={"video": preset.video.model_copy(update=told)})
    caged = replace(walker, capabilities=node, sandbox=Sandbox("rlimits"))
    walked = caged.walk(os.fsencode(source), preset, tmp_path / "out")
    assert walked.status == "done", walked.reason
    assert walked.plan is not None and walked.encoded is not None
    (video,) = walked.plan.renditions
    assert isinstance(video, VideoEncode)
    assert (video.hwaccel, video.encoder, video.width) == ("cuda", "libx264", 160)
    assert "-hwaccel cuda" in walked.encoded.command

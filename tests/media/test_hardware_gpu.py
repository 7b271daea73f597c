"""On a machine with a GPU: what is proved there, and how fast it is.

`pytest -m gpu -s tests/media/test_hardware_gpu.py` prints the figures. Nothing is played here.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures_planning import Clips, Walked, Walker

from darkstream.media.capabilities import detect_capabilities
from darkstream.media.devices import decoding_devices, gpu_names
from darkstream.media.telemetry import read_gpus
from darkstream.model.capabilities import Capabilities
from darkstream.model.plan import VideoEncode
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings

pytestmark = pytest.mark.gpu
_SECONDS = 10


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Capabilities:
    began = time.monotonic()
    found = detect_capabilities(MediaSettings(), tmp_path_factory.mktemp("proofs"))
    _say(f"\nGPUs: {', '.join(gpu_names())}; proofs took {time.monotonic() - began:.1f} s")
    return found


@pytest.fixture(scope="module")
def film(clips: Clips) -> Path:
    source = f"testsrc2=s=1920x1080:r=25:d={_SECONDS},noise=alls=8:allf=t"
    return clips.make(
        "gpu.mkv",
        *("-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"),
        *("-c:v", "libx264", "-preset", "superfast", "-b:v", "10M"),
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _walk(walker: Walker, film: Path, work: Path, **rule: object) -> Walked:
    preset = load_preset("web")
    assert preset.video is not None
    told = {"max_width": 1280, "max_height": 720, "copy_codecs": ()}
    video = preset.video.model_copy(update=told | rule)
    return walker.walk(os.fsencode(film), preset.model_copy(update={"video": video}), work)


def test_it_says_how_busy_it_is() -> None:
    for gpu in read_gpus():
        _say(str(gpu))
        assert gpu.memory_mib is None or gpu.memory_mib > 0


def test_decoders_are_proved_and_measured(node: Capabilities) -> None:
    for one in node.hardware_decoders:
        _say(f"{one.family} {one.codec} {one.bits} bit: {one.speed} x, {one.psnr} dB")
    families = {family for family, _ in decoding_devices()}
    assert {one.family for one in node.hardware_decoders} <= families
    if "H100" in "".join(gpu_names()) or "H200" in "".join(gpu_names()):
        assert {("cuda", "h264"), ("cuda", "hevc")} <= {
            (one.family, one.codec) for one in node.hardware_decoders
        }
        assert not any(one.family == "nvenc" for one in node.encoders), "it has no NVENC"
        assert node.gpu is None


def test_decoding_there_gives_what_software_gives(
    walker: Walker, node: Capabilities, film: Path, tmp_path: Path
) -> None:
    fast = tuple(
        one.model_copy(update={"speed": max(one.speed, 1.2)}) for one in node.hardware_decoders
    )
    there = replace(walker, capabilities=node.model_copy(update={"hardware_decoders": fast}))
    for name, rule in (("software", "never"), ("accelerated", "prefer")):
        walked = _walk(there, film, tmp_path / name, hardware=rule)
        assert walked.status == "done", walked.reason
        assert walked.plan is not None and walked.encoded is not None
        (video,) = walked.plan.renditions
        assert isinstance(video, VideoEncode)
        told = (video.hwaccel or "software", video.encoder, walked.encoded.frames)
        _say(f"{name}: {told} {walked.encoded.wall_s:.2f} s, {walked.encoded.cpu_s:.2f} CPU s")
        assert walked.encoded.frames == (25 * _SECONDS,)


def test_every_proved_encoder_makes_a_film(
    walker: Walker, node: Capabilities, film: Path, tmp_path: Path
) -> None:
    # VP9 has a preset and a container of its own.
    for one in (one for one in node.encoders if one.hardware and one.codec != "vp9"):
        others = tuple(e for e in node.encoders if not e.hardware or e.name == one.name)
        alone = replace(walker, capabilities=node.model_copy(update={"encoders": others}))
        rule = {"codec": one.codec, "hardware": "require", "quality": None, "speed": None}
        walked = _walk(alone, film, tmp_path / one.name, **rule)
        assert walked.status == "done", f"{one.name}: {walked.reason}"
        assert walked.encoded is not None
        rate = 25 * _SECONDS / walked.encoded.wall_s
        _say(f"{one.name}: {rate:.0f} pictures/s, {walked.encoded.cpu_s:.2f} CPU s")

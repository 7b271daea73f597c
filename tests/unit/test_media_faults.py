"""What ffmpeg says of hardware that fails, and what is made of it."""

from __future__ import annotations

import pytest
from fixtures_flows import make_attempt
from fixtures_planning import media_info, proved, video_stream

from darkstream.errors import (
    HardwareFailed,
    OutputTooLarge,
    ProcessFailed,
    ProcessKilled,
    ProcessTimeout,
    SourceRejected,
    VerificationFailed,
)
from darkstream.media.faults import find_rule, hardware_faults
from darkstream.model.plan import EncodePlan
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.stages.hardware import plan_around


def _plan(*encoders: str) -> EncodePlan:
    preset = load_preset("web")
    assert preset.video is not None
    video = preset.video.model_copy(update={"hardware": "prefer"})
    media = media_info(video_stream(codec="mpeg4"))
    plan = make_plan(
        media, preset.model_copy(update={"video": video}), proved(*encoders), validate(media)
    )
    assert isinstance(plan, EncodePlan)
    return plan


def _failed(said: str = "", kind: type[ProcessFailed] = ProcessFailed) -> ProcessFailed:
    return kind("ffmpeg failed", argv=(b"ffmpeg",), code=1, stderr=said)


@pytest.mark.parametrize(
    ("said", "meaning", "passing"),
    [
        (
            "[h264_nvenc @ 0x1] [error] OpenEncodeSessionEx failed: out of memory (10): (no d)",
            "no encoding session left",
            True,
        ),
        ("OpenEncodeSessionEx failed: incompatible client key (21)", "no encoding session", True),
        ("cu->cuMemAlloc(..) failed -> CUDA_ERROR_OUT_OF_MEMORY: out of memory", "memory", True),
        ("[av1_nvenc @ 0x1] [error] No capable devices found", "not there any more", False),
        ("cuInit(0) failed -> CUDA_ERROR_NO_DEVICE: no CUDA-capable device", "not there", False),
        ("No VA display found for device /dev/dri/renderD128.", "not there any more", False),
        ("[h264_v4l2m2m @ 0x1] [error] Could not find a valid device", "not there", False),
        ("Error during encoding: device failed (-17)", "lost while it worked", False),
        ("Error during encoding: gpu hang (-21)", "lost while it worked", False),
        ("Unable to submit: VK_ERROR_DEVICE_LOST", "lost while it worked", False),
        ("cuCtxPushCurrent failed -> CUDA_ERROR_LAUNCH_FAILED", "lost while it worked", False),
        ("Cannot load libcuda.so.1", "driver is gone", False),
        ("[AVHWDeviceContext] Could not dynamically load CUDA", "driver is gone", False),
        ("DLL libamfrt64.so.1 failed to open", "driver is gone", False),
        ("Failed to initialise VAAPI connection: -1 (unknown libva error).", "driver is", False),
        ("Error creating a MFX session: -9.", "driver is gone", False),
        ("Driver does not support the required nvenc API version. Required: 13", "old", False),
        ("Failed to create encode context: 2 (resource allocation failed).", "memory", True),
        ("Failed to end picture encode issue: 1 (operation failed).", "gave an error", False),
        ("Error: cannot create compression session: -12903", "gave an error", False),
        ("Device creation failed: -542398533.", "gave an error", False),
        ("cuFoo failed -> CUDA_ERROR_ANYTHING_ELSE", "gave an error", False),
        ("[hevc_amf @ 0x1] [error] words nobody knows", "its encoder gave an error", False),
        ("[enc:h264_qsv @ 0x1] [fatal] words nobody knows", "its encoder gave an error", False),
    ],
)
def test_a_rule_for_each_message(said: str, meaning: str, passing: bool) -> None:
    rule = find_rule(said)
    assert rule is not None
    assert meaning in rule.meaning and rule.passing is passing


@pytest.mark.parametrize(
    "said",
    [
        "[h264 @ 0x1] [error] error while decoding MB 3 4",
        "[mp4 @ 0x1] [error] moov atom not found",
        "[h264_nvenc @ 0x1] [verbose] Loaded lib: libcuda.so.1",
        "No space left on device",
        "",
    ],
)
def test_other_messages_are_none_of_hardware(said: str) -> None:
    assert find_rule(said) is None


def test_hardware_is_blamed_with_what_was_said() -> None:
    with pytest.raises(HardwareFailed) as caught, hardware_faults(_plan("h264_qsv")):
        raise _failed("Error creating a MFX session: -9.")
    assert str(caught.value) == "h264_qsv failed: its driver is gone, or does not start"
    assert (caught.value.families, caught.value.passing) == (("qsv",), False)
    assert caught.value.argv == (b"ffmpeg",) and "MFX" in caught.value.stderr


def test_what_stands_still_or_is_wrong_is_blamed_on_hardware() -> None:
    plan = _plan("h264_nvenc")
    with pytest.raises(HardwareFailed, match="it stood still"), hardware_faults(plan):
        raise _failed(kind=ProcessTimeout)
    with pytest.raises(HardwareFailed, match="not what was planned"), hardware_faults(plan):
        raise VerificationFailed("pictures are missing")
    with pytest.raises(HardwareFailed, match="no encoding session"), hardware_faults(plan):
        raise SourceRejected("too damaged") from _failed(
            "OpenEncodeSessionEx failed: out of memory (10)"
        )


@pytest.mark.parametrize(
    "error",
    [
        _failed("Error: disk quota"),
        _failed("CUDA_ERROR_UNKNOWN", OutputTooLarge),
        _failed("CUDA_ERROR_UNKNOWN", ProcessKilled),
        SourceRejected("too damaged"),
        ValueError("a bug"),
    ],
)
def test_other_failures_stay_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, hardware_faults(_plan("h264_nvenc")):
        raise error
    assert caught.value is error


def test_a_plan_without_hardware_blames_none() -> None:
    with pytest.raises(VerificationFailed), hardware_faults(_plan()):
        raise VerificationFailed("pictures are missing")


def test_the_same_hardware_is_not_planned_around_twice() -> None:
    attempt = make_attempt()
    with pytest.raises(HardwareFailed) as caught, hardware_faults(_plan("h264_nvenc")):
        raise _failed("OpenEncodeSessionEx failed: out of memory (10)")
    plan_around(attempt, caught.value)
    assert list(attempt.failed) == ["nvenc"]
    node = proved("h264_nvenc", "h264_vaapi").without(attempt.failed)
    assert [one.name for one in node.encoders if one.hardware] == ["h264_vaapi"]
    with pytest.raises(HardwareFailed):
        plan_around(attempt, caught.value)

"""What ffmpeg says when hardware fails, and not the file: a table of rules, first match wins.

Sources: libavcodec's nvenc.c, qsvenc.c, vaapi_encode.c, vulkan_encode.c, amfenc.c,
videotoolboxenc.c and v4l2_m2m.c, libavutil's hwcontext_*.c and cuda_check.h, fftools' ffmpeg_hw.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from darkstream.errors import (
    HardwareFailed,
    OutputTooLarge,
    ProcessFailed,
    ProcessKilled,
    ProcessTimeout,
    SourceRejected,
    VerificationFailed,
)
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning.hardware import family_of


@dataclass(frozen=True)
class Rule:
    """What is said, what it means, and whether it goes away by itself."""

    pattern: re.Pattern[str]
    meaning: str
    passing: bool = False


def _rule(pattern: str, meaning: str, *, passing: bool = False) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), meaning, passing)


RULES: tuple[Rule, ...] = (
    _rule(
        r"OpenEncodeSessionEx failed: (out of memory \(10\)|incompatible client key \(21\))",
        "it had no encoding session left",
        passing=True,
    ),
    _rule(
        r"CUDA_ERROR_OUT_OF_MEMORY|CreateInputBuffer failed: out of memory|"
        r"VK_ERROR_OUT_OF_DEVICE_MEMORY|AMF_OUT_OF_MEMORY|resource allocation failed|"
        r"undefined behavior.*\(-4\)|failed to allocate memory \(-4\)",
        "its memory was full",
        passing=True,
    ),
    _rule(
        r"CUDA_ERROR_(NO_DEVICE|DEVICE_UNAVAILABLE|INVALID_DEVICE|NOT_FOUND)|"
        r"No (NVENC )?capable devices found|No VA display found|Failed to open the drm device|"
        r"No such file or directory.*/dev/dri|Could not find a valid device|"
        r"Unable to find device|No devices found|AMF_NO_DEVICE",
        "it is not there any more, or cannot do what was proved",
    ),
    _rule(
        r"CUDA_ERROR_(ECC_UNCORRECTABLE|LAUNCH_FAILED|ILLEGAL_ADDRESS|UNKNOWN|SYSTEM_NOT_READY"
        r"|DEVICE_NOT_LICENSED|HARDWARE_STACK_ERROR|CONTEXT_IS_DESTROYED)|VK_ERROR_DEVICE_LOST|"
        r"device failed \(-17\)|device lost|gpu hang \(-21\)|"
        r"(EncodePicture|Failed locking bitstream buffer).*(failed|device)",
        "it was lost while it worked",
    ),
    _rule(
        r"Cannot load (lib)?(cuda|nvcuda|nvidia-encode|nvcuvid|nvEncodeAPI)|"
        r"Could not dynamically load CUDA|libamfrt64\S* failed to open|"
        r"Failed to initialise VAAPI connection|vaInitialize failed|"
        r"Error creating a MFX session|Error initializing an? (internal )?MFX session|"
        r"Unable to open the libvulkan|VK_ERROR_INCOMPATIBLE_DRIVER",
        "its driver is gone, or does not start",
    ),
    _rule(
        r"Driver does not support the required nvenc API|minimum required Nvidia driver|"
        r"CUDA_ERROR_(SYSTEM_DRIVER_MISMATCH|COMPAT_NOT_SUPPORTED_ON_DEVICE|INSUFFICIENT_DRIVER)",
        "its driver is too old for this ffmpeg",
    ),
    _rule(
        r"CUDA_ERROR_\w+|VK_ERROR_\w+|Failed to (create|begin|end|sync|upload|map)\b.*: \d+ \(|"
        r"Error (initializing the encoder|during encoding):|cannot create compression session|"
        r"Device creation failed|Hardware device setup failed|No device available for decoder|"
        r"hwaccel initialisation returned error|Failed setup for format|"
        r"Impossible to convert between the formats|Failed to transfer data",
        "its driver gave an error",
    ),
)
_SPEAKER = re.compile(
    r"\[(enc:)?\w+_(nvenc|qsv|amf|vaapi|vulkan|videotoolbox|v4l2m2m)\b[^]]*\].*\[(error|fatal)\]"
)
"""An encoder that complains in words nobody knows."""


def families_of(plan: EncodePlan) -> tuple[str, ...]:
    """The families of hardware that a plan uses, to encode and to decode."""
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    used: list[str] = [family_of(video.encoder) for video in encodes if video.hardware]
    used += [video.hwaccel for video in encodes if video.hwaccel is not None]
    return tuple(dict.fromkeys(used))


def find_rule(said: str) -> Rule | None:
    """What messages of ffmpeg say of hardware; None: nothing."""
    found = next((rule for rule in RULES if rule.pattern.search(said)), None)
    if found is None and _SPEAKER.search(said):
        return Rule(_SPEAKER, "its encoder gave an error")
    return found


@contextmanager
def hardware_faults(plan: EncodePlan) -> Iterator[None]:
    """Turn failures that hardware is to blame for into HardwareFailed; others stay as they are.

    A damaged source may be hardware's doing too, as what a decoder says of it is; and an output
    that is not what was planned is nothing to publish, but software may do better.
    """
    try:
        yield
    except (OutputTooLarge, ProcessKilled):
        raise
    except (ProcessFailed, SourceRejected, VerificationFailed) as error:
        if (fault := _find_fault(plan, error)) is None:
            raise
        raise fault from error


def _find_fault(plan: EncodePlan, error: Exception) -> HardwareFailed | None:
    families = families_of(plan)
    if not families:
        return None
    child = error if isinstance(error, ProcessFailed) else error.__cause__
    said = child.stderr if isinstance(child, ProcessFailed) else ""
    rule = find_rule(said)
    if rule is not None:
        meaning, passing = rule.meaning, rule.passing
    elif isinstance(error, ProcessTimeout):
        meaning, passing = "it stood still", False
    elif isinstance(error, VerificationFailed):
        meaning, passing = f"what it made is not what was planned ({error})", False
    else:
        return None
    return HardwareFailed(
        f"{_name(plan)} failed: {meaning}",
        families=families,
        passing=passing,
        argv=child.argv if isinstance(child, ProcessFailed) else (),
        code=child.code if isinstance(child, ProcessFailed) else 0,
        stderr=said,
    )


def _name(plan: EncodePlan) -> str:
    """The encoders and decoders that are blamed."""
    encodes = [video for video in plan.renditions if isinstance(video, VideoEncode)]
    used = [video.encoder for video in encodes if video.hardware]
    used += [f"decoding by {video.hwaccel}" for video in encodes if video.hwaccel is not None]
    return ", ".join(dict.fromkeys(used))

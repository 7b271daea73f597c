"""What quality an encode is to reach, and how it can be measured on a node.

Where a node's ffmpeg has no VMAF, the same wish is measured by XPSNR, else by SSIM: what they give
for ordinary film where VMAF gives a certain score, as seen on real clips by x264 (quality.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from darkstream.errors import CapabilityMissing
from darkstream.model.capabilities import Capabilities
from darkstream.model.encoded import Score
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import EncodePlan, Target, VideoCopy, VideoEncode
from darkstream.model.preset import Metric, QualityTarget, VideoRule
from darkstream.planning.picture import Size

FILTERS: Mapping[Metric, str] = {"vmaf": "libvmaf", "xpsnr": "xpsnr", "ssim": "ssim"}
"""ffmpeg's filter of each metric."""
_SAME_AS_VMAF: Mapping[Metric, tuple[tuple[float, float], ...]] = {
    "xpsnr": ((20, 25), (70, 31), (80, 33.5), (85, 35), (90, 37), (95, 40), (97, 42), (99, 44)),
    "ssim": (
        *((20, 0.85), (70, 0.95), (80, 0.968), (85, 0.975), (90, 0.982)),
        *((95, 0.989), (97, 0.9915), (99, 0.9955)),
    ),
}
"""Pairs of VMAF and what the metric gives there; straight lines between them."""
_MODEL, _MODEL_OF_LARGE = "vmaf_v0.6.1", "vmaf_4k_v0.6.1"
_LARGE = 1920 * 1440
"""Pixels above which a picture is seen on a 4K screen from nearer."""
_MISSED: Mapping[Metric, float] = {"vmaf": 1.0, "xpsnr": 0.4, "ssim": 0.003}
"""By how much a result may miss its target without a word."""
_WORDS: Mapping[Metric, str] = {"vmaf": "VMAF", "xpsnr": "XPSNR", "ssim": "SSIM"}
_HDR = {"smpte2084", "arib-std-b67"}


def aim(rule: VideoRule, size: Size, capabilities: Capabilities) -> Target | None:
    """What a rendition of that size is to reach; None: it has a fixed quality.

    Raises CapabilityMissing where this node's ffmpeg cannot measure it.
    """
    if not isinstance(rule.quality, QualityTarget):
        return None
    metric, score = rule.quality.wishes[0]
    able = [one for one in FILTERS if FILTERS[one] in capabilities.filters]
    if metric not in able:
        if metric != "vmaf" or not able:
            raise CapabilityMissing(
                f"this node's ffmpeg ({capabilities.version}) has no filter {FILTERS[metric]!r},"
                f" needed to reach {say_score(metric, score)}"
            )
        metric, score = able[0], _same_as_vmaf(able[0], score)
    if metric != "vmaf":
        return Target(metric=metric, score=score)
    large = size[0] * size[1] > _LARGE
    return Target(metric=metric, score=score, model=_MODEL_OF_LARGE if large else _MODEL)


def tell_targets(
    renditions: Sequence[VideoEncode | VideoCopy], rule: VideoRule | None
) -> tuple[Finding, ...]:
    """Findings on what measures a target where that is not what was wished, or not made for it."""
    found = next((one for one in renditions if isinstance(one, VideoEncode)), None)
    if found is None or found.target is None or rule is None:
        return ()
    if not isinstance(rule.quality, QualityTarget):
        return ()
    target, (metric, score) = found.target, rule.quality.wishes[0]
    findings: list[Finding] = []
    if target.metric != metric:
        told = (
            f"this node's ffmpeg does not measure {_WORDS[metric]}: instead of"
            f" {say_score(metric, score)} the pictures are to reach"
            f" {say_score(target.metric, target.score)}, what ordinary film has there"
        )
        findings.append(_finding("quality-metric-changed", told))
    if found.colour.transfer in _HDR:
        told = (
            f"{_WORDS[target.metric]} is measured on the HDR samples as they are stored, though"
            " it was made for SDR: compare such figures with each other only"
        )
        findings.append(_finding("quality-of-hdr", told))
    return tuple(findings)


def judge_score(score: Score) -> Finding:
    """What is said of a rendition's result: that it is as wished, or misses it by too much."""
    missed = abs(score.score - score.target) > _MISSED[score.metric]
    where = "over the whole film" if score.whole else "in places all over the film"
    told = (
        f"{score.rendition} has {say_score(score.metric, score.score)} {where}; wished:"
        f" {say_score(score.metric, score.target)}"
    )
    return _finding("quality-missed" if missed else "quality-reached", told)


def has_targets(plan: EncodePlan) -> bool:
    """Whether a quality is wished that can be measured."""
    return any(isinstance(one, VideoEncode) and one.target is not None for one in plan.renditions)


def is_drawn(plan: EncodePlan) -> bool:
    """Whether something is drawn into the pictures, which then cannot be held against the source's.

    Samples for the search are made without it.
    """
    return plan.burn is not None or plan.overlay is not None


def say_score(metric: Metric, score: float) -> str:
    """A score as people write it."""
    if metric == "ssim":
        return f"SSIM {score:.4f}"
    return f"{_WORDS[metric]} {score:.4g}" + (" dB" if metric == "xpsnr" else "")


def _same_as_vmaf(metric: Metric, vmaf: float) -> float:
    parts = pairwise(_SAME_AS_VMAF[metric])
    (left, low), (right, high) = next(part for part in parts if vmaf <= part[1][0])
    return round(low + (high - low) * (vmaf - left) / (right - left), 4)


def _finding(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.ok, message=message)

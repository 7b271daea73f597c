"""The search for the setting of an encoder that reaches a measured quality.

Close to where it matters, the logarithm of what a score lacks falls on a straight line over the
encoder's scale: that is what is interpolated. Knows no process: it is given what was measured.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from darkstream.model.job import Hint
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import EncodePlan, Probe, Target, VideoEncode
from darkstream.model.preset import Metric
from darkstream.planning.targets import say_score


@dataclass(frozen=True)
class Scale:
    """An encoder's scale of quality, higher is worse.

    `middle` gives VMAF 95 with ordinary film, and `halves` steps more twice as much less than 100.
    """

    least: float
    most: float
    step: float
    middle: float
    halves: float

    def snap(self, quality: float) -> int | float:
        """The nearest value that the encoder knows."""
        found = round(min(max(quality, self.least), self.most) / self.step) * self.step
        return int(found) if found == int(found) else found


@dataclass(frozen=True)
class Excerpt:
    """A part of a film: from the key frame before `start` (seconds) on; `frames` None: all."""

    start: Fraction
    frames: int | None


_SCALES: Mapping[str, Scale] = {
    "libx264": Scale(8, 42, 0.25, 24, 4.5),
    "libx265": Scale(8, 42, 0.25, 25, 4.5),
    "libsvtav1": Scale(8, 60, 1, 36, 7),
    "libvpx-vp9": Scale(8, 60, 1, 34, 6.5),
    "libvvenc": Scale(12, 48, 1, 30, 4.5),
}
_OTHERS = Scale(8, 45, 1, 25, 4.5)
"""Hardware encoders: whole steps, which all of them know."""
_NEAR: Mapping[Metric, float] = {"vmaf": 0.25, "xpsnr": 0.1, "ssim": 0.0005}
"""A score so near to its target is searched no further; after some probes, twice as far off."""
_SLOWER: Mapping[Metric, float] = {"vmaf": 1, "xpsnr": 2.2, "ssim": 1.4}
"""How many times as far as VMAF's this metric's losses need to double."""
_LEAST_LOSS: Mapping[Metric, float] = {"vmaf": 0.02, "xpsnr": 0, "ssim": 1e-6}
_DB = 6.02
_MOST_PROBES, _ENOUGH_PROBES = 6, 3
_EDGE = 0.1
"""Of what is left to be tried: so far from its ends the next probe is, after some probes."""
_PLACES = 10
_SECONDS = Fraction(5, 2)
_SKIPPED = Fraction(1, 20)
"""Of a film, at its begin and its end, where titles are."""


def is_open(plan: EncodePlan) -> bool:
    """Whether a quality of it is still to be found."""
    return any(is_sought(video) for video in plan.renditions)


def is_sought(video: object) -> bool:
    """Whether the quality of a rendition is still to be found."""
    return isinstance(video, VideoEncode) and video.target is not None and video.quality is None


def scale_of(video: VideoEncode) -> Scale:
    """The scale of a rendition's encoder."""
    return _SCALES.get(video.encoder, _OTHERS)


def choose_excerpts(plan: EncodePlan, rate: Fraction) -> tuple[Excerpt, ...]:
    """What is looked at of a film: all of a short one, else places spread over it.

    `rate`: pictures a second. Neither the begin nor the end of a film is like the rest.
    """
    duration = plan.expect.duration
    if duration is None or duration < 2 * _PLACES * _SECONDS:
        frames = None if duration is not None else math.ceil(2 * _PLACES * _SECONDS * rate)
        return (Excerpt(Fraction(0), frames),)
    first, span = duration * _SKIPPED, duration * (1 - 2 * _SKIPPED) - _SECONDS
    share = span / (_PLACES - 1)
    frames = math.ceil(_SECONDS * rate)
    return tuple(Excerpt(first + share * number, frames) for number in range(_PLACES))


def guess_quality(target: Target, scale: Scale) -> float:
    """Where ordinary film reaches the target."""
    usual = {"vmaf": 95.0, "xpsnr": 40.0, "ssim": 0.989}[target.metric]
    ahead = _loss(target.metric, target.score) - _loss(target.metric, usual)
    return scale.middle + ahead * scale.halves * _SLOWER[target.metric]


def learn_qualities(plans: Iterable[Mapping[str, Any]]) -> tuple[Hint, ...]:
    """What reached each target in plans of finished jobs, as they are stored: the medians."""
    seen: dict[Hint, list[float]] = {}
    for video in (one for plan in plans for one in plan.get("renditions", ())):
        if video.get("target") is not None and video.get("quality") is not None:
            told = {"rendition": video["name"], "encoder": video["encoder"], "quality": 0}
            hint = Hint(**told, target=Target.model_validate(video["target"]))
            seen.setdefault(hint, []).append(video["quality"])
    return tuple(
        hint.model_copy(update={"quality": float(statistics.median(found))})
        for hint, found in seen.items()
    )


def recall_quality(video: VideoEncode, hints: Sequence[Hint]) -> float | None:
    """What earlier jobs ended with for a rendition like this one; None: there was none."""
    like = (video.name, video.encoder, video.target)
    found = (one for one in hints if (one.rendition, one.encoder, one.target) == like)
    return next((one.quality for one in found), None)


def next_quality(
    target: Target, scale: Scale, probes: Sequence[Probe], guess: float | None = None
) -> int | float | None:
    """What to try next; None: the best that was tried is good enough, or nothing better is left.

    `guess`: where to begin, if there is more to go by than the encoder and the target.
    """
    if not probes:
        return scale.snap(guess_quality(target, scale) if guess is None else guess)
    near = min(abs(probe.score - target.score) for probe in probes)
    patience = 1 if len(probes) < _ENOUGH_PROBES else 2
    if near <= patience * _NEAR[target.metric] or len(probes) >= _MOST_PROBES:
        return None
    if _is_flat(target, scale, probes):
        return None
    low, high = _interval(target, scale, probes)
    if low > high:
        return None
    wanted = scale.snap(_interpolate(target, scale, probes))
    if len(probes) >= _ENOUGH_PROBES:  # lines alone come near from one side, step by step
        edge = (high - low) * _EDGE
        wanted = scale.snap(min(max(wanted, low + edge), high - edge))
    return scale.snap(min(max(wanted, low), high))


def best_probe(target: Target, probes: Sequence[Probe]) -> Probe:
    """The probe nearest to the target; where none is as good, the cheapest of those nearly best."""
    near = min(abs(probe.score - target.score) for probe in probes)
    if near > _NEAR[target.metric] and all(probe.score < target.score for probe in probes):
        near += _NEAR[target.metric] / 2
    alike = [probe for probe in probes if abs(probe.score - target.score) <= near]
    return max(alike, key=lambda probe: probe.quality)


def settle(plan: EncodePlan, found: Mapping[int, Sequence[Probe]]) -> EncodePlan:
    """The plan with what was found for each rendition (by its number), and findings on it."""
    renditions = list(plan.renditions)
    findings: list[Finding] = []
    for number, probes in found.items():
        video = renditions[number]
        if not isinstance(video, VideoEncode) or video.target is None:
            raise ValueError(f"{video.name} has no target")
        best = best_probe(video.target, probes)
        renditions[number] = video.model_copy(
            update={"quality": best.quality, "probes": tuple(probes)}
        )
        findings.append(_tell(video, video.target, best, probes))
    told = (*plan.findings, *findings)
    return plan.model_copy(update={"renditions": tuple(renditions), "findings": told})


def _tell(video: VideoEncode, target: Target, best: Probe, probes: Sequence[Probe]) -> Finding:
    count = "1 probe" if len(probes) == 1 else f"{len(probes)} probes"
    told = (
        f"{video.name}: quality {best.quality:g} gave {say_score(target.metric, best.score)} on"
        f" samples ({count})"
    )
    near = abs(best.score - target.score) <= 2 * _NEAR[target.metric]
    if near or len({probe.score < target.score for probe in probes}) > 1:
        return Finding(code="quality-found", severity=Severity.ok, message=told)
    why = _why_missed(video, target, best)
    return Finding(code="quality-not-reached", severity=Severity.ok, message=f"{told}; {why}")


def _why_missed(video: VideoEncode, target: Target, best: Probe) -> str:
    wished = say_score(target.metric, target.score)
    if best.score > target.score:
        return f"no setting that is taken is as bad as {wished}"
    if video.max_bit_rate:
        return f"{wished} is not reached within {video.max_bit_rate // 1000} kbit/s"
    return f"{wished} is not reached by any setting that is taken"


def _loss(metric: Metric, score: float) -> float:
    """What a score lacks, as the power of two that grows evenly with the encoder's scale."""
    if metric == "xpsnr":
        return -score / _DB
    whole = 100 if metric == "vmaf" else 1
    return math.log2(max(whole - score, _LEAST_LOSS[metric]))


def _interval(target: Target, scale: Scale, probes: Sequence[Probe]) -> tuple[float, float]:
    """The lowest and the highest quality that may still be better than all that were tried."""
    good = [probe.quality for probe in probes if probe.score >= target.score]
    bad = [probe.quality for probe in probes if probe.score < target.score]
    low = max(good) + scale.step if good else scale.least
    high = min(bad) - scale.step if bad else scale.most
    return low, high


def _interpolate(target: Target, scale: Scale, probes: Sequence[Probe]) -> float:
    """Where the line through the two probes nearest to the target meets it."""
    wanted = _loss(target.metric, target.score)
    points = sorted(
        ((_loss(target.metric, probe.score), probe.quality) for probe in probes),
        key=lambda point: abs(point[0] - wanted),
    )
    loss, quality = points[0]
    slope = 1 / (scale.halves * _SLOWER[target.metric])
    if len(points) > 1 and points[1][1] != quality:
        seen = (points[1][0] - loss) / (points[1][1] - quality)
        slope = max(seen, slope / 4)
    return quality + (wanted - loss) / slope


def _is_flat(target: Target, scale: Scale, probes: Sequence[Probe]) -> bool:
    """Whether spending more changed nothing, as under a ceiling of the bit rate."""
    ordered = sorted(probes, key=lambda probe: probe.quality)
    if len(ordered) < 2 or ordered[0].score >= target.score:
        return False
    gained = ordered[0].score - ordered[1].score
    spent = ordered[1].quality - ordered[0].quality
    return gained < _NEAR[target.metric] and spent >= scale.halves / 2

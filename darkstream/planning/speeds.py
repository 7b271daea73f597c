"""Measured speeds: what is alike, and what is learnt from a job that is done."""

from __future__ import annotations

from statistics import median, quantiles
from typing import Literal

from darkstream.model.media import MediaInfo
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.model.preset import Preset
from darkstream.model.work import Rates, Work, WorkClass
from darkstream.planning.video import usual_speed

LATEST = 15
"""As many measurements are kept: half of them may be anything, and new ones are soon believed."""
START_S = 0.5
"""What every job takes besides its work, seconds."""
_SIZES: tuple[tuple[int, Literal["sd", "hd", "full-hd"]], ...] = (
    (720 * 576, "sd"),
    (1280 * 720, "hd"),
    (1920 * 1088, "full-hd"),
)
_FEW = 4


def work_of(plan: EncodePlan, media: MediaInfo) -> Work | None:
    """What a plan has to do; None where the source does not say how long it is."""
    videos = [one for one in plan.renditions if isinstance(one, VideoEncode)]
    sounds = [track for track in plan.audio if track.encoder is not None]
    seconds = plan.expect.duration or media.duration
    if not videos and not sounds:
        return Work(encoder="copy", codec="copy", amount=media.size_bytes)
    if seconds is None:
        return None
    if not videos:
        track = sounds[0]
        amount = float(seconds) * len(sounds)
        return Work(encoder=track.encoder or "", codec=track.codec, amount=amount)
    largest = max(videos, key=lambda one: one.width * one.height)
    pixels = sum(float(one.width * one.height * (one.frame_rate or one.rate)) for one in videos)
    return Work(
        encoder=largest.encoder,
        speed=largest.speed or "",
        size=_size_of(largest.width * largest.height),
        codec=largest.codec,
        amount=pixels * float(seconds),
    )


def class_of(work: Work) -> WorkClass:
    """The class of some work."""
    return WorkClass(encoder=work.encoder, speed=work.speed, size=work.size)


def name_preset(preset: Preset, pool: str) -> str:
    """What presets are called that take about as long a byte of source: `cpu hevc slow 1x1080`."""
    if preset.video is None:
        return f"{pool} {preset.audio.codec}"
    heights = [rung.height for rung in preset.package.ladder] or [preset.video.max_height]
    size = f"{len(heights)}x{min(max(heights), preset.video.max_height)}"
    return f"{pool} {preset.video.codec} {usual_speed(preset.video) or '-'} {size}"


def rate_of(amount: float, wall_s: float) -> float | None:
    """Units a second of a job that took so long; None where nothing can be learnt from it."""
    if amount <= 0 or wall_s <= 0:
        return None
    return amount / max(wall_s - START_S, wall_s / 2)


def learn(rates: Rates, rate: float) -> Rates:
    """What is known after one more measurement; the oldest one is forgotten."""
    return (*rates, rate)[-LATEST:]


def typical(rates: Rates) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile; raises ValueError without any.

    A median ignores whatever fewer than half of the measurements say. Few of them say little of
    how they vary: until there are four, the range is at least a third to each side.
    """
    middle = median(rates)
    low, _, high = quantiles(rates, n=4, method="inclusive") if len(rates) > 1 else [middle] * 3
    if len(rates) < _FEW:
        return min(low, middle * 2 / 3), middle, max(high, middle * 4 / 3)
    return low, middle, high


def _size_of(pixels: int) -> Literal["sd", "hd", "full-hd", "uhd"]:
    return next((size for most, size in _SIZES if pixels <= most), "uhd")

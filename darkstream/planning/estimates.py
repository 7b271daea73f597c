"""Estimates, honest guesses: how large an output becomes, how long a job takes."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from darkstream.model.media import MediaInfo
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.model.preset import Preset
from darkstream.model.work import Estimate, Rates, Work
from darkstream.planning.speeds import START_S, typical

_BITS_PER_PIXEL = {
    "h264": (0.09, 22),
    "hevc": (0.05, 24),
    "av1": (0.045, 28),
    "vp9": (0.055, 32),
    "vvc": (0.035, 30),
    "prores": (3.5, 0),
    "ffv1": (6.0, 0),
}
"""Bits for one pixel of one picture, at that quality, of ordinary film."""
_HALVES_EVERY = {"h264": 6, "hevc": 6, "av1": 9, "vp9": 9, "vvc": 6}
"""Steps of quality that halve the rate."""
PIXELS_A_SECOND = {
    "h264": 60e6,
    "hevc": 18e6,
    "av1": 25e6,
    "vp9": 12e6,
    "vvc": 4e6,
    "prores": 60e6,
    "ffv1": 60e6,
}
"""Encoded on two cores at the shipped speeds."""
_TYPICAL_BITS_A_PIXEL = 0.1
_CLEAR_BY = ((0.75, 1.03), (0.5, 1.15), (0.25, 1.4), (0.1, 2.0))
"""After that share of a film: how many times too large what is forecast must be."""
_SOUND_BYTES_A_SECOND = 2e6
_SOUND_SECONDS_A_SECOND = 40.0
_COPIED_BYTES_A_SECOND = 50e6
_GUESS = 3.0
"""A guess of the table may be so many times too high or too low."""


def estimate_bytes(plan: EncodePlan, media: MediaInfo) -> int:
    """How large the output probably becomes, bytes; never more than copies of all it holds."""
    seconds = float(plan.expect.duration or media.duration or 0)
    if plan.decision == "remux":
        return media.size_bytes
    video = sum(_video_rate(rendition, media) for rendition in plan.renditions)
    audio = sum(track.bit_rate or 128_000 for track in plan.audio)
    return round((video + audio) * seconds / 8)


def outgrows(size: int, done: float, allowed: int) -> bool:
    """Whether an output of so many bytes, after that share of its duration, becomes too large.

    The rate of a film's parts differs, so that the less is done the clearer it must be.
    """
    for least, margin in _CLEAR_BY:
        if done >= least:
            return size / done > allowed * margin
    return False


def estimate_seconds(
    source_bytes: int, preset: Preset, *, library: Rates = (), like: Rates = ()
) -> Estimate:
    """How long a job takes of which only the size is known, bytes.

    `library` and `like` are bytes a second, as measured in its library and with all presets like
    this one.
    """
    if library:
        return _measured(source_bytes, library, "library")
    if like:
        return _measured(source_bytes, like, "preset")
    if preset.video is None:
        return _guess(source_bytes / _SOUND_BYTES_A_SECOND)
    pixels = source_bytes * 8 / _TYPICAL_BITS_A_PIXEL
    rungs = 2.0 if preset.package.kind == "abr" else 1.0
    return _guess(rungs * pixels / PIXELS_A_SECOND[preset.video.codec])


def estimate_work(work: Work, rates: Rates = ()) -> Estimate:
    """How long planned work takes on a node that was measured to do so much of it a second."""
    if rates:
        return _measured(work.amount, rates, "node")
    if work.encoder == "copy":
        return _guess(work.amount / _COPIED_BYTES_A_SECOND)
    return _guess(work.amount / PIXELS_A_SECOND.get(work.codec, _SOUND_SECONDS_A_SECOND))


def _measured(amount: float, rates: Rates, basis: Literal["node", "library", "preset"]) -> Estimate:
    slow, usual, fast = typical(rates)
    return Estimate(
        seconds=START_S + amount / usual,
        low=START_S + amount / fast,
        high=START_S + amount / slow,
        basis=basis,
    )


def _guess(seconds: float) -> Estimate:
    return Estimate(
        seconds=START_S + seconds,
        low=START_S + seconds / _GUESS,
        high=START_S + seconds * _GUESS,
        basis="table",
    )


def _video_rate(rendition: object, media: MediaInfo) -> float:
    source = _source_rate(media)
    if not isinstance(rendition, VideoEncode):
        return source
    bits, reference = _BITS_PER_PIXEL[rendition.codec]
    quality = reference if rendition.quality is None else rendition.quality
    steps = (reference - quality) / _HALVES_EVERY.get(rendition.codec, 1)
    pixels = rendition.width * rendition.height * min(rendition.rate, Fraction(60))
    rate = float(pixels) * bits * 2**steps
    return min(rate, rendition.max_bit_rate or rate)


def _source_rate(media: MediaInfo) -> float:
    if media.video and media.video[0].bit_rate:
        return float(media.video[0].bit_rate)
    return media.size_bytes * 8 / float(media.duration) if media.duration else 0.0

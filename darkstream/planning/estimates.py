"""Estimates, honest guesses: how large an output becomes, how long a job takes."""

from __future__ import annotations

from fractions import Fraction

from darkstream.model.media import MediaInfo
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.model.preset import Preset

_BITS_PER_PIXEL = {"h264": (0.09, 22), "hevc": (0.05, 24), "av1": (0.045, 28), "vp9": (0.055, 32)}
"""Bits for one pixel of one picture, at that quality, of ordinary film."""
_HALVES_EVERY = {"h264": 6, "hevc": 6, "av1": 9, "vp9": 9}
"""Steps of quality that halve the rate."""
_PIXELS_A_SECOND = {"h264": 60e6, "hevc": 18e6, "av1": 25e6, "vp9": 12e6}
"""Encoded on two cores at the shipped speeds."""
_TYPICAL_BITS_A_PIXEL = 0.1
_START_S = 0.5
_SOUND_BYTES_A_SECOND = 2e6


def estimate_bytes(plan: EncodePlan, media: MediaInfo) -> int:
    """How large the output probably becomes, bytes; never more than copies of all it holds."""
    seconds = float(plan.expect.duration or media.duration or 0)
    if plan.decision == "remux":
        return media.size_bytes
    video = sum(_video_rate(rendition, media) for rendition in plan.renditions)
    audio = sum(track.bit_rate or 128_000 for track in plan.audio)
    return round((video + audio) * seconds / 8)


def estimate_seconds(source_bytes: int, preset: Preset) -> float:
    """Wall seconds of a job from its size alone: enough to make even batches."""
    if preset.video is None:
        return _START_S + source_bytes / _SOUND_BYTES_A_SECOND
    pixels = source_bytes * 8 / _TYPICAL_BITS_A_PIXEL
    rungs = 2.0 if preset.package.kind == "abr" else 1.0
    return _START_S + rungs * pixels / _PIXELS_A_SECOND[preset.video.codec]


def _video_rate(rendition: object, media: MediaInfo) -> float:
    source = _source_rate(media)
    if not isinstance(rendition, VideoEncode):
        return source
    bits, reference = _BITS_PER_PIXEL[rendition.codec]
    steps = (reference - rendition.quality) / _HALVES_EVERY[rendition.codec]
    pixels = rendition.width * rendition.height * min(rendition.rate, Fraction(60))
    rate = float(pixels) * bits * 2**steps
    return min(rate, rendition.max_bit_rate or rate)


def _source_rate(media: MediaInfo) -> float:
    if media.video and media.video[0].bit_rate:
        return float(media.video[0].bit_rate)
    return media.size_bytes * 8 / float(media.duration) if media.duration else 0.0

"""What an output holds, held against what its plan promised."""

from __future__ import annotations

import os
from fractions import Fraction

from darkstream.errors import SourceError, SourceRejected, VerificationFailed
from darkstream.media.damage import LEAST_SHARE
from darkstream.media.probe import Prober
from darkstream.media.tracks import Track
from darkstream.model.base import Frozen
from darkstream.model.encoded import Encoded
from darkstream.model.media import Finding, Severity, VideoStream
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning.picture import display_size, make_square

_LEAST_TOLERANCE = Fraction(1, 20)
_RELATIVE_TOLERANCE = Fraction(1, 200)
_WORTH_TELLING = Fraction(1)
"""Seconds: containers without exact tables say their duration only so precisely."""


class Measured(Frozen):
    """What an output holds; `pictures` are the sizes as shown, `duration` in seconds."""

    duration: Fraction | None
    pictures: tuple[tuple[int, int], ...]
    audio: int
    subtitles: int


def measure_file(encoded: Encoded, prober: Prober) -> Measured:
    """Look into a file. Raises VerificationFailed where that is not possible."""
    try:
        media = prober.probe(os.path.join(encoded.directory, encoded.main))
    except SourceError as error:
        raise VerificationFailed(f"the output cannot be read: {error}") from error
    video = media.video[0].duration if media.video else None
    return Measured(
        duration=video or media.duration,
        pictures=tuple(_shown(stream) for stream in media.video),
        audio=len(media.audio),
        subtitles=len(media.subtitles),
    )


def measure_tracks(tracks: tuple[Track, ...]) -> Measured:
    """Add up the tracks of a presentation."""
    video = [track for track in tracks if track.kind == "video"]
    return Measured(
        duration=video[0].duration,
        pictures=tuple((track.width or 0, track.height or 0) for track in video),
        audio=sum(track.kind == "audio" for track in tracks),
        subtitles=sum(track.kind == "text" for track in tracks),
    )


def check_streams(plan: EncodePlan, encoded: Encoded, measured: Measured) -> None:
    """Raise VerificationFailed where streams are missing, or pictures stand another way.

    A muxer may leave out a track that the source announces and has no packet of.
    """
    wanted = plan.expect
    empty = {stream.index for stream in encoded.source if not stream.packets}
    least = wanted.audio_streams - sum(track.source_index in empty for track in plan.audio)
    enough = least <= measured.audio <= wanted.audio_streams
    audio = wanted.audio_streams if enough else measured.audio
    for kind, want, got in (
        ("video", wanted.video_streams, len(measured.pictures)),
        ("audio", wanted.audio_streams, audio),
        ("subtitle", wanted.subtitle_streams, measured.subtitles),
    ):
        if want != got:
            raise VerificationFailed(f"the output holds {got} {kind} streams instead of {want}")
    for rendition, size in zip(plan.renditions, measured.pictures, strict=True):
        if not isinstance(rendition, VideoEncode):
            continue
        width, height = map(round, make_square(rendition.width, rendition.height, rendition.sar))
        if size != (width, height):
            raise VerificationFailed(
                f"the output shows {size[0]}x{size[1]} instead of {width}x{height}"
            )


def check_duration(plan: EncodePlan, encoded: Encoded, measured: Measured) -> tuple[Finding, ...]:
    """What is to be said of a duration that differs from the source's.

    Raises VerificationFailed where the source told its duration exactly and nothing of it is
    missing, and SourceRejected where most of a damaged source is.
    """
    wanted, got = plan.expect.duration, measured.duration
    if wanted is None or got is None or abs(got - wanted) <= _tolerance(plan, wanted):
        return ()
    told = f"the output lasts {float(got):.2f} s, the source says {float(wanted):.2f} s"
    damaged = any(f.severity is Severity.repairable for f in plan.findings + encoded.findings)
    if damaged and plan.expect.frames is None and got < wanted * LEAST_SHARE:
        raise SourceRejected(
            f"it is damaged: only {float(got):.2f} of its {float(wanted):.2f} s could be read"
        )
    complete = bool(encoded.frames) and encoded.frames[0] == plan.expect.frames
    if complete and not damaged:
        raise VerificationFailed(told)
    if not damaged and abs(got - wanted) <= max(_WORTH_TELLING, wanted / 10):
        return ()
    severity = Severity.repairable if damaged else Severity.ok
    return (Finding(code="duration-differs", severity=severity, message=told),)


def _shown(stream: VideoStream) -> tuple[int, int]:
    """The size as a player would show it: pixels made square, turned as the file says."""
    width, height = display_size(stream)
    return round(width), round(height)


def _tolerance(plan: EncodePlan, duration: Fraction) -> Fraction:
    rates = [video.rate for video in plan.renditions if isinstance(video, VideoEncode)]
    picture = 1 / rates[0] if rates else Fraction(0)
    return max(_LEAST_TOLERANCE, picture, duration * _RELATIVE_TOLERANCE)

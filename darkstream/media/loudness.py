"""Loudness: measured before an encode for one gain, and after it for the truth (EBU R 128)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite

from darkstream.media.command.loudness import METER, Listened, loudness_command
from darkstream.media.command.sound import gain_filters, mix_filters
from darkstream.media.decoding import Decoder
from darkstream.media.process import FfmpegProgress, run
from darkstream.model.encoded import Gain
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import AudioTrack, EncodePlan, Loudness

TOLERANCE_LU = 0.5
SILENCE_LUFS = -69.0
"""What a meter says of silence is its own floor (-70 LUFS): no gain makes anything of it."""
_MOST_GAIN_DB = 40.0
_TRIES = 3
_SUMMARY = re.compile(rf"{METER}(?P<number>\d+) @ .*Summary:")
_VALUE = re.compile(r"^\s*(?P<name>I|Peak):\s+(?P<value>\S+) (?:LUFS|dBFS)")
"""ffmpeg writes a summary in pieces: what another thread of it says may stand behind a value."""


@dataclass(frozen=True)
class Measured:
    """Integrated loudness, LUFS, and the highest true peak, dBTP."""

    integrated: float
    true_peak: float


@dataclass
class _Meter:
    """Reads the summaries out of ffmpeg's lines."""

    found: dict[int, dict[str, float]] = field(default_factory=dict)
    _current: dict[str, float] = field(default_factory=dict)

    def note(self, line: str) -> None:
        """Take one line of stderr."""
        if summary := _SUMMARY.search(line):
            self._current = self.found.setdefault(int(summary["number"]), {})
        elif value := _VALUE.match(line):
            self._current[value["name"]] = float(value["value"])


def find_gains(plan: EncodePlan, source: bytes, decoder: Decoder) -> tuple[Gain | None, ...]:
    """The gain of each audio track of a plan; None: it has none, or is silent.

    Reads the source once, and again where peaks must be limited: that takes loudness away, which
    the gain makes up for. Raises ProcessFailed, ProcessTimeout, and what the token was given.
    """
    wished = {n: track for n, track in enumerate(plan.audio) if track.loudness is not None}
    gains: dict[int, Gain] = {}
    asked = dict.fromkeys(wished, None)
    for _ in range(_TRIES):
        if not asked:
            break
        heard = listen(
            [_behind(plan.audio[n], gains.get(n)) for n in asked],
            [source],
            decoder,
            formats=",".join(plan.source_formats),
            source_bytes=plan.source_bytes,
        )
        again: dict[int, None] = {}
        for number, measured in zip(asked, heard, strict=True):
            wish = plan.audio[number].loudness
            if wish is None or measured is None or measured.integrated < SILENCE_LUFS:
                continue
            gains[number] = _next_gain(gains.get(number), measured, wish)
            if gains[number].limited and abs(measured.integrated - wish.target) > TOLERANCE_LU / 5:
                again[number] = None
        asked = again
    return tuple(gains.get(n) for n in range(len(plan.audio))) if wished else ()


def hear(
    tracks: Sequence[Listened], sources: Sequence[bytes], decoder: Decoder, *, formats: str
) -> tuple[float | None, ...]:
    """LUFS of tracks as they are; None: silent. Raises as `find_gains`."""
    heard = listen(tracks, sources, decoder, formats=formats, source_bytes=None)
    return tuple(
        None if one is None or one.integrated < SILENCE_LUFS else one.integrated for one in heard
    )


def tell_loudness(plan: EncodePlan, heard: Sequence[float | None]) -> Iterator[Finding]:
    """A finding for each track that is not as loud as wished."""
    for number, (track, loud) in enumerate(zip(plan.audio, heard, strict=True)):
        if track.loudness is None:
            continue
        if loud is None:
            yield _finding(number, "is silent: its loudness stays as it is")
        elif abs(loud - track.loudness.target) > TOLERANCE_LU:
            yield _finding(number, f"is at {loud:.1f} LUFS instead of {track.loudness.target:.1f}")


def _behind(track: AudioTrack, gain: Gain | None) -> Listened:
    """A track of the source behind its mix, and behind the gain that was tried."""
    filters = (*mix_filters(track), *gain_filters(track, gain))
    return Listened(0, str(track.source_index), filters)


def _next_gain(former: Gain | None, measured: Measured, wish: Loudness) -> Gain:
    missing = wish.target - measured.integrated
    if former is not None:
        return former.model_copy(update={"gain_db": round(former.gain_db + missing, 2)})
    gain = max(-_MOST_GAIN_DB, min(_MOST_GAIN_DB, missing))
    peak = measured.true_peak if isfinite(measured.true_peak) else 0.0
    return Gain(
        integrated=measured.integrated,
        true_peak=peak,
        gain_db=round(gain, 2),
        limited=peak + gain > wish.true_peak,
    )


def listen(
    tracks: Sequence[Listened],
    sources: Sequence[bytes],
    decoder: Decoder,
    *,
    formats: str,
    source_bytes: int | None,
) -> list[Measured | None]:
    """Loudness of tracks behind their filters, in one pass; None: nothing of one was decoded.

    Raises as `find_gains`.
    """
    argv = loudness_command(
        tracks,
        sources,
        program=os.fsencode(decoder.capabilities.ffmpeg),
        formats=formats,
        max_pixels=decoder.max_pixels,
        source_bytes=source_bytes,
    )
    meter = _Meter()
    reads = sorted({os.path.dirname(s) if len(sources) > 1 else s for s in sources})
    run(
        decoder.sandbox.wrap(argv, read=reads),
        limits=decoder.limits,
        cancel=decoder.cancel,
        on_progress=_ignore,
        on_stderr_line=meter.note,
    )
    return [_measured(meter.found.get(n)) for n in range(len(tracks))]


def _measured(found: dict[str, float] | None) -> Measured | None:
    if found is None or not {"I", "Peak"} <= found.keys():
        return None
    return Measured(found["I"], found["Peak"])


def _finding(number: int, told: str) -> Finding:
    return Finding(
        code=f"loudness-{number}", severity=Severity.ok, message=f"audio track {number + 1} {told}"
    )


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

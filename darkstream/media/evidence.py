"""What speaks for a result: how alike its pictures are to the original's, and a clip of both."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypedDict

from darkstream.errors import ProcessFailed
from darkstream.media.command.compare import Pair, clip_command, quality_command
from darkstream.media.decoding import Decoder
from darkstream.media.process import FfmpegProgress, run
from darkstream.media.verify import demuxers_of
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.model.preset import Metric
from darkstream.model.replacement import Evidence

_PLACES = 5
_SECONDS = Fraction(2)
"""Looked at of each place: what a film costs does not depend on how long it is."""
_CLIP_SECONDS = Fraction(4)
_DB = r"([0-9]+(?:\.[0-9]+)?|inf)"
_SCORES: dict[Metric, re.Pattern[str]] = {
    "vmaf": re.compile(r"VMAF score: ([0-9.]+)"),
    "xpsnr": re.compile(rf"XPSNR .*?\by: {_DB}.*?\bu: {_DB}.*?\bv: {_DB}", re.DOTALL),
    "ssim": re.compile(r"SSIM .*?\bAll:([0-9]+(?:\.[0-9]+)?)", re.DOTALL),
}
_BEGINS = {"vmaf": "VMAF score", "xpsnr": "XPSNR ", "ssim": "SSIM "}
_SAME_DB = 100.0
"""What pictures that are the same are given for an infinite ratio."""


def gather(
    plan: EncodePlan, source: bytes, result: bytes, clip: bytes, decoder: Decoder
) -> Evidence:
    """Compare at places all over the film; a clip of the worst of them is written to `clip`.

    What could not be compared is in the note. Raises what the token was given.
    """
    video = plan.renditions[0] if plan.renditions else None
    if not isinstance(video, VideoEncode):
        kept = "its pictures were copied as they are" if video else "it has no pictures"
        return Evidence(note=f"nothing to compare: {kept}")
    pair = Pair(plan, video, source, result, demuxers_of(plan))
    evidence = _measure(pair, decoder)
    encoder = decoder.capabilities.encoder("h264")
    if encoder is None:
        return _noted(evidence, "no clip: this machine's ffmpeg has no encoder for H.264")
    latest = max(Fraction(0), _duration(pair) - _CLIP_SECONDS)
    middle = Fraction(1) if evidence.least_at is None else Fraction(evidence.least_at)
    start = min(max(Fraction(0), middle - 1), latest)
    argv = clip_command(pair, start, _CLIP_SECONDS, encoder.name, clip, **_tools(decoder))
    try:
        _run(argv, decoder, pair, writes=[os.path.dirname(clip)])
    except ProcessFailed as error:
        return _noted(evidence, f"no clip: {_first_line(error)}")
    return evidence.model_copy(update={"clip": True})


def _measure(pair: Pair, decoder: Decoder) -> Evidence:
    if pair.plan.burn or pair.plan.overlay:
        return Evidence(note="no figure: something was drawn into the pictures")
    metric: Metric = "vmaf" if "libvmaf" in decoder.capabilities.filters else "ssim"
    try:
        scores = score_places(pair, metric, _places(_duration(pair)), _SECONDS, decoder)
    except ProcessFailed as error:
        return Evidence(note=f"no figure: {_first_line(error)}")
    if not scores:
        return Evidence(note="no figure: no pictures of the two could be paired")
    least, place = min(scores)
    mean = statistics.fmean(score for score, _ in scores)
    return Evidence(metric=metric, mean=mean, least=least, least_at=float(place))


def score_places(
    pair: Pair, metric: Metric, places: Sequence[Fraction], seconds: Fraction, decoder: Decoder
) -> list[tuple[float, Fraction]]:
    """The score of each place (seconds) where pictures of the two could be paired.

    Raises ProcessFailed, ProcessTimeout, and what the decoder's token was given.
    """
    scores: list[tuple[float, Fraction]] = []
    for place in places:
        found: list[float] = []
        reader = ScoreReader(metric)

        def note(line: str, found: list[float] = found, reader: ScoreReader = reader) -> None:
            if (score := reader.hear(line)) is not None:
                found.append(score)

        argv = quality_command(pair, metric, place, seconds, **_tools(decoder))
        _run(argv, decoder, pair, note=note)
        if found:
            scores.append((found[-1], place))
    return scores


class ScoreReader:
    """Reads scores from the lines that ffmpeg tells.

    Its filters write a score in pieces, between which other threads of it may write.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._told = ""

    def hear(self, line: str) -> float | None:
        """The score that a line completes; of XPSNR the planes' mean, weighted 6:1:1."""
        if not self._told and _BEGINS[self._metric] not in line:
            return None
        self._told += f"{line}\n"
        found = _SCORES[self._metric].search(self._told)
        if found is None:
            return None
        self._told = ""
        planes = [_SAME_DB if value == "inf" else float(value) for value in found.groups()]
        return planes[0] if len(planes) == 1 else (6 * planes[0] + planes[1] + planes[2]) / 8


def _noted(evidence: Evidence, note: str) -> Evidence:
    notes = "; ".join(one for one in (evidence.note, note) if one)
    return evidence.model_copy(update={"note": notes})


def _duration(pair: Pair) -> Fraction:
    return pair.plan.expect.duration or _SECONDS


def _places(duration: Fraction) -> list[Fraction]:
    """Where to look, seconds: a short film at its beginning."""
    if duration < 2 * _PLACES * _SECONDS:
        return [Fraction(0)]
    share = duration / (_PLACES + 1)
    return [share * number for number in range(1, _PLACES + 1)]


def _first_line(error: Exception) -> str:
    """Of an error, which may have many."""
    return str(error).splitlines()[0]


class _Tools(TypedDict):
    program: bytes
    max_pixels: int


def _tools(decoder: Decoder) -> _Tools:
    program = os.fsencode(decoder.capabilities.ffmpeg)
    return {"program": program, "max_pixels": decoder.max_pixels}


def _run(
    argv: tuple[bytes, ...],
    decoder: Decoder,
    pair: Pair,
    *,
    writes: Sequence[bytes] = (),
    note: Callable[[str], None] | None = None,
) -> None:
    run(
        decoder.sandbox.wrap(argv, read=[pair.source, pair.result], write=writes),
        limits=decoder.limits,
        cancel=decoder.cancel,
        on_progress=_ignore,
        on_stderr_line=note,
    )


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

"""Quality as measured: settings that reach a target are found on samples, results are scored."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from darkstream.errors import VerificationFailed
from darkstream.media.command.compare import Pair
from darkstream.media.command.excerpt import Made, excerpt_command, score_command
from darkstream.media.decoding import Decoder
from darkstream.media.devices import device_files
from darkstream.media.evidence import ScoreReader, score_places
from darkstream.media.process import FfmpegProgress, run
from darkstream.media.tally import Tally
from darkstream.media.tracks import read_tracks
from darkstream.media.verify import demuxers_of
from darkstream.model.encoded import Encoded, Score
from darkstream.model.job import Hint
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import AbrPackage, EncodePlan, Probe, VideoEncode
from darkstream.planning.hull import Point, drop_rungs
from darkstream.planning.quality import (
    Excerpt,
    choose_excerpts,
    is_sought,
    next_quality,
    recall_quality,
    scale_of,
    settle,
)
from darkstream.planning.targets import is_drawn, judge_score

OnProgress = Callable[[FfmpegProgress], None]
_BYTES = re.compile(r"Output stream #\d+:(\d+) \(video\): .* packets muxed \((\d+) bytes\)")
_SAMPLE, _FORMATS = b"sample.mp4", "mov,mp4,m4a,3gp,3g2,mj2"
_WHOLE_S = 90
"""Results up to so long are scored whole, others at places: what it costs stays bounded."""
_PLACES, _SECONDS = 24, Fraction(3)


@dataclass(frozen=True)
class _Scored:
    """What one sample gave of one rendition."""

    pictures: int
    size: int
    score: float


def search(
    plan: EncodePlan,
    source: bytes,
    directory: bytes,
    decoder: Decoder,
    *,
    hints: Sequence[Hint] = (),
    on_progress: OnProgress | None = None,
) -> EncodePlan:
    """The plan with the qualities that reach its targets, found on samples of the source.

    Of a ladder it is without the rungs that then add nothing. `hints` say where to begin.

    Samples are written to `directory` (absolute, existing), one at a time. Raises
    VerificationFailed where no sample could be measured, ProcessFailed, ProcessTimeout, and what
    the decoder's token was given.
    """
    bench = _Bench(plan, source, os.path.join(directory, _SAMPLE), decoder, on_progress)
    found: dict[int, tuple[Probe, ...]] = {
        number: () for number, video in enumerate(plan.renditions) if is_sought(video)
    }
    while wanted := _next(plan, found, hints):
        for number, probe in bench.try_qualities(wanted).items():
            found[number] += (probe,)
    settled = settle(plan, found)
    if len(found) < 2:
        return settled
    seen = bench.try_qualities(
        {number: _quality_of(settled, number) for number in found}, enlarged=True
    )
    points = {number: Point(probe.bit_rate, probe.score) for number, probe in seen.items()}
    return drop_rungs(settled, points)


def score_output(
    plan: EncodePlan,
    source: bytes,
    encoded: Encoded,
    decoder: Decoder,
    *,
    on_progress: OnProgress | None = None,
) -> tuple[tuple[Score, ...], tuple[Finding, ...]]:
    """How good the renditions that have a target became, and findings on those that missed it.

    Raises ProcessTimeout, and what the decoder's token was given.
    """
    bench = _Bench(plan, source, b"", decoder, on_progress)
    wished = [
        (number, video)
        for number, video in enumerate(plan.renditions)
        if isinstance(video, VideoEncode) and video.target is not None
    ]
    if wished and is_drawn(plan):
        return (), (_not_measured("something is drawn into its pictures"),)
    scores: list[Score] = []
    findings: list[Finding] = []
    for number, video in wished:
        score = bench.score_result(number, video, encoded)
        if score is None:
            findings.append(_not_measured(f"the pictures of {video.name} could not be paired"))
            continue
        scores.append(score)
        findings.append(judge_score(score))
    return tuple(scores), tuple(findings)


@dataclass(frozen=True)
class _Bench:
    """Where renditions of one source are held against it."""

    plan: EncodePlan
    source: bytes
    sample: bytes
    decoder: Decoder
    on_progress: OnProgress | None

    def try_qualities(
        self, qualities: Mapping[int, int | float], *, enlarged: bool = False
    ) -> dict[int, Probe]:
        """What these qualities of renditions, by their numbers, give on all samples.

        `enlarged`: seen at the size of the largest.
        """
        video = _encode_of(self.plan, min(qualities))
        seen: dict[int, list[_Scored]] = {number: [] for number in qualities}
        try:
            for excerpt in choose_excerpts(self.plan, video.rate):
                for number, scored in self._try(excerpt, qualities, enlarged).items():
                    seen[number].append(scored)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self.sample)
        return {
            number: _probe(_encode_of(self.plan, number), qualities[number], seen[number])
            for number in qualities
        }

    def score_result(self, number: int, video: VideoEncode, encoded: Encoded) -> Score | None:
        """How good a rendition became; None where its pictures cannot be paired with the source's.

        A long one is looked at in places spread all over it.
        """
        if video.target is None:
            raise ValueError(f"{video.name} has no target")
        path, metric = self._file_of(number, encoded), video.target.metric
        pictures, formats = encoded.frames[number], demuxers_of(self.plan)
        whole = pictures <= _WHOLE_S * video.rate
        if whole:
            found = self._score(
                Excerpt(Fraction(0), None), number, Made(path, formats, 0), pictures
            )
        else:
            pair = Pair(self.plan, video, self.source, path, formats)
            last = pictures / video.rate - _SECONDS
            places = [last * place / (_PLACES - 1) for place in range(_PLACES)]
            scores = score_places(pair, metric, places, _SECONDS, self.decoder)
            found = statistics.fmean(score for score, _ in scores) if scores else None
        if found is None:
            return None
        return Score(
            rendition=video.name,
            metric=metric,
            score=round(found, 4),
            target=video.target.score,
            whole=whole,
        )

    def _file_of(self, number: int, encoded: Encoded) -> bytes:
        if not isinstance(self.plan.package, AbrPackage):
            return os.path.join(encoded.directory, encoded.main)
        video = [track for track in read_tracks(encoded.directory) if track.kind == "video"]
        return os.path.join(encoded.directory, video[number].playlist.encode())

    def _try(
        self, excerpt: Excerpt, qualities: Mapping[int, int | float], enlarged: bool
    ) -> dict[int, _Scored]:
        """One sample; of renditions that have no pictures there, nothing."""
        argv = excerpt_command(
            self.plan,
            excerpt,
            qualities,
            program=os.fsencode(self.decoder.capabilities.ffmpeg),
            source=self.source,
            output=self.sample,
            max_pixels=self.decoder.max_pixels,
            threads=self.decoder.threads,
        )
        sizes: dict[int, int] = {}

        def note(line: str) -> None:
            if told := _BYTES.search(line):
                sizes[int(told[1])] = int(told[2])

        tally = self._run(argv, [], note)
        pictures = {stream.index: stream.frames for stream in tally.outputs}
        scored: dict[int, _Scored] = {}
        for place, number in enumerate(sorted(qualities)):
            count = pictures.get(place, 0)
            made = Made(self.sample, _FORMATS, place, enlarged)
            score = self._score(excerpt, number, made, count) if count else None
            if score is not None:
                scored[number] = _Scored(count, sizes.get(place, 0), score)
        return scored

    def _score(self, excerpt: Excerpt, number: int, made: Made, pictures: int) -> float | None:
        """The score of so many pictures; None where there are not as many on both sides."""
        argv = score_command(
            self.plan,
            excerpt,
            number,
            program=os.fsencode(self.decoder.capabilities.ffmpeg),
            source=self.source,
            made=made,
            max_pixels=self.decoder.max_pixels,
        )
        target = _encode_of(self.plan, number).target
        scores: list[float] = []
        reader = None if target is None else ScoreReader(target.metric)

        def note(line: str) -> None:
            if reader is not None and (score := reader.hear(line)) is not None:
                scores.append(score)

        tally = self._run(argv, [os.path.dirname(made.path)], note)
        counts = {stream.index: stream.frames for stream in tally.outputs}
        if {counts.get(0, 0), counts.get(1, 0)} != {pictures} or not scores:
            return None
        return scores[-1]

    def _run(
        self, argv: Sequence[bytes], reads: Sequence[bytes], note: Callable[[str], None]
    ) -> Tally:
        tally = Tally()

        def hear(line: str) -> None:
            tally.note(line)
            note(line)

        hardware = any(isinstance(v, VideoEncode) and v.hardware for v in self.plan.renditions)
        writes = [os.path.dirname(self.sample)] if not reads else []
        run(
            self.decoder.sandbox.wrap(
                argv,
                read=[self.source, *reads],
                write=writes,
                devices=device_files() if hardware else [],
            ),
            limits=self.decoder.limits,
            cancel=self.decoder.cancel,
            on_progress=self.on_progress or _ignore,
            on_stderr_line=hear,
        )
        return tally


def _next(
    plan: EncodePlan, found: Mapping[int, tuple[Probe, ...]], hints: Sequence[Hint]
) -> dict[int, int | float]:
    """What to try next of the renditions that are not found yet."""
    wanted = {}
    for number, probes in found.items():
        video = _encode_of(plan, number)
        if video.target is not None:
            guess = recall_quality(video, hints)
            wanted[number] = next_quality(video.target, scale_of(video), probes, guess)
    return {number: quality for number, quality in wanted.items() if quality is not None}


def _probe(video: VideoEncode, quality: int | float, seen: Sequence[_Scored]) -> Probe:
    pictures = sum(scored.pictures for scored in seen)
    if not pictures:
        raise VerificationFailed(
            f"no sample of it could be measured, so that no quality was found for {video.name}:"
            " a preset with a number for video.quality needs none"
        )
    score = sum(scored.score * scored.pictures for scored in seen) / pictures
    rate = sum(scored.size for scored in seen) * 8 * video.rate / pictures
    return Probe(quality=quality, score=round(score, 4), bit_rate=round(rate))


def _quality_of(plan: EncodePlan, number: int) -> int | float:
    quality = _encode_of(plan, number).quality
    if quality is None:
        raise ValueError("its quality was not found")
    return quality


def _encode_of(plan: EncodePlan, number: int) -> VideoEncode:
    video = plan.renditions[number]
    if not isinstance(video, VideoEncode):
        raise ValueError(f"{video.name} is copied, not encoded")  # noqa: TRY004 - of a plan
    return video


def _not_measured(why: str) -> Finding:
    told = f"the quality of the result was not measured: {why}"
    return Finding(code="quality-not-measured", severity=Severity.ok, message=told)


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

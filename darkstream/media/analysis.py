"""Measuring what headers do not say, or not truly: bars, fields, loudness."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from darkstream.media.command.loudness import Listened
from darkstream.media.command.sample import Place, sample_command
from darkstream.media.decoding import Decoder
from darkstream.media.loudness import SILENCE_LUFS, Measured, listen
from darkstream.media.process import FfmpegProgress, run
from darkstream.model.analysis import Interlacing, Loudness, Picture
from darkstream.model.media import Crop, MediaInfo, VideoStream
from darkstream.planning.encoders import crops_by_container
from darkstream.planning.video import main_video

_PLACES = 10
_SECONDS_A_PLACE = 4
_FRAMES = 48
_SHORT = Fraction(60)
"""Seconds up to which places are sought exactly: else several might begin at one key frame."""
_LEAST_CUT = 4
"""Pixels by which a side must become shorter: less is the soft edge of a picture, not a bar."""
_LEAST_AREA = Fraction(1, 4)
"""Share of the picture that was once bright: below that a film is dark, not barred."""
_FEW = Fraction(1, 10)
"""Share of pictures that may contradict the rest, as still and noisy ones do."""
_EDGES = re.compile(r"cropdetect.*? x1:(-?\d+) x2:(-?\d+) y1:(-?\d+) y2:(-?\d+) .* t:(\S+) ")
_SIZE = re.compile(r"Video: wrapped_avframe, .*?, (\d+)x(\d+)")
_FIELDS = re.compile(
    r"Multi frame detection: TFF:\s*(\d+) BFF:\s*(\d+) Progressive:\s*(\d+) Undetermined:"
)

Size = tuple[int, int]
Edges = tuple[int, int, int, int]
"""First and last column, first and last row that hold something."""


@dataclass
class Sighting:
    """What one place showed; `note` takes ffmpeg's lines."""

    size: Size | None = None
    """Of the decoded pictures."""
    edges: Edges | None = None
    begin: float | None = None
    """Seconds from the place to the first picture; None: there was none."""
    tff: int = 0
    bff: int = 0
    progressive: int = 0

    def note(self, line: str) -> None:
        """Take one line of stderr."""
        if found := _EDGES.search(line):
            left, right, top, bottom = map(int, found.groups()[:4])
            self.begin = float(found[5]) if self.begin is None else self.begin
            if left <= right and top <= bottom:  # the filter only ever widens them
                self.edges = left, right, top, bottom
        elif found := _SIZE.search(line):
            self.size = int(found[1]), int(found[2])
        elif found := _FIELDS.search(line):
            self.tff, self.bff, self.progressive = map(int, found.groups())


def measure_picture(media: MediaInfo, source: bytes, decoder: Decoder) -> Picture:
    """Look at up to ten places of the main video, for bars and fields.

    A place that cannot be decoded tells nothing. Raises ProcessTimeout, ProcessKilled, and what
    the token was given.
    """
    video = main_video(media)
    if video is None:
        return Picture()
    places = _places(media, video)
    seen: dict[int, Sighting] = {}
    for place in places:
        sighting = _look(media, source, place, decoder)
        if sighting.begin is not None:  # by its first picture: what is seen twice counts once
            seen.setdefault(round((float(place.start) + sighting.begin) * 1000), sighting)
    sightings = list(seen.values())
    enough = len(sightings) > 1 or len(places) == 1
    return Picture(
        crop=find_crop(sightings) if enough else None,
        interlacing=find_interlacing(sightings),
        places=len(sightings),
    )


def measure_loudness(media: MediaInfo, source: bytes, decoder: Decoder) -> tuple[Loudness, ...]:
    """Loudness of every track that decodes, in one pass. Raises as `media.loudness.find_gains`."""
    tracks = [stream for stream in media.audio if stream.decoded]
    if not tracks:
        return ()
    heard = listen(
        [Listened(0, str(stream.index)) for stream in tracks],
        [source],
        decoder,
        formats=",".join(media.formats),
        source_bytes=media.content_bytes,
    )
    return tuple(_loudness(stream.index, one) for stream, one in zip(tracks, heard, strict=True))


def find_crop(sightings: Sequence[Sighting]) -> Crop | None:
    """All that is picture anywhere, at even pixels; None where there is nothing to cut."""
    seen = [(one.size, one.edges) for one in sightings if one.size and one.edges]
    if not seen or len({size for size, _ in seen}) > 1:
        return None
    (width, height), edges = seen[0][0], [edges for _, edges in seen]
    left, right = min(edge[0] for edge in edges), max(edge[1] for edge in edges) + 1
    top, bottom = min(edge[2] for edge in edges), max(edge[3] for edge in edges) + 1
    x, columns = _even_span(left, right, width)
    y, rows = _even_span(top, bottom, height)
    if (columns, rows) == (width, height) or columns * rows < width * height * _LEAST_AREA:
        return None
    return Crop(width=columns, height=rows, x=x, y=y)


def find_interlacing(sightings: Sequence[Sighting]) -> Interlacing:
    """What most pictures of all places say."""
    tff, bff = sum(one.tff for one in sightings), sum(one.bff for one in sightings)
    progressive = sum(one.progressive for one in sightings)
    counts = {"progressive": progressive, "tff": tff, "bff": bff}
    total = sum(counts.values())
    if not total:
        return Interlacing()
    usual = max(counts, key=lambda name: counts[name])
    scan = usual if total - counts[usual] <= total * _FEW else "mixed"
    return Interlacing.model_validate({"scan": scan, **counts})


def _places(media: MediaInfo, video: VideoStream) -> list[Place]:
    """The middles of equal parts, each of some seconds at least."""
    duration = video.duration or media.duration or Fraction(0)
    count = max(1, min(_PLACES, int(duration / _SECONDS_A_PLACE)))
    middles = [duration * (2 * number + 1) / (2 * count) for number in range(count)]
    exact = duration <= _SHORT
    return [Place(video.index, middle, _FRAMES, exact) for middle in middles]


def _look(media: MediaInfo, source: bytes, place: Place, decoder: Decoder) -> Sighting:
    sighting = Sighting()
    argv = sample_command(
        source,
        place,
        program=os.fsencode(decoder.capabilities.ffmpeg),
        formats=",".join(media.formats),
        max_pixels=decoder.max_pixels,
        source_bytes=media.content_bytes,
        whole_raster=crops_by_container(decoder.capabilities),
    )
    run(
        decoder.sandbox.wrap(argv, read=[source]),
        limits=decoder.limits,
        cancel=decoder.cancel,
        on_progress=_ignore,
        on_stderr_line=sighting.note,
        check=False,
    )
    return sighting


def _loudness(index: int, heard: Measured | None) -> Loudness:
    if heard is None or heard.integrated < SILENCE_LUFS:
        return Loudness(index=index)
    return Loudness(index=index, integrated=heard.integrated, true_peak=heard.true_peak)


def _even_span(start: int, end: int, length: int) -> tuple[int, int]:
    """Where a span starts and how long it is, widened to even pixels; all of it if near that."""
    start -= start % 2
    size = min(length, end + end % 2) - start
    return (0, length) if length - size < _LEAST_CUT or size % 2 else (start, size)


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

"""What goes beside an output: text tracks as files, and pictures of the film."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import TypedDict
from urllib.parse import quote

from darkstream.errors import VerificationFailed
from darkstream.media.command.pictures import (
    Shown,
    judge_command,
    poster_command,
    preview_command,
    small_command,
)
from darkstream.media.decoding import Decoder
from darkstream.media.process import FfmpegProgress, run
from darkstream.media.texts import take_texts
from darkstream.media.tracks import read_tracks
from darkstream.media.verify import demuxers_of
from darkstream.model.encoded import Encoded, MadeCompanion
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import (
    AbrPackage,
    EncodePlan,
    Poster,
    Preview,
    Sidecar,
    Sprites,
    Thumbnails,
)

_LOOKED_AT = 60
_CREDITS = Fraction(1, 20), Fraction(9, 10)
"""Titles before, and credits behind, make no poster."""
_DARK, _BRIGHT, _FLAT = 32, 224, 24
"""Mean luma, and the distance of its 10th and 90th percentile, of pictures that show nothing."""
_SHORT = 120
"""Seconds up to which every picture is looked at: few of them are key frames."""
_MIDDLE, _VIVID = 110, 60
"""Luma of a balanced picture, and the mean saturation of a colourful one."""
_PREVIEW_PLACES = 5
_PREVIEW_SECONDS = Fraction(4, 5)


@dataclass(frozen=True)
class Look:
    """One output to make pictures of: large ones of `best`, small ones of `least`."""

    best: Shown
    least: Shown
    duration: Fraction


@dataclass
class _Stills:
    """Reads ffmpeg's metadata lines: of each frame its time and measures."""

    frames: list[dict[str, float]] = field(default_factory=list)

    def note(self, line: str) -> None:
        """Take one line of stderr."""
        if found := re.search(r"frame:\d+\s+pts:\S+\s+pts_time:(\S+)", line):
            self.frames.append({"time": float(found[1])})
        elif self.frames and (found := re.search(r"lavfi\.(?:signalstats\.)?(\w+)=(\S+)$", line)):
            self.frames[-1][found[1]] = float(found[2])


def look_at(plan: EncodePlan, encoded: Encoded, duration: Fraction | None) -> Look | None:
    """The output as pictures are made of it; None where it has none."""
    if not plan.renditions or not duration:
        return None
    formats = demuxers_of(plan)
    paths = [encoded.main]
    if isinstance(plan.package, AbrPackage):
        tracks = read_tracks(encoded.directory)
        paths = [track.playlist.encode() for track in tracks if track.kind == "video"]
    best, least = (
        Shown(path=os.path.join(encoded.directory, paths[place]), formats=formats)
        for place in (0, -1)
    )
    return Look(best, least, duration)


def make_companions(
    plan: EncodePlan, source: bytes, look: Look | None, directory: bytes, decoder: Decoder
) -> tuple[MadeCompanion, ...]:
    """Make every companion of a plan in a directory, which is made anew; `look`: what was verified.

    Raises ProcessFailed, ProcessTimeout, VerificationFailed, and what the token was given.
    """
    shutil.rmtree(directory, ignore_errors=True)
    if not plan.companions:
        return ()
    os.makedirs(directory)
    made = _make_sidecars(plan, source, directory, decoder)
    for number, wish in enumerate(plan.companions):
        if look is None or isinstance(wish, Sidecar):
            continue
        path = os.path.join(directory, b"%d" % number)
        _MAKERS[type(wish)](wish, look, path, decoder)
        made.append(MadeCompanion(suffix=wish.suffix, path=path))
    return tuple(made)


def tell_missing(plan: EncodePlan, made: Sequence[MadeCompanion]) -> Iterator[Finding]:
    """A finding for each text track of which there is no file."""
    present = {one.suffix for one in made}
    for wish in plan.companions:
        if isinstance(wish, Sidecar) and wish.suffix not in present:
            what = "captions" if wish.captions else "subtitles"
            yield Finding(
                code=f"sidecar-missing-{wish.source_index}",
                severity=Severity.ok,
                message=f"the {what} of stream {wish.source_index} are empty, or cannot be read: "
                "there is no file of them",
            )


def _make_sidecars(
    plan: EncodePlan, source: bytes, directory: bytes, decoder: Decoder
) -> list[MadeCompanion]:
    sidecars = [wish for wish in plan.companions if isinstance(wish, Sidecar)]
    if not sidecars:
        return []
    tracks = os.path.join(directory, b"tracks")
    paths = take_texts(plan, sidecars, source, tracks, decoder)
    return [
        MadeCompanion(suffix=wish.suffix, path=path)
        for wish, path in zip(sidecars, paths, strict=True)
        if path is not None
    ]


def _make_poster(wish: Poster, look: Look, path: bytes, decoder: Decoder) -> None:
    at = _best_moment(look, decoder)
    argv = poster_command(wish, look.best, at, path, **_tools(decoder))
    _run(argv, decoder, reads=[os.path.dirname(look.best.path)], writes=[os.path.dirname(path)])
    if not os.path.exists(path):
        raise VerificationFailed("no poster could be made of the output")


def _best_moment(look: Look, decoder: Decoder) -> Fraction:
    """When a picture shows most: neither dark nor flat nor blurred, seconds."""
    every = max(look.duration / _LOOKED_AT, Fraction(1, 10))
    stills = _Stills()
    long = look.duration > _SHORT
    argv = judge_command(look.least, every, keys_only=long, **_tools(decoder))
    _run(argv, decoder, reads=[os.path.dirname(look.least.path)], note=stills.note)
    first, last = (float(look.duration * share) for share in _CREDITS)
    inside = [one for one in stills.frames if first <= one["time"] <= last]
    best = max(inside or stills.frames, key=_score, default={"time": 0.0})
    return Fraction(best["time"]).limit_denominator(1000)


def _score(frame: dict[str, float]) -> float:
    """Contrast by blur, better with colours and balance; negative for what shows nothing."""
    contrast, luma = frame.get("YHIGH", 0.0) - frame.get("YLOW", 0.0), frame.get("YAVG", 0.0)
    shows = _DARK <= luma <= _BRIGHT and contrast >= _FLAT
    balance = 1 - abs(luma - _MIDDLE) / _BRIGHT
    colours = 1 + min(frame.get("SATAVG", 0.0), _VIVID) / _VIVID
    sharp = contrast / max(1.0, frame.get("blur", 1.0))
    return sharp * balance * colours - (0 if shows else 1000)


def _make_sprites(wish: Sprites, look: Look, path: bytes, decoder: Decoder) -> None:
    """Jellyfin's layout ('320 - 10x10/0.jpg'), and beside it the map that other players read."""
    sheets = f"{wish.width} - {wish.columns}x{wish.rows}"
    inside = os.path.join(path, sheets.encode())
    os.makedirs(inside)
    count = _count(look, wish.seconds)
    pattern = os.path.join(inside.replace(b"%", b"%%"), b"%d.jpg")
    argv = small_command(wish, look.least, count, pattern, **_tools(decoder))
    _run(argv, decoder, reads=[os.path.dirname(look.least.path)], writes=[inside])
    expected = ceil(count / (wish.columns * wish.rows))
    _check_pictures(inside, expected)
    with open(os.path.join(path, b"thumbnails.vtt"), "w", encoding="utf-8") as file:
        file.write(sprite_map(wish, quote(sheets), count, look.duration))


def sprite_map(wish: Sprites, sheets: str, count: int, duration: Fraction) -> str:
    """WebVTT whose cues name a part of a sheet (Media Fragments URI, `#xywh=`), as players read."""
    lines = ["WEBVTT", ""]
    a_sheet = wish.columns * wish.rows
    for number in range(count):
        begin, end = number * wish.seconds, min((number + 1) * wish.seconds, duration)
        row, column = divmod(number % a_sheet, wish.columns)
        place = f"{column * wish.width},{row * wish.height},{wish.width},{wish.height}"
        lines += [f"{_clock(begin)} --> {_clock(max(end, begin))}"]
        lines += [f"{sheets}/{number // a_sheet}.jpg#xywh={place}", ""]
    return "\n".join(lines)


def _make_thumbnails(wish: Thumbnails, look: Look, path: bytes, decoder: Decoder) -> None:
    os.makedirs(path)
    count = _count(look, wish.seconds)
    pattern = os.path.join(path.replace(b"%", b"%%"), b"%05d.jpg")
    argv = small_command(wish, look.least, count, pattern, **_tools(decoder))
    _run(argv, decoder, reads=[os.path.dirname(look.least.path)], writes=[path])
    _check_pictures(path, count)


def _make_preview(wish: Preview, look: Look, path: bytes, decoder: Decoder) -> None:
    whole = look.duration < 2 * _PREVIEW_PLACES * _PREVIEW_SECONDS
    share = look.duration / (_PREVIEW_PLACES + 1)
    places = [Fraction(0)] if whole else [share * n for n in range(1, _PREVIEW_PLACES + 1)]
    all_of_it = min(look.duration, _PREVIEW_PLACES * _PREVIEW_SECONDS)
    seconds = all_of_it if whole else _PREVIEW_SECONDS
    argv = preview_command(wish, look.least, places, seconds, path, **_tools(decoder))
    _run(argv, decoder, reads=[os.path.dirname(look.least.path)], writes=[os.path.dirname(path)])
    if not os.path.exists(path) or not os.stat(path).st_size:
        raise VerificationFailed("no preview could be made of the output")


_MAKERS: dict[type, Callable[..., None]] = {
    Poster: _make_poster,
    Sprites: _make_sprites,
    Thumbnails: _make_thumbnails,
    Preview: _make_preview,
}


def _count(look: Look, seconds: Fraction) -> int:
    return max(1, ceil(look.duration / seconds))


def _check_pictures(directory: bytes, expected: int) -> None:
    if (made := len(os.listdir(directory))) != expected:
        raise VerificationFailed(f"{made} pictures of the output were made instead of {expected}")


def _clock(seconds: Fraction) -> str:
    millis = round(seconds * 1000)
    minutes, millis = divmod(millis, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{millis / 1000:06.3f}"


class _Tools(TypedDict):
    program: bytes
    max_pixels: int


def _tools(decoder: Decoder) -> _Tools:
    program = os.fsencode(decoder.capabilities.ffmpeg)
    return {"program": program, "max_pixels": decoder.max_pixels}


def _run(
    argv: tuple[bytes, ...],
    decoder: Decoder,
    *,
    reads: Sequence[bytes],
    writes: Sequence[bytes] = (),
    note: Callable[[str], None] | None = None,
) -> None:
    run(
        decoder.sandbox.wrap(argv, read=reads, write=writes),
        limits=decoder.limits,
        cancel=decoder.cancel,
        on_progress=_ignore,
        on_stderr_line=note,
    )


def _ignore(_: FfmpegProgress) -> None:
    """Progress that nobody asked for is still read: it shows that ffmpeg is alive."""

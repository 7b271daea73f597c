"""A ladder made for the film against Shaka Streamer's fixed one, the largest rungs equally good.

The peer encodes its own sizes at its own bit rates. VMAF of its largest rung is what ours is to
reach: the search then sets each rung, and leaves out those that add nothing. Both use x264 `slow`.
Films of less than 50 s would be searched whole, so they are longer; the search is counted as for a
film of 20 minutes, of which it looks at the same 25 s.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import streamer
from benchmarks.encoding import Machine, film_of, machine_in
from benchmarks.figures import Figure, run
from benchmarks.ladder import scores_of
from benchmarks.peers import Streamer, shaka_streamer
from benchmarks.turns import cost_of
from darkstream.media.decoding import Decoder
from darkstream.media.package import package
from darkstream.media.quality import search
from darkstream.planning.presets import load_preset

_FIXED = {
    "bigbuckbunny": ("720p", "480p", "360p", "240p"),
    "bikes": ("360p", "240p", "144p"),
}
_EASY = ("bikes", "bigbuckbunny")
_PEER = "shaka-streamer's fixed ladder"
_SECONDS = 60
"""Its samples, 5.7 s apart, then meet all parts of clips that are repeated after 5.3 and 10 s."""
_FILM_S = 1200
_LEAST, _MOST = 20.0, 99.0
_CPU, _BYTES = 0.80, 0.85


@dataclass(frozen=True)
class _Made:
    """CPU seconds, megabytes of video, VMAF of each rung."""

    cpu_s: float
    size: float
    scores: list[float]
    search_s: float = 0.0


def measure(options: argparse.Namespace) -> list[Figure]:
    """CPU and bytes of each clip."""
    clips = _EASY[:1] if options.quick else _EASY
    peer = shaka_streamer()
    figures: list[Figure] = []
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="darkstream-title-")
        directory = Path(stack.enter_context(temporary))
        machine = stack.enter_context(machine_in(directory))
        for clip in clips:
            if peer.program is None:
                what = f"per-title ladder of {clip}, CPU"
                figures.append(Figure(what, None, "s", _PEER, at_most=_CPU, note=peer.why))
                continue
            source = film_of(directory, clip, _SECONDS)
            theirs = _fixed(machine, peer, source, clip, directory / f"{clip}-fixed")
            figures += _rows(clip, _ours(machine, source, theirs, directory / clip), theirs)
    return figures


def _fixed(machine: Machine, peer: Streamer, source: Path, clip: str, to: Path) -> _Made:
    plan = machine.plan(source, load_preset("abr"))
    sound, rungs = bool(plan.audio), _FIXED[clip]
    cost = cost_of(
        lambda: streamer.stream(peer, source, to, rungs, sound=sound, ffmpeg=machine.ffmpeg)
    )
    return _Made(cost.cpu_s, _size(to), scores_of(machine, plan, source, to))


def _ours(machine: Machine, source: Path, theirs: _Made, work: Path) -> _Made:
    target = min(max(theirs.scores[0], _LEAST), _MOST)
    wish = [f"video.quality={{vmaf: {target:.2f}}}", f"video.speed={streamer.SPEED}"]
    plan = machine.plan(source, load_preset("abr", changes=wish))
    work.mkdir()
    found = []
    decoder = Decoder(machine.capabilities, machine.sandbox)
    searched = cost_of(
        lambda: found.append(search(plan, os.fsencode(source), os.fsencode(work), decoder))
    )
    (settled,) = found
    to = work / "encoded"
    cost = cost_of(lambda: package(settled, machine.encode(settled, source, to)))
    scores = scores_of(machine, plan, source, to)
    return _Made(cost.cpu_s, _size(to), scores, searched.cpu_s)


def _rows(clip: str, ours: _Made, theirs: _Made) -> list[Figure]:
    name = f"per-title ladder of {clip}"
    scores = [", ".join(f"{one:.1f}" for one in made.scores) for made in (ours, theirs)]
    with_search = ours.cpu_s + ours.search_s * _SECONDS / _FILM_S
    return [
        Figure(
            *(f"{name}, CPU with the search", with_search, "s", _PEER, theirs.cpu_s),
            at_most=_CPU,
            note=f"the search took {ours.search_s:.1f} s, counted for {_FILM_S / 60:.0f} minutes",
        ),
        Figure(
            *(f"{name}, bytes", ours.size, "MB", _PEER, theirs.size),
            at_most=_BYTES,
            note=f"VMAF of the rungs: {scores[0]} against {scores[1]}",
        ),
    ]


def _size(directory: Path) -> float:
    found = [path for suffix in ("mp4", "m4s") for path in directory.rglob(f"*.{suffix}")]
    return sum(path.stat().st_size for path in found) / 1e6


if __name__ == "__main__":
    run(__doc__ or "", measure)

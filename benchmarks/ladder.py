"""A ladder in HLS and DASH from one film, against Shaka Streamer and one ffmpeg a rung.

All have the same rungs, x264's preset `slow` (the peer knows no other), a key frame every four
seconds, and AAC in stereo. The peer encodes at a bit rate: it is told, rung by rung, what ours came
to. It runs as PyPI has it, with an ffmpeg of its own, and again with ours, which leaves only how
each is told to work. The rungs one by one are our own commands with one rendition each, by the
preset `abr` as it is. Everything
is written and checked as before publishing; the decode for proof, which the peers have not, is a
row of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import streamer
from benchmarks.encoding import Machine, film_of, machine_in
from benchmarks.figures import Figure, run
from benchmarks.peers import Streamer, shaka_streamer
from benchmarks.profiles import score
from benchmarks.streamer import Rate
from benchmarks.turns import Cost, Work, bound, compare, cost_of, take_turns
from darkstream.media.command import convert_command
from darkstream.media.package import package
from darkstream.media.tracks import read_tracks
from darkstream.model.encoded import Encoded
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning.presets import load_preset
from darkstream.settings import MediaSettings

_CHANGES = (f"video.speed={streamer.SPEED}",)
_SECONDS, _QUICK_SECONDS = 16, 4
_VARIANT = re.compile(r"#EXT-X-STREAM-INF:.*RESOLUTION=\d+x(\d+).*\n(?:#.*\n)*([^#\n]+)")
_OURS, _EACH = "ours", "a process a rung"
_PEER, _SAME = "shaka-streamer 1.5.1", "shaka-streamer with our ffmpeg"


@dataclass(frozen=True)
class Bench:
    """One film and what is made of it, in directories of the ways' names."""

    machine: Machine
    source: Path
    plan: EncodePlan
    directory: Path
    peer: Streamer

    def ladder(self) -> Encoded:
        """Ours, checked as it is before it is published."""
        work = self._empty(_OURS)
        encoded = self.machine.encode(self.plan, self.source, work)
        package(self.plan, encoded)
        return encoded

    def one_by_one(self) -> None:
        """A process for each rung; the sound goes with the first."""
        work = self._empty(_EACH)
        for number, video in enumerate(self.plan.renditions):
            to = work / str(number)
            to.mkdir(parents=True)
            alone = {"renditions": (video,), "audio": self.plan.audio if number == 0 else ()}
            argv = convert_command(
                self.plan.model_copy(update=alone),
                program=os.fsencode(self.machine.ffmpeg),
                source=os.fsencode(self.source),
                directory=os.fsencode(to),
                max_pixels=MediaSettings().max_pixels,
            )
            subprocess.run(argv, check=True, capture_output=True)

    def peer_way(self, name: str, ffmpeg: str | None, rates: Sequence[Rate]) -> Work:
        """The peer's, by its ffmpeg or another."""
        return lambda: streamer.stream(
            self.peer, self.source, self._empty(name), rates, ffmpeg=ffmpeg
        )

    def _empty(self, name: str) -> Path:
        work = self.directory / name
        shutil.rmtree(work, ignore_errors=True)
        return work


def scores_of(machine: Machine, plan: EncodePlan, source: Path, presentation: Path) -> list[float]:
    """VMAF of each rung of a presentation somewhere below, largest first, at the source's size."""
    texts = {path: path.read_text() for path in presentation.rglob("*.m3u8")}
    master = next(path for path, text in texts.items() if _VARIANT.search(text))
    variants = {int(high): uri for high, uri in _VARIANT.findall(texts[master])}
    size = next((v.width, v.height) for v in plan.renditions if isinstance(v, VideoEncode))
    return [
        score(machine.ffmpeg, master.parent / variants[high], source, size)
        for high in sorted(variants, reverse=True)
    ]


def rates_of(encoded: Encoded) -> list[Rate]:
    """What each rung came to."""
    tracks = [track for track in read_tracks(encoded.directory) if track.kind == "video"]
    return [Rate(track.width or 0, track.height or 0, track.average) for track in tracks]


def measure(options: argparse.Namespace) -> list[Figure]:
    """CPU, wall, bytes and VMAF beside each peer, and how near the wall is to its bound."""
    seconds = _QUICK_SECONDS if options.quick else options.seconds
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="darkstream-ladder-")
        directory = Path(stack.enter_context(temporary))
        machine = stack.enter_context(machine_in(directory))
        source = film_of(directory, "bigbuckbunny", seconds)
        plan = machine.plan(source, load_preset("abr", changes=_CHANGES))
        bench = Bench(machine, source, plan, directory, shaka_streamer())
        encoded = bench.ladder()
        proof = cost_of(lambda: machine.verify(plan, encoded))
        rates = rates_of(encoded)
        ways: dict[str, Work] = {_OURS: bench.ladder}
        if bench.peer.program is not None:
            ways[_PEER] = bench.peer_way(_PEER, None, rates)
            ways[_SAME] = bench.peer_way(_SAME, machine.ffmpeg, rates)
        rounds = 1 if options.quick else options.rounds
        costs = take_turns(ways, rounds)
        peers = [name for name in (_PEER, _SAME) if name in ways]
        scores = {
            name: scores_of(machine, plan, source, directory / name) for name in (_OURS, *peers)
        }
        sizes = {name: _size(directory / name) for name in (_OURS, *peers)}
        shipped = replace(bench, plan=machine.plan(source, load_preset("abr")))
        once = take_turns({_OURS: shipped.ladder, _EACH: shipped.one_by_one}, rounds)
    return [
        *figures(len(rates), costs, sizes, scores, proof, bench.peer.why),
        _decoded_once(len(rates), once),
    ]


def _decoded_once(rungs: int, costs: dict[str, list[Cost]]) -> Figure:
    ours, each = ([cost.cpu_s for cost in costs[name]] for name in (_OURS, _EACH))
    what = f"ladder of {rungs} by abr, decoded once, CPU"
    return compare(what, "s", ours, _EACH, each, at_most=0.87)


def _size(directory: Path) -> float:
    found = [path for suffix in ("mp4", "m4s") for path in directory.rglob(f"*.{suffix}")]
    return sum(path.stat().st_size for path in found) / 1e6


def figures(
    rungs: int,
    costs: dict[str, list[Cost]],
    sizes: dict[str, float],
    scores: dict[str, list[float]],
    proof: Cost,
    why: str,
) -> list[Figure]:
    """The rows."""
    cpu = {name: [cost.cpu_s for cost in made] for name, made in costs.items()}
    wall = {name: [cost.wall_s for cost in made] for name, made in costs.items()}
    name = f"ladder of {rungs}, HLS and DASH"
    rows = []
    if _PEER not in costs:
        rows.append(Figure(f"{name}, CPU", None, "s", _PEER, at_most=1.0, note=why))
    for peer in (one for one in (_PEER, _SAME) if one in costs):
        least = 1.0 if peer == _PEER else None
        each = ", ".join(
            f"{a:.1f}/{b:.1f}" for a, b in zip(scores[_OURS], scores[peer], strict=True)
        )
        rows += [
            compare(f"{name}, CPU", "s", cpu[_OURS], peer, cpu[peer], at_most=least),
            compare(f"{name}, wall", "s", wall[_OURS], peer, wall[peer], at_most=least),
            Figure(
                *(f"{name}, bytes", sizes[_OURS], "MB", peer, sizes[peer]),
                note=f"VMAF of the rungs, ours/theirs: {each}",
            ),
        ]
    cores = len(os.sched_getaffinity(0))
    rows.append(bound(f"{name}, wall beside its bound", wall[_OURS], cpu[_OURS], cores))
    rows.append(Figure(f"{name}: decode for proof on top, CPU", proof.cpu_s, "s"))
    return rows


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much."""
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="of film")
    parser.add_argument("--rounds", type=int, default=3)


if __name__ == "__main__":
    run(__doc__ or "", measure, add_options)

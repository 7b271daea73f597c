"""What a file costs outside ffmpeg: a library of encodes that are nearly nothing, in batches.

A film of half a second in the size of a stamp, copies of which differ in a `free` box, by the
preset `web`. CPU of worker and server less that of the very same ffmpeg commands. The bound is all
steps of a conversion in one process, with neither server nor Prefect, less the same.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.batch import commands_of, convert, let_settle, run_plainly
from benchmarks.clips import derive, fetch_clips
from benchmarks.encoding import machine_in
from benchmarks.figures import Figure, run
from benchmarks.running import darkstream_up
from benchmarks.turns import cost_of
from darkstream.media.package import package
from darkstream.planning.presets import load_preset

_FILES, _QUICK_FILES = 1_000, 20
_ALONE = 100
_WANTED_MS = 150
_STAMP = ("-an", "-c:v", "mpeg4", "-q:v", "5", "-s", "64x48", "-t", "0.5")


def measure(options: argparse.Namespace) -> list[Figure]:
    """CPU outside ffmpeg, a file, and files a second."""
    count = _QUICK_FILES if options.quick else options.files
    with tempfile.TemporaryDirectory(prefix="darkstream-overhead-") as temporary:
        directory = Path(temporary)
        stamp = directory / "stamp.mp4"
        derive(next(iter(fetch_clips(directory / "clips"))), stamp, *_STAMP)
        with darkstream_up(directory / "home") as up:
            warm = _copies(stamp, directory / "warm", 8)
            let_settle()
            convert(up, warm, directory / "warm-out")
            files = _copies(stamp, directory / "many", count)
            let_settle()
            ours, jobs = convert(up, files, directory / "out")
            commands = commands_of(up, jobs, directory / "plain")
        plain = run_plainly(commands, check=True).cpu / count
        some = sorted(files.iterdir())[: min(count, _ALONE)]
        bound = _cpu_alone(some, directory) / len(some) - plain
    served = ours.server / count
    worked = ours.cpu / count - served - plain
    name = f"CPU outside ffmpeg, {count} no-op encodes, a file"
    return [
        Figure(
            *(name, 1e3 * (worked + served), "ms", "in one process", 1e3 * bound),
            at_most=_WANTED_MS,
            of="ours",
            note=f"worker and flows {1e3 * worked:.0f} ms, server {1e3 * served:.0f} ms; "
            f"ffmpeg itself {1e3 * plain:.0f} ms",
        ),
        Figure(f"{count} no-op encodes", count / ours.wall, "files/s"),
    ]


def _cpu_alone(files: Sequence[Path], directory: Path) -> float:
    """CPU seconds of all steps for files in this process, one after another."""
    preset = load_preset("web")
    with machine_in(directory):
        pass  # what the machine can do is proved once

    def convert_all() -> None:
        with machine_in(directory) as machine:  # within: its child counts when it has ended
            for file in files:
                work = directory / "alone" / file.stem
                plan = machine.plan(file, preset)
                encoded = machine.encode(plan, file, work)
                machine.verify(plan, encoded)
                package(plan, encoded)
                shutil.rmtree(work)

    return cost_of(convert_all).cpu_s


def _copies(stamp: Path, to: Path, count: int) -> Path:
    """So many files of other content, the same film."""
    to.mkdir()
    film = stamp.read_bytes()
    for number in range(count):
        told = f"{to.name:>8.8}{number:08}".encode()
        free = (len(told) + 8).to_bytes(4, "big") + b"free" + told
        (to / f"{number:05}.mp4").write_bytes(film + free)
    return to


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much."""
    parser.add_argument("--files", type=int, default=_FILES)


if __name__ == "__main__":
    run(__doc__ or "", measure, add_options)

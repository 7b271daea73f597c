"""A worker that is killed with all it began, when half of a film's chunks are finished.

`darkstream up` runs, its worker gets SIGKILL, and the supervisor starts another one. What was
finished must not be encoded again: redone work is at most the chunk that each slot was at. The
film is also converted without a kill; how much longer the other one takes is what a death costs,
the 30 s until the lease ends included.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from benchmarks.clips import derive
from benchmarks.encoding import film_of
from benchmarks.figures import Figure, run
from benchmarks.machine import child_with, tree_of
from benchmarks.running import Running, darkstream_up, wait_until
from darkstream.model.job import Job, JobStatus
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.wire import SubmitJob
from darkstream.storage.chunks import HOME

_SECONDS, _QUICK_SECONDS = 120, 24
_CHUNK = Fraction(6)
_TOLD = re.compile(r"(\d+) chunks, (\d+) of them")


@dataclass(frozen=True)
class _Run:
    """Seconds from the submission to the end; chunks in all, encoded last, and there before."""

    wall_s: float
    chunks: int
    encoded: int
    found: int


def measure(options: argparse.Namespace) -> list[Figure]:
    """Chunks that were encoded twice, and what the death cost."""
    seconds = _QUICK_SECONDS if options.quick else options.seconds
    with tempfile.TemporaryDirectory(prefix="darkstream-resume-") as temporary:
        directory = Path(temporary)
        film = directory / "film.mkv"
        keyed = ("-c:v", "mpeg4", "-q:v", "3", "-g", "25", "-c:a", "ac3")
        derive(film_of(directory, "bigbuckbunny", seconds), film, *keyed)
        with darkstream_up(directory / "home", DARKSTREAM_WORKER__SLOTS="1") as up:
            plain = _convert(up, film, directory / "plain")
            killed = _convert(up, film, directory / "killed", half=plain.chunks // 2)
    again = killed.found + killed.encoded - killed.chunks
    name = f"kill -9 with {killed.found} of {killed.chunks} chunks finished"
    return [
        Figure(
            *(f"{name}: chunks begun twice, one slot", again + 1, "chunks"),
            at_most=1,
            of="ours",
            note=f"finished ones that were encoded again: {again}; and the one at work",
        ),
        Figure(f"{name}, wall", killed.wall_s, "s", "without a kill", plain.wall_s),
    ]


def _convert(up: Running, film: Path, to: Path, *, half: int | None = None) -> _Run:
    """Convert a copy of the film; the worker is killed when `half` chunks are finished."""
    to.mkdir()
    source = to / film.name
    comment = ("-map", "0", "-c", "copy", "-metadata", f"comment={to.name}")
    derive(film, source, *comment)
    time.sleep(2.5)  # a file that was written just now is left alone
    preset = Preset(name="parts", video=VideoRule(chunk_seconds=_CHUNK))
    began = time.time()
    wish = SubmitJob(source=str(source), preset=preset, destination=str(to / "out"))
    job = up.client.submit_job(wish)
    found = 0
    if half is not None:
        wait_until(lambda: _finished(to) >= half, 600, every_s=0.05)
        _kill_worker(up)
        found = _finished(to)
    wait_until(lambda: up.client.job(job.id).status.ended, 600, every_s=0.5)
    return _told(up, up.client.job(job.id), time.time() - began, found)


def _told(up: Running, job: Job, wall_s: float, found: int) -> _Run:
    if job.status is not JobStatus.done:
        raise SystemExit(f"the film was not converted: {job.reason}")
    told = _TOLD.search(up.client.job_log(job.id))
    if told is None:
        raise SystemExit("the film was not encoded in chunks")
    return _Run(wall_s, int(told[1]), int(told[2]), found)


def _kill_worker(up: Running) -> None:
    """The worker first, so that it starts nothing more, and with it all that it began."""
    worker = child_with(up.pid, "worker")
    for pid in sorted(tree_of(worker), key=lambda pid: pid != worker):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _finished(to: Path) -> int:
    """Chunks that are recorded at the destination."""
    return len(list((to / "out" / os.fsdecode(HOME)).glob("*/[0-9]*-*.json")))


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much."""
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="of film")


if __name__ == "__main__":
    run(__doc__ or "", measure, add_options)

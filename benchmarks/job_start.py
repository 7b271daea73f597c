"""From `POST /api/v1/jobs` to the ffmpeg that encodes; the peer: Prefect's process worker.

Ours is `darkstream up`, warm and idle: the job is planned, claimed, hashed, probed and validated
before its ffmpeg starts. The peer's flow does none of that: it starts ffmpeg on the same clip.
They take turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.clips import derive, fetch_clips
from benchmarks.figures import Figure, run
from benchmarks.machine import command_line, tree_of
from benchmarks.running import darkstream_up
from benchmarks.running import wait_until as wait_for
from benchmarks.worker_start import Server, running, wait_until
from darkstream.client.api import Client
from darkstream.media.binary import find_ffmpeg
from darkstream.model.base import JobId
from darkstream.model.wire import SubmitJob
from darkstream.settings import LibrarySettings, MediaSettings

_FLOW = "benchmarks.worker_flow.encode"
_POOL = "process"


def measure(options: argparse.Namespace) -> list[Figure]:
    """Both, `count` times each."""
    count = 1 if options.quick else options.count
    with tempfile.TemporaryDirectory(prefix="darkstream-job-", ignore_cleanup_errors=True) as home:
        directory = Path(home)
        clip = directory / "clip.mkv"
        derive(fetch_clips(directory / "clips")[1], clip, "-c:v", "mpeg4", "-q:v", "3")
        ours, theirs = _take_turns(directory, clip, count)
    middle, peer = statistics.median(ours), statistics.median(theirs)
    what, name = "POST of a job to its ffmpeg, p50", "Prefect's process worker"
    return [
        Figure(what, middle, "s", name, peer, at_most=1 / 8),
        Figure(f"{what}, two cores", middle, "s", at_most=1.2, of="ours"),
        Figure("the slowest of them", max(ours), "s", name, max(theirs)),
    ]


def _take_turns(directory: Path, clip: Path, count: int) -> tuple[list[float], list[float]]:
    ours, theirs = [], []
    (directory / "peer").mkdir()
    server = Server(directory / "peer")
    python = [sys.executable]
    worker = [*python, "-m", "prefect", "worker", "start", "--type", "process", "--pool", _POOL]
    with ExitStack() as stack:
        up = stack.enter_context(darkstream_up(directory / "home"))
        command, log = [*python, *server.command()], directory / "server.log"
        stack.enter_context(running(command, server.environment, log))
        wait_until(server.answers)
        deployment = server.deploy(_POOL, _FLOW)
        pid = stack.enter_context(running(worker, server.environment, directory / "worker.log"))
        sources = _settled_copies(directory, clip, count + 1)
        for turn, source in enumerate(sources):
            began = time.perf_counter()
            wish = SubmitJob(source=str(source), preset="web", destination=str(directory / "out"))
            job = up.client.submit_job(wish).id
            wait_for(partial(_encodes, up.pid, source), every_s=0.01)
            mine = time.perf_counter() - began
            wait_for(partial(_is_over, up.client, job), every_s=0.1)
            began = time.perf_counter()
            ffmpeg = str(find_ffmpeg(MediaSettings()))
            out = directory / f"output.{turn}.mp4"
            flow_run = server.create(
                deployment, {"ffmpeg": ffmpeg, "source": str(source), "output": str(out)}
            )
            wait_until(partial(_encodes, pid, source))
            peer = time.perf_counter() - began
            wait_until(partial(server.ended, flow_run))
            if turn:  # the first one warms caches
                ours.append(mine)
                theirs.append(peer)
    return ours, theirs


def _settled_copies(directory: Path, clip: Path, count: int) -> list[Path]:
    """Clips with bytes of their own (the same content is encoded once), old enough to be complete.

    A file that changed just now may be one that is being written, and is waited for; its time of
    change, unlike that of modification, cannot be set.
    """
    sources = [directory / f"clip-{number}.mkv" for number in range(count)]
    for number, source in enumerate(sources):
        source.write_bytes(clip.read_bytes() + bytes([number]))
    time.sleep(LibrarySettings().settle_s + 1)
    return sources


def _is_over(client: Client, job: JobId) -> bool:
    return client.job(job).status.ended


def _encodes(root: int, clip: Path) -> bool:
    """Whether an ffmpeg that reads the clip and writes a file is among the descendants."""
    return any(
        any(word.endswith(str(clip)) for word in words) and any("output." in word for word in words)
        for words in map(command_line, tree_of(root))
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("-n", "--count", type=int, default=8, help="jobs of each")


if __name__ == "__main__":
    run(__doc__ or "", measure, add_options)

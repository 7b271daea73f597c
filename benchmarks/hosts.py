"""Two workers as two hosts, each on one core of its own, against one of them alone.

One server, two `darkstream worker` of one slot with homes of their own, pinned by taskset; turns
with one worker are those in which the other rests. The films are equally long, as many for each.
Efficiency is the time of one, divided by twice that of two. The server has no core of its own, and
two cores share caches and memory: the peer is how well they do with the same commands, nothing else
running.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.clips import derive
from benchmarks.encoding import film_of
from benchmarks.figures import Figure, run
from benchmarks.running import COMMAND, address_of, environment_of, is_ready, wait_until
from darkstream.client.api import Client
from darkstream.model.base import JobId
from darkstream.model.job import JobStatus
from darkstream.model.wire import SubmitJob

_FILMS, _QUICK_FILMS = 8, 2
_SECONDS, _QUICK_SECONDS = 12, 3
_WANTED = 0.92


def measure(options: argparse.Namespace) -> list[Figure]:
    """The efficiency of each round."""
    films = _QUICK_FILMS if options.quick else options.films
    if films < 2 or films % 2:
        raise SystemExit("as many films for each of two: --films must be even")
    seconds = _QUICK_SECONDS if options.quick else options.seconds
    cores = sorted(os.sched_getaffinity(0))[:2]
    name = "two workers on a core each, efficiency"
    if len(cores) < 2 or not shutil.which("taskset"):
        why = "it takes two cores and taskset (util-linux)"
        return [Figure(name, None, "", at_least=_WANTED, of="ours", note=why)]
    walls: dict[str, list[float]] = {"one": [], "two": []}
    with ExitStack() as stack:
        whole = tempfile.TemporaryDirectory(prefix="darkstream-hosts-")
        directory = Path(stack.enter_context(whole))
        base = directory / "film.mkv"
        keyed = ("-c:v", "mpeg4", "-q:v", "3", "-c:a", "ac3")
        derive(film_of(directory, "bigbuckbunny", seconds), base, *keyed)
        environment = environment_of(directory / "home")
        stack.enter_context(_background([*COMMAND, "server"], environment))
        client = stack.enter_context(Client(address_of(environment), timeout=120.0))
        wait_until(lambda: is_ready(client))
        for core in cores:
            stack.enter_context(_host(directory, environment, core))
        wait_until(lambda: sum(node.live for node in client.nodes()) == len(cores))
        _convert(client, _films(base, directory / "warm", 2))
        for turn in range(1 if options.quick else options.rounds):
            for way in ("one", "two") if turn % 2 == 0 else ("two", "one"):
                if way == "one":
                    client.pause_node(_name(cores[1]), "drain")
                else:
                    client.resume_node(_name(cores[1]))
                files = _films(base, directory / f"{way}-{turn}", films)
                wall, job = _convert(client, files)
                walls[way].append(wall)
        command = client.job_log(job).partition("\n")[0].removeprefix("$ ")
    with tempfile.TemporaryDirectory(prefix="darkstream-hosts-") as temporary:
        film = Path(temporary) / "film.mkv"
        derive(film_of(Path(temporary), "bigbuckbunny", seconds), film, *keyed)
        bare = _efficiency_of(command, film, cores, films)
    shares = [one / (2 * two) for one, two in zip(walls["one"], walls["two"], strict=True)]
    one, two = (statistics.median(walls[way]) for way in ("one", "two"))
    return [
        Figure(
            *(name, statistics.median(shares), "", "no server, the same commands", bare),
            at_least=_WANTED,
            of="ours",
            noise=(max(shares) - min(shares)) / 2 if len(shares) > 1 else None,
            note=f"{films} films of {seconds:g} s: {one:.1f} s by one, {two:.1f} s by two",
        )
    ]


def _films(base: Path, to: Path, count: int) -> list[Path]:
    """So many films of other content, the same pictures."""
    to.mkdir()
    made = []
    for number in range(count):
        made.append(to / f"{number}.mkv")
        comment = f"comment={to.name} {number}"
        derive(base, made[-1], "-map", "0", "-c", "copy", "-metadata", comment)
    time.sleep(2.5)  # files that were written just now are left alone
    return made


def _efficiency_of(command: str, film: Path, cores: Sequence[int], count: int) -> float:
    """That of two cores over one, with nothing but a job's command: so many times over `film`."""
    words = shlex.split(command)
    source = next(word for word in words if word.startswith("file:") and word.endswith(".mkv"))
    plain = [f"file:{film}" if word == source else word for word in words[:-1]]

    def seconds(cores: Sequence[int]) -> float:
        began = time.perf_counter()
        hosts = []
        for core in cores:
            line = shlex.join([*plain, f"file:{film.parent / f'out-{core}.mp4'}"])
            again = f"for _ in $(seq {count // len(cores)}); do {line} || exit 1; done"
            argv = ["taskset", "--cpu-list", str(core), "sh", "-c", again]
            nowhere = subprocess.DEVNULL
            hosts.append(subprocess.Popen(argv, stdin=nowhere, stdout=nowhere, stderr=nowhere))
        codes = [host.wait() for host in hosts]
        if any(codes):
            raise SystemExit("the command of a job failed when it was run again")
        return time.perf_counter() - began

    return seconds(cores[:1]) / (2 * seconds(cores))


def _convert(client: Client, films: Sequence[Path]) -> tuple[float, JobId]:
    """Seconds until the last of them is committed, and one of the jobs."""
    began = time.time()
    jobs = [
        client.submit_job(
            SubmitJob(source=str(film), preset="web", destination=str(film.parent / "out"))
        )
        for film in films
    ]
    wait_until(lambda: all(client.job(job.id).status.ended for job in jobs), 900, every_s=0.5)
    ended = [client.job(job.id) for job in jobs]
    if any(job.status is not JobStatus.done for job in ended):
        raise SystemExit(f"not every film was converted: {[job.reason for job in ended]}")
    last = max(job.ended.timestamp() for job in ended if job.ended is not None)
    return last - began, ended[0].id


def _name(core: int) -> str:
    return f"host-{core}"


@contextmanager
def _host(directory: Path, server: dict[str, str], core: int) -> Iterator[None]:
    """A worker with a home of its own, on one core."""
    home = directory / _name(core)
    more = {
        "DARKSTREAM_SERVER__URL": address_of(server),
        "DARKSTREAM_WORKER__NAME": _name(core),
        "DARKSTREAM_WORKER__SLOTS": "1",
    }
    argv = ["taskset", "--cpu-list", str(core), *COMMAND, "worker"]
    with _background(argv, environment_of(home, **more)):
        yield


@contextmanager
def _background(argv: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    """A program, stopped in the end; its log is in its home."""
    home = Path(environment["DARKSTREAM_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "program.log", "ab") as log:
        process = subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much."""
    parser.add_argument("--films", type=int, default=_FILMS)
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="a film")
    parser.add_argument("--rounds", type=int, default=2)


if __name__ == "__main__":
    run(__doc__ or "", measure, add_options)

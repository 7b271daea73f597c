"""Scanning: a warm rescan through the real API, and a cold look into files.

The rescan finds nothing changed and opens no file; `find` is the peer for its walk. For the cold
look see `benchmarks.look`.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import look
from benchmarks.figures import Figure, run
from benchmarks.machine import free_port, pss_mib
from benchmarks.turns import compare
from darkstream.client.api import Client
from darkstream.model.analyses import AnalysisRun
from darkstream.model.base import ScanId
from darkstream.model.job import DispatchOrder
from darkstream.model.library import Library, Scan, ScanSummary
from darkstream.model.wire import AddLibrary, StartScan
from darkstream.observe.cancel import CancelToken
from darkstream.settings import Settings
from darkstream.stages.scan import scan
from darkstream.stages.toolbox import Toolbox

_A_DIRECTORY = 100
_FLOW_RUN = "benchmark"


def measure(options: argparse.Namespace) -> list[Figure]:
    """The rescan, then the cold look."""
    count, rounds = (2_000, 1) if options.quick else (options.tree, options.rounds)
    with tempfile.TemporaryDirectory(prefix="darkstream-scan-") as temporary:
        figures = measure_rescan(Path(temporary), count, rounds)
    return figures + look.measure(options)


def measure_rescan(directory: Path, count: int, rounds: int) -> list[Figure]:
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
        in_child(settings, server, count)
        walks, finds, peaks = [], [], []
        for _ in range(rounds):
            seconds, found = in_child(settings, server, count)
            walks.append(seconds)
            peaks.append(found)
            finds.append(seconds_of(lambda: find(library)))
    ours, theirs = statistics.median(walks), statistics.median(finds)
    scanner, serving = (float(max(peak[side] for peak in peaks)) for side in (0, 1))
    name = f"warm rescan of {count} files"
    return [
        Figure(
            name,
            count / ours,
            "files/s",
            "find -printf",
            count / theirs,
            at_least=25_000,
            of="ours",
        ),
        compare(f"{name}, wall", "s", walks, "find -printf", finds, at_most=4),
        Figure(f"{name}: peak PSS of the scan", scanner, "MiB", at_most=286, of="ours"),
        Figure(f"{name}: peak PSS of the server", serving, "MiB", at_most=286, of="ours"),
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


def in_child(settings: Settings, server: int, count: int) -> tuple[float, tuple[int, int]]:
    """One scan in a fresh process: its seconds, and the peak PSS of it and of the server, MiB."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=scan_once, args=(settings, server, count, sending))
    child.start()
    sending.close()
    try:
        answer: tuple[float, tuple[int, int]] = receiving.recv()
    finally:
        child.join()
    return answer


def scan_once(settings: Settings, server: int, count: int, sending: Connection) -> None:
    with Toolbox(settings, flow_run=_FLOW_RUN) as tools:
        started = tools.client.start_scan("warm", StartScan(flow_run=_FLOW_RUN))
        cancel = CancelToken()
        with peak_memory(os.getpid(), server) as peak:
            begun = time.perf_counter()
            summary = scan(tools, ScanId(started.id), cancel)
            seconds = time.perf_counter() - begun
    check(summary, settings, count)
    sending.send((seconds, tuple(peak)))


def check(summary: ScanSummary, settings: Settings, count: int) -> None:
    if summary.met != count:
        raise SystemExit(f"{summary.met} of {count} files were met")
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
                peaks[index] = max(peaks[index], int(pss_mib(process)))
            if over.wait(0.1):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


class IdleDispatcher:
    """Stands where Prefect would: a rescan makes no flow runs."""

    async def setup(self) -> None:
        pass

    async def create_flow_run(self, order: DispatchOrder, catalog_uuid: str) -> str:
        return f"{catalog_uuid}-{order.id}"

    async def create_scan_run(self, scan: Scan, catalog_uuid: str) -> str:
        return f"{catalog_uuid}-scan-{scan.id}"

    async def create_settle_run(self, key: str, catalog_uuid: str) -> str:
        return f"{catalog_uuid}-settle-{key}"

    async def create_analysis_run(self, analysis: AnalysisRun, catalog_uuid: str) -> str:
        return f"{catalog_uuid}-analysis-{analysis.id}"

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


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tree", type=int, default=100_000, help="files of the warm rescan")
    parser.add_argument("--rounds", type=int, default=3, help="warm rescans; the median counts")
    look.add_options(parser)


if __name__ == "__main__":
    run(__doc__, measure, add_options)

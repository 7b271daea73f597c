"""What server and worker hold at once, with a library of 100,000 files.

`darkstream up` scans the library, makes a job of each file, works on them meanwhile, and scans
again. The files are no films, so that each job ends after a look. Summed over server, worker and
the flow processes: proportional set sizes, looked at four times a second.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure, run
from benchmarks.machine import child_with, pss_mib, tree_of
from benchmarks.running import Running, darkstream_up, wait_until
from benchmarks.scan import make_tree
from darkstream.model.wire import AddLibrary, StartScan

_FILES, _QUICK_FILES = 100_000, 2_000
_LIMIT_MIB = 572
"""600 MB."""
_EVERY_S = 0.25
_ROLES = ("server", "worker")


def measure(options: argparse.Namespace) -> list[Figure]:
    """The highest sum, and what each had then: with as many slots as by default, and with one."""
    count = _QUICK_FILES if options.quick else options.files
    with tempfile.TemporaryDirectory(prefix="darkstream-memory-") as temporary:
        directory = Path(temporary)
        make_tree(directory / "library", count)
        return [
            _measure(directory, count, "slots as by default"),
            _measure(directory, count, "one slot", DARKSTREAM_WORKER__SLOTS="1"),
        ]


def _measure(directory: Path, count: int, slots: str, **settings: str) -> Figure:
    home = directory / slots.replace(" ", "-")
    with darkstream_up(home, **settings) as up:
        up.client.add_library(
            AddLibrary(
                name="large",
                root=str(directory / "library"),
                destination=str(home / "out"),
                preset="web",
            )
        )
        with _peak(up) as peak:
            seconds = [_scan(up), _scan(up)]
    note = ", ".join(f"{role} {held:.0f}" for role, held in zip(_ROLES, peak, strict=True))
    return Figure(
        *(f"peak PSS of server and worker, {slots}, {count} files", sum(peak), "MiB"),
        at_most=_LIMIT_MIB,
        of="ours",
        note=f"{note} MiB; scans took {seconds[0]:.0f} and {seconds[1]:.0f} s",
    )


def _scan(up: Running) -> float:
    began = time.perf_counter()
    scan = up.client.start_scan("large", StartScan())
    wait_until(lambda: up.client.scan(scan.id).ended is not None, 900, every_s=0.5)
    if (ended := up.client.scan(scan.id)).status != "done":
        raise SystemExit(f"the scan {ended.status}: {ended.reason}")
    return time.perf_counter() - began


@contextmanager
def _peak(up: Running) -> Iterator[list[float]]:
    """Fill the list with what server and worker held when they held the most, MiB."""
    peak = [0.0 for _ in _ROLES]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_EVERY_S):
            held = [_held(child_with(up.pid, role)) for role in _ROLES]
            if sum(held) > sum(peak):
                peak[:] = held

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _held(root: int) -> float:
    total = 0.0
    for pid in tree_of(root):
        try:
            total += pss_mib(pid)
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue  # it ended meanwhile
    return total


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much."""
    parser.add_argument("--files", type=int, default=_FILES)


if __name__ == "__main__":
    run(__doc__ or "", measure, add_options)

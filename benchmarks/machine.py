"""The machine the figures are of, and what processes on it cost; Linux only: it reads /proc."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def describe_machine() -> dict[str, object]:
    """What a figure means nothing without."""
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": _processor(),
        "cores": cores,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": round(os.getloadavg()[0] / cores, 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "prefect": version("prefect"),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def cpu_of_tree(root: int) -> float:
    """CPU seconds of a process and its descendants, those that were reaped included."""
    return sum(_cpu_ticks(pid) for pid in tree_of(root)) / _TICK


def tree_of(root: int) -> set[int]:
    """The process ids of a process and its descendants."""
    parents = {pid: fields[1] for pid in _processes() if (fields := _stat(pid))}
    tree = {root}
    while more := {pid for pid, parent in parents.items() if int(parent) in tree} - tree:
        tree |= more
    return tree


def child_with(root: int, word: str) -> int:
    """The child of a process whose command line has a word."""
    for pid in tree_of(root) - {root}:
        fields = _stat(pid)
        if fields and int(fields[1]) == root and word in command_line(pid):
            return pid
    raise SystemExit(f"no child of {root} is called {word}")


def pss_mib(pid: int) -> float:
    """Proportional set size of one process, MiB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process and its children on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _processes() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name; empty where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _cpu_ticks(pid: int) -> int:
    return sum(map(int, _stat(pid)[11:15]))


def command_line(pid: int) -> list[str]:
    """The words of a process; empty where it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [os.fsdecode(word) for word in words]


if sys.platform != "linux":
    raise SystemExit("the benchmarks read /proc: they need Linux")

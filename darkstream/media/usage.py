"""CPU time of this process and of its children, those in a cage that was killed included.

A cage hands on what the tool in it used when it reaps it. One that is killed reaps nothing: the
kernel's account of our children then lacks the tool, so it is read before (`proc(5)`).
"""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

_TIMES = slice(11, 15)
"""utime, stime, cutime and cstime in the fields of `stat` after the name."""
_lock = threading.Lock()
_missing_s = 0.0


def spent_seconds() -> float:
    """CPU seconds of this process and of all its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) + _missing_s


def add_missing(seconds: float) -> None:
    """Count what a child used and the kernel's account of our children lacks."""
    global _missing_s  # noqa: PLW0603 - as the kernel's, an account of the process
    with _lock:
        _missing_s += seconds


def tree_seconds(pid: int) -> float:
    """CPU seconds so far of a process and of all below it; 0 where the system does not tell."""
    ticks = 0
    for one in _tree(pid):
        with contextlib.suppress(OSError):  # it has just ended
            fields = Path(f"/proc/{one}/stat").read_bytes().rpartition(b")")[2].split()
            ticks += sum(map(int, fields[_TIMES]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text("ascii").split():
                yield from _tree(int(child))

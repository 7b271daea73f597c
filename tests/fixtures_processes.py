"""Watching processes that are not ours to wait for."""

from __future__ import annotations

import time
from pathlib import Path


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether a process ends, or is only a zombie of somebody else, within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def written_pid(path: Path, seconds: float = 20.0) -> int:
    """The number another process writes into a file."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.is_file() and (text := path.read_text("utf-8").strip()):
            return int(text)
        time.sleep(0.02)
    raise AssertionError(f"nothing was written to {path.name}")

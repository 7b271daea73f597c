"""Flows for the tests of the worker; they say what they see in a file, one JSON object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from prefect import flow, task


def _private_memory() -> dict[str, int]:
    """Memory of this process in KiB, by /proc/self/smaps_rollup."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    fields = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {
        "pss_kib": fields["Pss"],
        "private_kib": fields["Private_Clean"] + fields["Private_Dirty"],
    }


def _say(path: str, **more: object) -> None:
    facts = {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "group": os.getpgid(0),
        "sigint_default": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "at": time.time(),
        "home": os.environ["PREFECT_HOME"],
        "pool": os.environ.get("WANTED"),
        **more,
    }
    part = Path(f"{path}.part")
    part.write_text(json.dumps(facts), encoding="utf-8")
    part.rename(path)


@task
def add(a: int, b: int) -> int:
    return a + b


@flow
def quick(path: str) -> int:
    _say(path, **_private_memory())
    return add(1, 2)


@flow
def slow(path: str, seconds: float = 60.0) -> None:
    try:
        _say(path)
        time.sleep(seconds)
    finally:
        Path(f"{path}.ended").touch()


@flow
def with_child(path: str) -> None:
    """Has a child in the same process group, as ffmpeg is."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    _say(path, child=child.pid)
    child.wait()


@flow
def stubborn(path: str) -> None:
    """Does not end when it is asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    _say(path)
    while True:
        time.sleep(1)


@flow
def signalled_aside(path: str) -> None:
    """Its SIGTERM reaches another thread than the one that waits, as the kernel may have it."""

    def end() -> None:
        time.sleep(0.5)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    try:
        _say(path)
        threading.Thread(target=end, daemon=True).start()
        threading.Event().wait()
    finally:
        Path(f"{path}.ended").touch()


@flow
def failing(path: str) -> None:
    _say(path)
    raise ValueError("no")

"""A DarkStream of the benchmark's own: `darkstream up` below a temporary home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import child_with, cpu_of_tree, free_port
from darkstream.client.api import Client
from darkstream.errors import DarkstreamError

COMMAND = (sys.executable, "-m", "darkstream")


@dataclass(frozen=True)
class Running:
    """A server and a worker, and the supervisor over both."""

    client: Client
    pid: int
    environment: dict[str, str]

    def server_cpu(self) -> float:
        """CPU seconds of the server so far."""
        return cpu_of_tree(child_with(self.pid, "server"))

    def worker_cpu(self) -> float:
        """CPU seconds of the worker, its flow processes and their ffmpegs so far."""
        return cpu_of_tree(child_with(self.pid, "worker"))


def environment_of(home: Path, **more: str) -> dict[str, str]:
    """An environment with a home and a port of its own, and no setting of the user's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DARKSTREAM_", "PREFECT_"))
    }
    own = {"DARKSTREAM_HOME": str(home), "DARKSTREAM_SERVER__PORT": str(free_port())}
    return {**kept, **own, "DARKSTREAM_LOG_LEVEL": "warning", **more}


def address_of(environment: dict[str, str]) -> str:
    """Where the server of an environment is."""
    return f"http://127.0.0.1:{environment['DARKSTREAM_SERVER__PORT']}"


@contextmanager
def launched(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`darkstream up`, stopped in the end; its log is up.log in its home."""
    home = Path(environment["DARKSTREAM_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "up.log", "ab") as log:
        process = subprocess.Popen(
            [*COMMAND, "up"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def darkstream_up(home: Path, **more: str) -> Iterator[Running]:
    """A DarkStream that is up, its worker too."""
    environment = environment_of(home, **more)
    with launched(environment) as process, Client(address_of(environment), timeout=120.0) as client:
        wait_until(lambda: is_ready(client) and has_worker(client), process=process)
        yield Running(client, process.pid, environment)


def answers(client: Client) -> bool:
    """Whether our API answers."""
    try:
        client.health()
    except DarkstreamError:
        return False
    return True


def is_ready(client: Client) -> bool:
    """Whether Prefect is ready too."""
    try:
        return client.ready().ready
    except DarkstreamError:
        return False


def has_worker(client: Client) -> bool:
    """Whether a worker has reported."""
    return any(node.live for node in client.nodes())


def wait_until(
    look: Callable[[], object],
    seconds: float = 180.0,
    every_s: float = 0.02,
    process: subprocess.Popen[bytes] | None = None,
) -> None:
    """Wait for something, looking often; `process` must not end meanwhile."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit(f"it took more than {seconds:.0f} s")
        if process is not None and process.poll() is not None:
            raise SystemExit(f"darkstream up ended with exit code {process.returncode}")
        time.sleep(every_s)

"""A real Prefect server, mounted the way we mount it, in a process of its own.

`prefect_server` is one for each test; `shared_prefect` is one for all that leave it as it is. The
database is migrated once and copied. Run as a program, this module is that server.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

_START_S = 120.0
_STOP_S = 10.0


def _isolate() -> None:
    """Keep Prefect, as soon as a test imports it, out of the home of whoever runs the tests."""
    home = tempfile.mkdtemp(prefix="darkstream-prefect-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ["PREFECT_HOME"] = home
    os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"] = f"{home}/results"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"


if __name__ != "__main__":
    _isolate()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PrefectServer:
    """One server process with a home of its own; `start` returns when Prefect answers."""

    def __init__(self, home: Path, *, pages: bool = False) -> None:
        self.home = home
        self.port = free_port()
        self.pages = pages
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """Prefect's API."""
        return f"{self.url}/api"

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.home / "server.log").read_text("utf-8", "replace")

    @property
    def environment(self) -> dict[str, str]:
        """For programs that speak to it."""
        return {**os.environ, "PREFECT_API_URL": self.api_url}

    def launch(self) -> None:
        """Start the process and return at once."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, __file__, str(self.home), str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PREFECT_SERVER_UI_ENABLED": str(self.pages).lower()},
            )

    def start(self) -> None:
        """Start the process and wait until Prefect answers."""
        self.launch()
        deadline = time.monotonic() + _START_S
        while not self.answers():
            assert self.process is not None
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.1)

    def answers(self, path: str = "/api/health") -> bool:
        """Whether a path answers with success."""
        with (
            suppress(URLError, ConnectionError, TimeoutError),
            urlopen(f"{self.url}{path}", timeout=5) as response,
        ):
            return bool(response.status == 200)
        return False

    def end(self, how: signal.Signals = signal.SIGTERM) -> float:
        """End the process; the seconds that took."""
        if self.process is None or self.process.poll() is not None:
            return 0.0
        begun = time.monotonic()
        self.process.send_signal(how)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - begun


@pytest.fixture(scope="session")
def prefect_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose database is migrated."""
    server = PrefectServer(tmp_path_factory.mktemp("prefect-template"))
    try:
        server.start()
    finally:
        server.end()
    with sqlite3.connect(server.home / "prefect" / "prefect.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return server.home


def _copy(template: Path, home: Path) -> Path:
    (home / "prefect").mkdir(parents=True)
    for name in ("prefect.db", "memo_store.toml"):
        shutil.copy(template / "prefect" / name, home / "prefect" / name)
    return home


@pytest.fixture
def make_prefect(prefect_template: Path, tmp_path: Path) -> Iterator[Callable[..., PrefectServer]]:
    """Makes servers that are not started yet; all are ended after the test."""
    made: list[PrefectServer] = []

    def make(*, pages: bool = False) -> PrefectServer:
        home = _copy(prefect_template, tmp_path / f"home-{len(made)}")
        made.append(PrefectServer(home, pages=pages))
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture
def prefect_server(make_prefect: Callable[..., PrefectServer]) -> PrefectServer:
    """A started server for one test."""
    server = make_prefect()
    server.start()
    return server


@pytest.fixture(scope="session")
def shared_prefect(
    prefect_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrefectServer]:
    """A started server for all tests that do not mind what others left on it."""
    server = PrefectServer(_copy(prefect_template, tmp_path_factory.mktemp("prefect") / "home"))
    server.start()
    yield server
    server.end()


def _serve(home: Path, port: int) -> None:
    import uvicorn
    from fastapi import FastAPI

    from darkstream.server.prefect_mount import PrefectMount
    from darkstream.settings import ServerSettings, Settings

    settings = Settings(home=home, server=ServerSettings(port=port))
    cancels: list[float] = []
    mount = PrefectMount(settings, on_cancel=lambda: cancels.append(time.monotonic()))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        mount.start()
        yield
        await mount.stop()

    app = FastAPI(lifespan=lifespan)

    @app.get("/api/v1/ready")
    def ready() -> dict[str, object]:
        return {"ready": mount.ready, "reason": mount.reason}

    @app.get("/api/v1/cancels")
    def cancelled() -> int:
        return len(cancels)

    app.router.routes.extend(mount.routes())
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))

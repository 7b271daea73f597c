"""A real server of ours in a thread, with its own home; Prefect is a fake that remembers."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import uvicorn
from sqlalchemy import text

from darkstream.client.api import Client
from darkstream.errors import PrefectUnreachable
from darkstream.model.analyses import AnalysisRun
from darkstream.model.base import JobId
from darkstream.model.capabilities import Capabilities, Encoder
from darkstream.model.job import DispatchOrder
from darkstream.model.library import Library, Scan
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.wire import NodeReport, SubmitJob
from darkstream.settings import Settings

if TYPE_CHECKING:
    from darkstream.control.wing import Wing

DEADLINE_S = 20.0


class FakeDispatcher:
    """Matches control's Dispatcher and does as a Prefect would that runs nothing.

    `down` makes every call raise PrefectUnreachable; `states_of` may be changed by a test.
    """

    def __init__(self) -> None:
        self.down = False
        self.orders: list[DispatchOrder] = []
        self.runs: dict[str, str] = {}
        self.states_of: dict[str, str] = {}
        self.crashed: dict[str, str] = {}
        self.refuses_crashes = False
        self.cancelled: list[str] = []
        self.scans: list[Scan] = []
        self.settles: list[str] = []
        self.analyses: list[AnalysisRun] = []
        self.schedules: list[tuple[str, str | None]] = []
        self.closed = False

    def _answer(self) -> None:
        if self.down:
            raise PrefectUnreachable("no Prefect answers at the fake address")

    def _run(self, key: str) -> str:
        self._answer()
        run = self.runs.setdefault(key, str(uuid.uuid4()))
        self.states_of.setdefault(run, "SCHEDULED")
        return run

    async def setup(self) -> None:
        self._answer()

    async def create_flow_run(self, order: DispatchOrder, catalog_uuid: str) -> str:
        run = self._run(f"convert-{catalog_uuid}-{order.id}")
        self.orders.append(order)
        return run

    async def create_scan_run(self, scan: Scan, catalog_uuid: str) -> str:
        run = self._run(f"scan-{catalog_uuid}-{scan.id}")
        self.scans.append(scan)
        return run

    async def create_settle_run(self, key: str, catalog_uuid: str) -> str:
        self.settles.append(key)
        return self._run(f"settle-{catalog_uuid}-{key}")

    async def create_analysis_run(self, analysis: AnalysisRun, catalog_uuid: str) -> str:
        turn = analysis.attempts + analysis.releases
        run = self._run(f"analysis-{catalog_uuid}-{analysis.id}-{turn}")
        self.analyses.append(analysis)
        return run

    async def states(self, flow_run_ids: Sequence[str]) -> Mapping[str, str]:
        self._answer()
        return {run: self.states_of[run] for run in flow_run_ids if run in self.states_of}

    async def cancel(self, flow_run_id: str) -> None:
        self._answer()
        self.cancelled.append(flow_run_id)
        self.states_of[flow_run_id] = "CANCELLED"

    async def crash(self, flow_run_id: str, reason: str) -> None:
        self._answer()
        if self.refuses_crashes:
            raise PrefectUnreachable("Prefect answered 500")
        self.crashed[flow_run_id] = reason
        self.states_of[flow_run_id] = "CRASHED"

    async def apply_schedules(self, libraries: Sequence[Library]) -> None:
        self._answer()
        self.schedules = [(library.name, library.schedule) for library in libraries]

    async def close(self) -> None:
        self.closed = True


@dataclass
class RunningServer:
    """A server that answers at `url`; `dispatcher` is idle where Prefect is real."""

    url: str
    settings: Settings
    dispatcher: FakeDispatcher = field(default_factory=FakeDispatcher)


def node_report(*, gpu: str | None = None, slots: int = 2) -> NodeReport:
    """What a worker with one software encoder (and maybe a GPU) would say of itself."""
    encoders = [Encoder(name="libx264", codec="h264")]
    if gpu is not None:
        encoders.append(Encoder(name="h264_nvenc", codec="h264", hardware=True))
    return NodeReport(
        capabilities=Capabilities(
            ffmpeg="/usr/bin/ffmpeg",
            version="7.1",
            build="7.1-test",
            encoders=tuple(encoders),
            decoders=("h264",),
            filters=("scale",),
            muxers=("mp4",),
            sandbox="rlimits",
            gpu=gpu,
        ),
        pools=("cpu", "gpu", "control"),
        slots=slots,
        cores=2,
        version="0",
    )


def wait_until(condition: Any, what: str = "the condition", seconds: float = DEADLINE_S) -> Any:
    """Poll until the condition is true and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true within {seconds} s")


@contextmanager
def run_server(
    home: Path, *, prefect: bool = False, batch_seconds: float = 60.0, **changes: Any
) -> Iterator[RunningServer]:
    """Run a server with a home and a port of its own; `changes` are settings.

    `batch_seconds` is one of them. With `prefect` its Prefect is real and mounted (and takes its
    time), else the fake of `RunningServer.dispatcher`.
    """
    from darkstream.server.app import create_app

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        port = listener.getsockname()[1]
        settings = Settings.model_validate(
            {
                "home": home,
                **changes,
                "prefect": {"batch_seconds": batch_seconds},
                "server": {"host": "127.0.0.1", "port": port},
            }
        )
        running = RunningServer(settings.server_url, settings)
        app = create_app(settings, make_dispatcher=None if prefect else lambda: running.dispatcher)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), "the server's start")
            assert server.started, "the server did not start"
            yield running
        finally:
            app.state.stopping()
            server.should_exit = True
            thread.join(DEADLINE_S)
            assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def wing(tmp_path: Path) -> Iterator[Wing]:
    """The server wing without a server: a catalog in SQLite, and nothing that loops."""
    from darkstream.catalog import Catalog
    from darkstream.control.wing import Wing

    settings = Settings.model_validate({"home": tmp_path})
    catalog = Catalog(settings.catalog_url, lease=settings.lease)
    catalog.migrate()
    yield Wing(settings, catalog)
    catalog.close()


def submit(wing: Wing, *, priority: int = 50, preset: str | Preset = "web") -> JobId:
    """Submit a job to a wing."""
    from darkstream.control.jobs import submit_job

    request = SubmitJob(
        source="/videos/a.mkv",
        source_bytes=1_000_000,
        preset=preset,
        destination="/out",
        priority=priority,
    )
    return submit_job(wing, request).id


def preferring(hardware: Literal["prefer", "require"]) -> Preset:
    """A preset that wants a GPU, or demands one."""
    return Preset(name=hardware, video=VideoRule(hardware=hardware))


def silence_nodes(wing: Wing) -> None:
    """No node was heard of for long."""
    with wing.catalog.database.write() as connection:
        connection.execute(text("UPDATE nodes SET seen = 0"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A fresh server."""
    with run_server(tmp_path / "home") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    """A client of `server`."""
    with Client(server.url) as connected:
        yield connected

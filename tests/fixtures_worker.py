"""A real Prefect server, and a real worker process with flows made for its tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest

_T = TypeVar("_T")
_HERE = Path(__file__).parent


def wait_for(look: Callable[[], _T | None], *, seconds: float = 30.0, what: str = "it") -> _T:
    """The first answer of `look` that is not None; fails when there was none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (answer := look()) is not None:
            return answer
        time.sleep(0.05)
    pytest.fail(f"{what} did not come within {seconds:.0f} s")


def read_facts(path: Path, seconds: float = 30.0) -> Any:
    """What a flow of worker_flows said in its file, once it did."""
    wait_for(lambda: path.is_file() or None, seconds=seconds, what=str(path))
    return json.loads(path.read_text(encoding="utf-8"))


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    return bool(fields := _stat(pid)) and fields[0] != "Z"


def _stat(pid: int) -> list[str]:
    """State, parent and so on; nothing for a process that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return stat.rpartition(")")[2].split()


def descendants(pid: int) -> list[int]:
    """All processes below one, at this moment."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    queue = [pid]
    while queue:
        queue = [child for parent in queue for child in children.get(parent, [])]
        found += queue
    return found


class PrefectApi:
    """The few requests the tests make of a Prefect server, and what DarkStream was told."""

    def __init__(self, url: str, calls: Path) -> None:
        self.url = url
        self._calls = calls
        self._http = httpx.Client(base_url=f"{url}/api", timeout=30.0, trust_env=False)

    def post(self, path: str, body: object) -> Any:
        response = self._send("POST", path, body)
        return response.json() if response.content else None

    def patch(self, path: str, body: object) -> None:
        self._send("PATCH", path, body)

    def _send(self, method: str, path: str, body: object) -> httpx.Response:
        # SQLite under load answers 503, as Prefect's own client knows.
        response: httpx.Response = wait_for(
            lambda: (
                None if (r := self._http.request(method, path, json=body)).status_code == 503 else r
            )
        )
        return response.raise_for_status()

    def get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def deploy(self, flow: str, pool: str, **more: object) -> str:
        """A deployment of a flow of worker_flows on a pool; returns its id."""
        flow_id = self.post("/flows/", {"name": flow.replace("_", "-")})["id"]
        body = {
            "name": f"{flow}-{pool}",
            "flow_id": flow_id,
            "work_pool_name": pool,
            "entrypoint": f"worker_flows.{flow}",
            "enforce_parameter_schema": False,
        }
        return str(self.post("/deployments/", {**body, **more})["id"])

    def start(self, deployment: str, **parameters: object) -> UUID:
        """A flow run, due now."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return UUID(self.post(f"/deployments/{deployment}/create_flow_run", body)["id"])

    def state(self, flow_run: UUID) -> str:
        """The name of a flow run's state."""
        return str(self.get(f"/flow_runs/{flow_run}")["state_name"])

    def history(self, flow_run: UUID) -> list[str]:
        """The names of all states of a flow run."""
        states = self.get(f"/flow_run_states/?flow_run_id={flow_run}")
        return [state["name"] for state in sorted(states, key=lambda s: s["timestamp"])]

    def wait_state(self, flow_run: UUID, *names: str, seconds: float = 30.0) -> str:
        """Wait until the state has one of the names."""
        deadline = time.monotonic() + seconds
        while (state := self.state(flow_run)) not in names:
            if time.monotonic() > deadline:
                been = self.get(f"/flow_run_states/?flow_run_id={flow_run}")
                told = [(s["timestamp"], s["name"], s["message"]) for s in been]
                pytest.fail(f"{flow_run} was not {names} within {seconds:.0f} s, but {told}")
            time.sleep(0.05)
        return state

    def cancel(self, flow_run: UUID) -> None:
        """What the button in Prefect's UI does."""
        self.post(f"/flow_runs/{flow_run}/set_state", {"state": {"type": "CANCELLING"}})

    def told(self, part: str) -> list[tuple[str, str, Any]]:
        """What was sent to DarkStream's routes that have `part` in their path."""
        lines = self._calls.read_text(encoding="utf-8").splitlines()
        return [call for call in map(json.loads, lines) if part in call[1]]


class WorkerProcess:
    """A worker in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """What it wrote until now."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_log(self, text: str, seconds: float = 60.0) -> None:
        """Wait until it wrote something."""
        wait_for(lambda: text in self.log or None, seconds=seconds, what=f"{text!r} in the log")

    def stop(self) -> tuple[int, float]:
        """SIGTERM; its exit code, and how long it took in seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        return code, time.monotonic() - began


class Server:
    """A server process that can be killed and started again at its address."""

    def __init__(self, home: Path, template: Path) -> None:
        self._home = home
        (home / "prefect").mkdir(parents=True)
        shutil.copy(template / "prefect" / "prefect.db", home / "prefect" / "prefect.db")
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self.api = PrefectApi(self.url, home / "calls.jsonl")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        port_file = self._home / "port"
        port_file.unlink(missing_ok=True)
        with (self._home / "server.log").open("ab") as log:
            process = self._process = subprocess.Popen(
                [sys.executable, str(_HERE / "worker_server.py"), str(self._home), str(self._port)],
                stdout=log,
                stderr=log,
            )
        self._port = wait_for(lambda: _read_port(port_file), what="the port")
        wait_for(lambda: _healthy(self.url, process), seconds=120, what="the Prefect server")

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def free_server(home: Path, template: Path) -> Iterator[Server]:
    """A server of one's own, with a copy of a migrated database."""
    server = Server(home, template)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def prefect_api(
    prefect_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrefectApi]:
    """One Prefect server, with a stand-in for DarkStream's worker routes, for all worker tests."""
    with free_server(tmp_path_factory.mktemp("worker-server"), prefect_template) as server:
        yield server.api


def _read_port(path: Path) -> int | None:
    return int(path.read_text(encoding="ascii")) if path.is_file() else None


def _healthy(url: str, process: subprocess.Popen[bytes]) -> bool | None:
    assert process.poll() is None, "the Prefect server ended"
    try:
        return httpx.get(f"{url}/api/health", trust_env=False, timeout=5.0).is_success or None
    except httpx.TransportError:
        return None


@pytest.fixture
def start_worker(prefect_api: PrefectApi, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers, and ends them with the test; a test that fails shows what they logged."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*, pools: str, url: str | None = None, slots: int = 2) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        environment = {
            **os.environ,
            "PYTHONPATH": str(_HERE),
            "DARKSTREAM_HOME": str(tmp_path / "home"),
            "DARKSTREAM_SERVER__URL": url or prefect_api.url,
            "DARKSTREAM_WORKER__POOLS": json.dumps(pools.split()),
            "DARKSTREAM_WORKER__SLOTS": str(slots),
            "DARKSTREAM_WORKER__NAME": "testnode",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(_HERE / "worker_program.py")],
                env=environment,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        started.append(process)
        return WorkerProcess(process, log)

    yield start
    for number, process in enumerate(started):
        process.kill()
        process.wait()
        log = tmp_path / f"worker-{number}.log"
        sys.stdout.write(log.read_text("utf-8", errors="replace"))

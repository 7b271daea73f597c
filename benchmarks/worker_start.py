"""From the creation of a flow run to its body: forks of our zygote against fresh interpreters.

One server, one trivial flow, the variants take turns in one run:

fork      our worker: a fork of a process that has imported Prefect and the flow
fresh     no worker, no polling: `python -m prefect.engine` at once, the best a fresh import can do
process   Prefect's own process worker as it comes (it asks every 10 s)
process½  the same, asking every 0.5 s as ours does

CPU is that of the worker and all its descendants from just before the creation until the flow's
process is gone, polling included; the server is not counted. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.figures import Figure, run

_ROOT = Path(__file__).resolve().parent.parent
_ENTRYPOINT = "benchmarks.worker_flow.trivial"
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """One flow run: seconds and MiB."""

    latency_s: float
    cpu_s: float
    pss_mib: float
    private_mib: float


@dataclass(frozen=True)
class Variant:
    """A way to run a flow: its pool, and the worker (or None: started by hand)."""

    name: str
    pool: str
    worker: int | None


class Server:
    """A Prefect server of this benchmark's own."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self.environment = {
            **os.environ,
            "DO_NOT_TRACK": "1",
            "NO_PROXY": "127.0.0.1",
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PYTHONPATH": str(_ROOT),
            "DARKSTREAM_HOME": str(home),
            "DARKSTREAM_SERVER__URL": self.url,
            "DARKSTREAM_WORKER__POOLS": '["fork"]',
            "DARKSTREAM_WORKER__NAME": "bench",
        }
        self._http = httpx.Client(base_url=f"{self.url}/api", timeout=60, trust_env=False)

    def command(self) -> list[str]:
        """What starts it."""
        app = ["--factory", "prefect.server.api.server:create_app", "--log-level", "warning"]
        return ["-m", "uvicorn", *app, "--port", self.url.rpartition(":")[2]]

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return self._http.get("/health").is_success
        except httpx.TransportError:
            return False

    def post(self, path: str, body: object) -> dict[str, str]:
        """A request that is repeated while SQLite is busy."""
        while (response := self._http.post(path, json=body)).status_code == 503:
            time.sleep(0.2)
        response.raise_for_status()
        answer: dict[str, str] = response.json()
        return answer

    def deploy(self, pool: str, entrypoint: str = _ENTRYPOINT) -> str:
        """A flow (the trivial one) on a pool; returns the deployment's id."""
        kind = "darkstream" if pool == "fork" else "process"
        self.post("/work_pools/", {"name": pool, "type": kind})
        flow = self.post("/flows/", {"name": entrypoint.rpartition(".")[2]})["id"]
        body = {
            "name": pool,
            "flow_id": flow,
            "work_pool_name": None if pool == "fresh" else pool,
            "entrypoint": entrypoint,
            "enforce_parameter_schema": False,
        }
        return self.post("/deployments/", body)["id"]

    def create(self, deployment: str, parameters: dict[str, str]) -> str:
        """A flow run, due now; returns its id."""
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return self.post(f"/deployments/{deployment}/create_flow_run", body)["id"]

    def ended(self, flow_run: str) -> bool:
        """Whether a flow run has completed; anything else that is final is an error."""
        kind = self._http.get(f"/flow_runs/{flow_run}").raise_for_status().json()["state_type"]
        if kind in {"FAILED", "CRASHED", "CANCELLED"}:
            raise SystemExit(f"the flow run {flow_run} ended as {kind}")
        return bool(kind == "COMPLETED")


def wait_until(look: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for something, looking often."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long: see the logs above")
        time.sleep(0.01)


def measure(server: Server, variant: Variant, deployment: str, path: Path) -> Sample:
    """One flow run from its creation until its process is gone."""
    before = 0.0 if variant.worker is None else cpu_of_tree(variant.worker)
    created = time.time()
    flow_run = server.create(deployment, {"path": str(path)})
    by_hand = (
        None
        if variant.worker
        else start([sys.executable, "-m", "prefect.engine"], server, flow_run)
    )
    wait_until(path.exists)
    facts = json.loads(path.read_text(encoding="utf-8"))
    if by_hand is not None:
        _, _, usage = os.wait4(by_hand.pid, 0)
        by_hand.returncode = 0
        cpu = usage.ru_utime + usage.ru_stime
    else:
        wait_until(lambda: server.ended(flow_run) and not Path(f"/proc/{facts['pid']}").exists())
        cpu = cpu_of_tree(variant.worker or 0) - before
    return Sample(facts["began"] - created, cpu, facts["pss_mib"], facts["private_mib"])


def start(argv: Sequence[str], server: Server, flow_run: str) -> subprocess.Popen[bytes]:
    """A fresh interpreter for one flow run."""
    environment = {**server.environment, "PREFECT__FLOW_RUN_ID": flow_run}
    return subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL)


def cpu_of_tree(pid: int) -> float:
    """CPU seconds of a process, its living descendants, and those they have waited for."""
    fields: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(encoding="utf-8")
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields[int(entry.name)] = text.rpartition(")")[2].split()
    tree, ticks = {pid}, 0
    while more := {p for p, f in fields.items() if int(f[1]) in tree} - tree:
        tree |= more
    for member in tree & set(fields):
        ticks += sum(map(int, fields[member][11:15]))
    return ticks / _TICK


@contextmanager
def running(argv: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[int]:
    """A background process, ended in the end; gives its id."""
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=environment, stdout=output, stderr=output)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_worker() -> None:
    """`worker_start.py --worker`: our worker, as the command line starts it."""
    from darkstream.model.capabilities import Capabilities
    from darkstream.model.wire import NodeReport
    from darkstream.observe.logs import configure
    from darkstream.settings import Settings
    from darkstream.worker.main import serve

    nothing = Capabilities(
        **{"ffmpeg": "", "version": "", "build": "", "sandbox": "rlimits"},
        **{"encoders": (), "decoders": (), "filters": (), "muxers": ()},
    )
    node = NodeReport(capabilities=nothing, pools=("fork",), slots=1, cores=1, version="0")
    settings = Settings()
    configure(settings)
    serve(settings, report=lambda: node, entrypoints=[_ENTRYPOINT])


def compare(count: int, home: Path) -> dict[str, list[Sample]]:
    """All variants, `count` flow runs each, taking turns."""
    server = Server(home)
    process = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process", "--pool"]
    python = [sys.executable]
    with ExitStack() as stack:

        def launch(name: str, argv: Sequence[str], **more: str) -> int:
            environment = {**server.environment, **more}
            return stack.enter_context(running(argv, environment, home / f"{name}.log"))

        launch("server", [*python, *server.command()])
        wait_until(server.answers)
        names = ("fork", "fresh", "process", "process½")
        deployments = {name: server.deploy(name) for name in names}
        workers = {
            "fork": launch("fork", [*python, "-m", "benchmarks.worker_start", "--worker"]),
            "process": launch("process", [*process, "process"]),
            "process½": launch("half", [*process, "process½"], PREFECT_WORKER_QUERY_SECONDS="0.5"),
        }
        samples: dict[str, list[Sample]] = {name: [] for name in names}
        for turn in range(count + 1):
            for name in names:
                variant = Variant(name, name, workers.get(name))
                sample = measure(server, variant, deployments[name], home / f"{name}-{turn}")
                if turn:  # the first turn warms caches and waits for the workers to be up
                    samples[name].append(sample)
        return samples


def summarise(samples: list[Sample]) -> dict[str, float]:
    """Medians, and the worst latency."""
    latencies = sorted(sample.latency_s for sample in samples)
    return {
        "p50_s": statistics.median(latencies),
        "max_s": latencies[-1],
        "cpu_s": statistics.median(sample.cpu_s for sample in samples),
        "pss_mib": statistics.median(sample.pss_mib for sample in samples),
        "private_mib": statistics.median(sample.private_mib for sample in samples),
    }


def measure_all(options: argparse.Namespace) -> list[Figure]:
    """Ours against Prefect's process worker as it comes, and against one that asks as often."""
    with tempfile.TemporaryDirectory(
        prefix="darkstream-bench-", ignore_cleanup_errors=True
    ) as home:
        samples = compare(1 if options.quick else options.count, Path(home))
    found = {name: summarise(of_one) for name, of_one in samples.items()}
    ours, peer, quick = found["fork"], found["process"], found["process½"]
    start, name = "flow run start, p50", "Prefect's process worker"
    return [
        Figure(start, ours["p50_s"], "s", name, peer["p50_s"], at_most=1 / 8),
        Figure(start, ours["p50_s"], "s", f"{name}, 0.5 s poll", quick["p50_s"]),
        Figure(start, ours["p50_s"], "s", "a fresh engine", found["fresh"]["p50_s"]),
        Figure(f"{start}, two cores", ours["p50_s"], "s", at_most=1.0, of="ours"),
        Figure("CPU of a flow run", ours["cpu_s"], "s", name, peer["cpu_s"], at_most=1 / 5),
        Figure("PSS of a flow process", ours["pss_mib"], "MiB", name, peer["pss_mib"]),
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--count", type=int, default=8, help="flow runs of each variant")


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        run_worker()
    else:
        run(__doc__ or "", measure_all, add_options)

"""Stopping a worker, cancelling runs, and a server that goes away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from fixtures_worker import (
    PrefectApi,
    WorkerProcess,
    alive,
    descendants,
    free_server,
    read_facts,
    wait_for,
)

Start = Callable[..., WorkerProcess]


def test_sigterm_lets_flows_end_and_leaves_no_run_running(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="ends-term")
    worker.wait_log("worker_started")
    run = prefect_api.start(prefect_api.deploy("slow", "ends-term"), path=f"{tmp_path}/a")
    read_facts(tmp_path / "a")
    below = descendants(worker.process.pid)
    code, seconds = worker.stop()
    assert (code, seconds < 6) == (0, True), worker.log
    assert (tmp_path / "a.ended").exists()
    assert prefect_api.state(run) == "Crashed"
    assert not any(map(alive, below))


def test_sigterm_kills_what_does_not_end(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="ends-stubborn")
    worker.wait_log("worker_started")
    run = prefect_api.start(prefect_api.deploy("stubborn", "ends-stubborn"), path=f"{tmp_path}/a")
    below = [read_facts(tmp_path / "a")["pid"], *descendants(worker.process.pid)]
    code, seconds = worker.stop()
    assert (code, seconds < 12) == (0, True), worker.log
    assert prefect_api.state(run) == "Crashed"
    assert prefect_api.told(str(run))
    assert not any(map(alive, below))


def test_ctrl_c_in_a_terminal_is_for_the_worker_alone(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    """The terminal sends SIGINT to the whole foreground group: the flows are not in it."""
    worker = start_worker(pools="ends-int")
    worker.wait_log("worker_started")
    prefect_api.start(prefect_api.deploy("slow", "ends-int"), path=f"{tmp_path}/a")
    read_facts(tmp_path / "a")
    os.killpg(worker.process.pid, signal.SIGINT)
    assert worker.process.wait(12) == 0
    assert "KeyboardInterrupt" not in worker.log
    assert (tmp_path / "a.ended").exists()


def test_a_cancelled_run_ends_as_cancelled_without_a_crash(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="ends-cancel")
    worker.wait_log("worker_started")
    run = prefect_api.start(prefect_api.deploy("slow", "ends-cancel"), path=f"{tmp_path}/a")
    pid = read_facts(tmp_path / "a")["pid"]
    prefect_api.cancel(run)
    prefect_api.wait_state(run, "Cancelled", seconds=10)
    wait_for(lambda: not alive(pid) or None, seconds=5, what="the end of the process")
    assert (tmp_path / "a.ended").exists()
    assert "Crashed" not in prefect_api.history(run)
    assert prefect_api.told(str(run)) == []


def test_a_cancelled_run_that_does_not_end_is_killed(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="ends-kill")
    worker.wait_log("worker_started")
    run = prefect_api.start(prefect_api.deploy("stubborn", "ends-kill"), path=f"{tmp_path}/a")
    pid = read_facts(tmp_path / "a")["pid"]
    prefect_api.cancel(run)
    prefect_api.wait_state(run, "Cancelled", seconds=15)
    assert not alive(pid)


def test_a_server_restart_ends_neither_worker_nor_run(
    prefect_template: Path, start_worker: Start, tmp_path: Path
) -> None:
    with free_server(tmp_path / "server", prefect_template) as server:
        worker = start_worker(pools="ends-outage", url=server.api.url)
        worker.wait_log("worker_started")
        deployment = server.api.deploy("slow", "ends-outage")
        run = server.api.start(deployment, path=f"{tmp_path}/a", seconds=6)
        read_facts(tmp_path / "a")
        server.kill()
        worker.wait_log("prefect_unreachable")
        wait_for(lambda: (tmp_path / "a.ended").exists() or None, what="the end of the flow")
        assert worker.process.poll() is None
        server.start()
        server.api.wait_state(run, "Completed", seconds=60)
        again = server.api.start(server.api.deploy("quick", "ends-outage"), path=f"{tmp_path}/b")
        server.api.wait_state(again, "Completed", seconds=60)
        server.kill()
        code, seconds = worker.stop()
        assert (code, seconds < 12) == (0, True), worker.log

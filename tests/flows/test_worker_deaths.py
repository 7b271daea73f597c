"""kill -9 of a flow process, of the worker, of the zygote."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from fixtures_worker import (
    PrefectApi,
    WorkerProcess,
    alive,
    descendants,
    read_facts,
    wait_for,
)

Start = Callable[..., WorkerProcess]


def test_a_killed_flow_process_is_noticed_at_once(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    """Even with a child that lives on and holds its output; that child ends too."""
    worker = start_worker(pools="deaths-flow")
    worker.wait_log("worker_started")
    run = prefect_api.start(prefect_api.deploy("with_child", "deaths-flow"), path=f"{tmp_path}/f")
    facts = read_facts(tmp_path / "f")
    began = time.monotonic()
    os.kill(facts["pid"], signal.SIGKILL)
    wait_for(lambda: prefect_api.told(str(run)) or None, seconds=5, what="the loss")
    prefect_api.wait_state(run, "Crashed", seconds=5)
    assert time.monotonic() - began < 5
    wait_for(lambda: not alive(facts["child"]) or None, seconds=2, what="the child's end")
    method, path, body = prefect_api.told(str(run))[0]
    assert (method, path) == ("POST", f"worker/flow-runs/{run}/lost")
    assert "SIGKILL" in body["reason"]
    again = prefect_api.start(prefect_api.deploy("quick", "deaths-flow"), path=f"{tmp_path}/g")
    prefect_api.wait_state(again, "Completed")


def test_a_signal_interrupts_a_wait_whichever_thread_it_reaches(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="deaths-aside")
    worker.wait_log("worker_started")
    deployment = prefect_api.deploy("signalled_aside", "deaths-aside")
    run = prefect_api.start(deployment, path=f"{tmp_path}/a")
    read_facts(tmp_path / "a")
    wait_for(lambda: (tmp_path / "a.ended").exists() or None, seconds=10, what="the end")
    prefect_api.wait_state(run, "Crashed", seconds=10)


def test_nothing_outlives_a_killed_worker(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="deaths-worker")
    worker.wait_log("worker_started")
    deployment = prefect_api.deploy("stubborn", "deaths-worker")
    prefect_api.start(deployment, path=f"{tmp_path}/a")
    prefect_api.start(deployment, path=f"{tmp_path}/b")
    pids = {read_facts(tmp_path / name)["pid"] for name in "ab"}
    below = descendants(worker.process.pid)
    assert pids < set(below)
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    wait_for(lambda: not any(map(alive, below)) or None, seconds=2, what="the end of all")


def test_a_killed_zygote_is_replaced(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="deaths-zygote")
    worker.wait_log("worker_started")
    run = prefect_api.start(prefect_api.deploy("slow", "deaths-zygote"), path=f"{tmp_path}/a")
    first = read_facts(tmp_path / "a")
    os.kill(first["ppid"], signal.SIGKILL)
    prefect_api.wait_state(run, "Crashed", seconds=10)
    assert not alive(first["pid"])
    assert prefect_api.told(str(run))
    run = prefect_api.start(prefect_api.deploy("quick", "deaths-zygote"), path=f"{tmp_path}/b")
    prefect_api.wait_state(run, "Completed")
    second = read_facts(tmp_path / "b")
    assert second["ppid"] != first["ppid"]
    assert second["sigint_default"] is True
    assert "zygote_lost" in worker.log

"""Flow runs in forks of the zygote, against a real Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fixtures_worker import PrefectApi, WorkerProcess, read_facts

Start = Callable[..., WorkerProcess]


def test_two_pools_run_in_forks_of_one_zygote(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="runs-a runs-b")
    worker.wait_log("worker_started")
    runs = {}
    for pool in ("runs-a", "runs-b"):
        deployment = prefect_api.deploy("quick", pool, job_variables={"env": {"WANTED": pool}})
        runs[pool] = prefect_api.start(deployment, path=str(tmp_path / pool))
    zygotes = set()
    for pool, run in runs.items():
        prefect_api.wait_state(run, "Completed")
        facts = read_facts(tmp_path / pool)
        assert facts["pool"] == pool
        assert facts["sigint_default"] is True
        assert facts["blocked"] == []
        assert facts["group"] == facts["pid"]
        assert facts["home"] == str(tmp_path / "home" / "prefect")
        zygotes.add(facts["ppid"])
    assert len(zygotes) == 1
    assert worker.process.pid not in zygotes
    assert prefect_api.told("worker/nodes/testnode")[0][2]["version"] == "0"


def test_a_flow_that_fails_is_failed_and_nothing_is_lost(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="runs-failing")
    worker.wait_log("worker_started")
    run = prefect_api.start(prefect_api.deploy("failing", "runs-failing"), path=str(tmp_path / "f"))
    prefect_api.wait_state(run, "Failed")
    worker.wait_log("exit_code=0")
    assert prefect_api.told(str(run)) == []


def test_a_flow_that_was_not_loaded_is_loaded_in_the_child(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="runs-late")
    worker.wait_log("worker_started")
    worker.wait_log("flow_not_loaded")  # worker_flows.missing does not keep the others from running
    deployment = prefect_api.deploy("quick", "runs-late", entrypoint="worker_flows:quick")
    run = prefect_api.start(deployment, path=str(tmp_path / "late"))
    prefect_api.wait_state(run, "Completed")


def test_slots_are_shared_by_pools_but_never_keep_control_waiting(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="slots-a slots-b control", slots=1)
    worker.wait_log("worker_started")
    first = prefect_api.start(
        prefect_api.deploy("slow", "slots-a"), path=str(tmp_path / "first"), seconds=4
    )
    began = read_facts(tmp_path / "first")["at"]
    second = prefect_api.start(
        prefect_api.deploy("quick", "slots-b"), path=str(tmp_path / "second")
    )
    scan = prefect_api.start(prefect_api.deploy("quick", "control"), path=str(tmp_path / "scan"))
    prefect_api.wait_state(scan, "Completed")
    assert prefect_api.state(second) == "Scheduled"
    prefect_api.wait_state(first, "Completed")
    prefect_api.wait_state(second, "Completed")
    assert read_facts(tmp_path / "second")["at"] >= began + 4


def test_a_child_costs_little_memory(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    worker = start_worker(pools="runs-memory")
    worker.wait_log("worker_started")
    run = prefect_api.start(prefect_api.deploy("quick", "runs-memory"), path=str(tmp_path / "m"))
    prefect_api.wait_state(run, "Completed")
    facts = read_facts(tmp_path / "m")
    assert facts["private_kib"] < 60_000, facts


def test_prefects_own_command_starts_the_same_worker(
    prefect_api: PrefectApi, tmp_path: Path
) -> None:
    """The type is registered by its entry point; started so, it hatches its own zygote."""
    pool = "runs-alone"
    prefect_api.post("/work_pools/", {"name": pool, "type": "darkstream"})
    run = prefect_api.start(prefect_api.deploy("quick", pool), path=str(tmp_path / "alone"))
    run_once(prefect_api, pool, tmp_path)
    prefect_api.wait_state(run, "Completed")


def test_pools_of_type_process_run_the_same_flows(prefect_api: PrefectApi, tmp_path: Path) -> None:
    pool = "runs-process"
    prefect_api.post("/work_pools/", {"name": pool, "type": "process"})
    run = prefect_api.start(prefect_api.deploy("quick", pool), path=str(tmp_path / "process"))
    run_once(prefect_api, pool, tmp_path)
    prefect_api.wait_state(run, "Completed")


def run_once(prefect_api: PrefectApi, pool: str, home: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "PREFECT_API_URL": f"{prefect_api.url}/api",
        "PREFECT_HOME": str(home / "home" / "prefect"),
        "DARKSTREAM_HOME": str(home / "home"),
        "DARKSTREAM_SERVER__URL": prefect_api.url,
        "DO_NOT_TRACK": "1",
    }
    prefect = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--run-once"]
    subprocess.run(prefect, env=environment, check=True, timeout=90, capture_output=True)

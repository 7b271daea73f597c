"""Flow runs in forks of the zygote, against a real Prefect server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from fixtures_worker import PrefectApi, WorkerProcess, wait_for

Start = Callable[..., WorkerProcess]


def read_facts(path: Path, seconds: float = 30.0) -> dict[str, object]:
    wait_for(lambda: path.is_file() or None, seconds=seconds, what=str(path))
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(facts, dict)
    return facts


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

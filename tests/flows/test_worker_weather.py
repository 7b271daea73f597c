"""A worker whose server is not well, whose pool is closed, or who is stopped too early."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures_gate import Weather, gate_before
from fixtures_worker import (
    PrefectApi,
    WorkerProcess,
    alive,
    descendants,
    read_facts,
    wait_for,
)

Start = Callable[..., WorkerProcess]


@pytest.mark.parametrize("weather", ["503", "garbage", "hang"])
def test_whatever_the_server_answers_the_worker_asks_again(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path, weather: Weather
) -> None:
    pool = f"weather-{weather}"
    with gate_before(prefect_api.url) as gate:
        worker = start_worker(pools=pool, url=gate.url)
        worker.wait_log("worker_started")
        deployment = prefect_api.deploy("quick", pool)
        gate.turn(weather)
        worker.wait_log("prefect_unreachable")
        run = prefect_api.start(deployment, path=str(tmp_path / "a"))
        gate.turn("fine")
        prefect_api.wait_state(run, "Completed")
        assert worker.process.poll() is None
        code, _ = worker.stop()
        assert code == 0, worker.log


def test_a_paused_pool_waits_and_another_does_not(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    """What the switch in Prefect's UI does."""
    worker = start_worker(pools="paused-a paused-b")
    worker.wait_log("worker_started")
    prefect_api.patch("/work_pools/paused-a", {"is_paused": True})
    waiting = prefect_api.start(prefect_api.deploy("quick", "paused-a"), path=f"{tmp_path}/a")
    for number in range(2):  # the pools are asked in turns: the second answer is a later one
        other = prefect_api.deploy("quick", "paused-b")
        prefect_api.wait_state(prefect_api.start(other, path=f"{tmp_path}/{number}"), "Completed")
    assert prefect_api.state(waiting) == "Scheduled"
    prefect_api.patch("/work_pools/paused-a", {"is_paused": False})
    prefect_api.wait_state(waiting, "Completed")


def test_a_pools_own_limit_holds(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    pool = "weather-limit"
    body = {"name": pool, "type": "darkstream", "concurrency_limit": 1}
    prefect_api.post("/work_pools/", body)
    worker = start_worker(pools=pool, slots=2)
    worker.wait_log("worker_started")
    deployment = prefect_api.deploy("slow", pool)
    runs = [
        prefect_api.start(deployment, path=f"{tmp_path}/{number}", seconds=2.0)
        for number in range(2)
    ]
    for run in runs:
        prefect_api.wait_state(run, "Completed")
    first, second = sorted(read_facts(tmp_path / str(number))["at"] for number in range(2))
    assert second >= first + 2.0


def test_sigterm_while_it_starts(
    prefect_api: PrefectApi, start_worker: Start, tmp_path: Path
) -> None:
    """Before it could reach a server that hangs: nothing is left, and it does not take long."""
    with gate_before(prefect_api.url) as gate:
        gate.turn("hang")
        worker = start_worker(pools="weather-early", url=gate.url)
        below = wait_for(lambda: descendants(worker.process.pid) or None, what="the zygote")
        code, seconds = worker.stop()
    assert code == 0, worker.log
    assert seconds < 5
    wait_for(lambda: not any(map(alive, below)) or None, what="the end of the zygote")


def test_sigterm_at_once(start_worker: Start) -> None:
    worker = start_worker(pools="weather-at-once")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(10) in (0, -signal.SIGTERM)

"""What many flow runs leave behind in a worker: nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures_worker import PrefectApi, WorkerProcess, descendants, wait_for

Start = Callable[..., WorkerProcess]


def _memory(pid: int) -> int:
    """PSS in KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize(
    "count", [12, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_many_runs_leave_neither_memory_nor_files_nor_directories(
    prefect_api: PrefectApi,
    start_worker: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    pool = f"costs-{count}"
    worker = start_worker(pools=pool)
    worker.wait_log("worker_started")
    worker.wait_log("zygote_ready")
    deployment = prefect_api.deploy("quick", pool)

    def work(number: int) -> None:
        runs = [prefect_api.start(deployment, path=f"{tmp_path}/x") for _ in range(number)]
        for run in runs:
            prefect_api.wait_state(run, "Completed", seconds=120 + 4 * number)
        wait_for(lambda: None if len(descendants(worker.process.pid)) > 1 else True)

    work(4)
    (zygote,) = descendants(worker.process.pid)
    both = (worker.process.pid, zygote)
    before = [(_files(pid), _memory(pid)) for pid in both]
    work(count)
    after = [(_files(pid), _memory(pid)) for pid in both]
    told = f"files and PSS (KiB) of worker and zygote: {before} -> {after}"
    for (files, memory), (more_files, more_memory) in zip(before, after, strict=True):
        assert more_files <= files + 2, told
        assert more_memory - memory < 4_000 + 20 * count, told
    assert wait_for(lambda: os.listdir(temporary) == [] or None)

"""What many flow runs leave behind in a worker: nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures_worker import PrefectApi, WorkerProcess, descendants, wait_for

Start = Callable[..., WorkerProcess]


def _memory(pid: int) -> int:
    """Anonymous memory in KiB, shared or not: a share of it moves when a fork ends or writes."""
    text = Path(f"/proc/{pid}/status").read_text("utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon:"))


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _count(what: Callable[[int], int], pids: tuple[int, ...]) -> list[int]:
    return [what(pid) for pid in pids]


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
        paths = [f"{tmp_path}/{each}" for each in range(number)]
        runs = [prefect_api.start(deployment, path=path) for path in paths]
        for run in runs:
            prefect_api.wait_state(run, "Completed", seconds=120 + 4 * number)
        wait_for(lambda: None if len(descendants(worker.process.pid)) > 1 else True)

    work(4)
    (zygote,) = descendants(worker.process.pid)
    both = (worker.process.pid, zygote)
    files, memory = _count(_files, both), _count(_memory, both)
    work(count)
    # Connections that are kept for a while are no leak.
    wait_for(
        lambda: (
            all(now <= then + 2 for now, then in zip(_count(_files, both), files, strict=True))
            or None
        ),
        what=f"an end of open files: {files}",
    )
    more = _count(_memory, both)
    for now, then in zip(more, memory, strict=True):
        assert now - then < 4_000 + 20 * count, f"KiB of worker and zygote: {memory} -> {more}"
    assert wait_for(lambda: os.listdir(temporary) == [] or None)

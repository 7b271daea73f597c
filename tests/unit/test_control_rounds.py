from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import cast

import pytest
from fixtures_server import FakeDispatcher

from darkstream.catalog import Catalog
from darkstream.control.loops import _prefect_rounds
from darkstream.control.rounds import Round, run_rounds
from darkstream.control.troubles import Troubles
from darkstream.control.wake import Wake
from darkstream.control.wing import Wing
from darkstream.errors import ServiceError
from darkstream.settings import Settings


async def _until(condition: object, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator] # a callable of each test
            await asyncio.sleep(0.005)


async def test_a_step_that_fails_is_tried_again_and_trouble_is_noted_then_cleared() -> None:
    troubles, stop, calls = Troubles(), asyncio.Event(), 0
    seen: list[tuple[str, ...]] = []

    async def step() -> bool:
        nonlocal calls
        calls += 1
        seen.append(troubles.reasons())
        if calls == 1:
            raise ServiceError("Prefect is away")
        return False

    task = asyncio.create_task(run_rounds([Round("x", step, every_s=0.01)], troubles, stop))
    await _until(lambda: calls >= 3)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert seen[1] == ("Prefect is away",)
    assert seen[2] == ()


async def test_after_an_error_the_next_look_is_soon_however_long_the_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("darkstream.control.rounds._FIRST_PAUSE_S", 0.01)
    troubles, stop, calls = Troubles(), asyncio.Event(), 0

    async def step() -> bool:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise ServiceError("Prefect is away")
        return False

    task = asyncio.create_task(run_rounds([Round("x", step, every_s=600)], troubles, stop))
    await _until(lambda: calls == 3)
    stop.set()
    await asyncio.wait_for(task, 5)


def test_looks_at_flow_runs_are_woken_by_a_cancel(tmp_path: Path) -> None:
    wing = Wing(Settings(home=tmp_path), cast(Catalog, None))
    rounds = {one.part: one for one in _prefect_rounds(wing, FakeDispatcher())}
    for part in ("reconcile", "reconcile scans"):
        rounds[part].wake._event.clear()
    wing.wake_reconcilers()
    assert rounds["reconcile"].wake._event.is_set()
    assert rounds["reconcile scans"].wake._event.is_set()
    assert rounds["reconcile"].wake is not rounds["reconcile scans"].wake


@pytest.mark.logs_errors
async def test_an_error_is_logged_once_while_it_stays_the_same(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import structlog

    structlog.configure(
        processors=[structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    monkeypatch.setattr("darkstream.control.rounds._LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr("darkstream.control.rounds._log", structlog.get_logger("rounds"))
    troubles, stop, calls = Troubles(), asyncio.Event(), 0

    async def step() -> bool:
        nonlocal calls
        calls += 1
        raise ValueError("odd")

    with caplog.at_level(logging.INFO):
        task = asyncio.create_task(run_rounds([Round("x", step, every_s=0.0)], troubles, stop))
        await _until(lambda: calls >= 4)
        stop.set()
        await asyncio.wait_for(task, 5)
    structlog.reset_defaults()
    assert [record.message for record in caplog.records] == ["loop_failed"]


async def test_a_thread_wakes_a_sleeping_loop() -> None:
    wake, stop, calls = Wake(), asyncio.Event(), 0

    async def step() -> bool:
        nonlocal calls
        calls += 1
        return False

    task = asyncio.create_task(
        run_rounds([Round("x", step, every_s=60.0, wake=wake)], Troubles(), stop)
    )
    await _until(lambda: calls == 1)
    thread = threading.Thread(target=wake.set)
    thread.start()
    await _until(lambda: calls == 2)
    thread.join()
    stop.set()
    await asyncio.wait_for(task, 5)


async def test_a_step_with_more_to_do_goes_on_at_once() -> None:
    stop, calls = asyncio.Event(), 0

    async def step() -> bool:
        nonlocal calls
        calls += 1
        return calls < 5

    task = asyncio.create_task(run_rounds([Round("x", step, every_s=60.0)], Troubles(), stop))
    await _until(lambda: calls == 5)
    stop.set()
    await asyncio.wait_for(task, 5)

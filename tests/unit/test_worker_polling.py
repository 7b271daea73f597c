"""When a worker asks Prefect: at announcements, now and then, and more often without them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from darkstream.observe.bell import Bell
from darkstream.worker.announcements import Announcements
from darkstream.worker.polling import poll
from darkstream.worker.rest import Rest


class _Worker:
    """A worker with a free slot that is asked for nothing but to look for work."""

    limiter = SimpleNamespace(available_tokens=1)
    work_pool = object()
    pool = "cpu"

    def __init__(self) -> None:
        self.asked = 0

    async def sync_with_backend(self) -> None:
        pass

    async def get_and_submit_flow_runs(self) -> list[object]:
        self.asked += 1
        return []


class _Announcements:
    """What the poll sees of announcements; `ring` stands for the server."""

    def __init__(self, ask_again_s: float | None) -> None:
        self.ask_again_s = ask_again_s
        self._bell = Bell()
        self._bell.attach()
        self.ring = self._bell.ring

    @property
    def mark(self) -> int:
        return self._bell.mark

    async def wait(self, known: int, seconds: float) -> None:
        await self._bell.wait(known, seconds)


@asynccontextmanager
async def _polling(
    announcements: _Announcements, rest: Rest | None = None
) -> AsyncIterator[_Worker]:
    worker = _Worker()
    heard = cast(Announcements, announcements)
    task = asyncio.create_task(poll(cast(Any, worker), heard, rest or Rest()))
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_announcement_is_followed_at_once_and_silence_is_kept() -> None:
    announcements = _Announcements(ask_again_s=3600.0)
    async with _polling(announcements) as worker:
        await _until(lambda: worker.asked == 1)
        await asyncio.sleep(1.2)  # more than a poll without announcements waits
        assert worker.asked == 1
        announcements.ring()
        await _until(lambda: worker.asked == 2)


async def test_without_announcements_it_asks_again_and_again() -> None:
    async with _polling(_Announcements(ask_again_s=None)) as worker:
        await _until(lambda: worker.asked >= 3)


async def test_what_nobody_announces_is_found_in_time() -> None:
    async with _polling(_Announcements(ask_again_s=0.05)) as worker:
        await _until(lambda: worker.asked >= 3)


async def test_a_node_that_rests_asks_for_nothing_until_it_works_again() -> None:
    announcements, rest = _Announcements(ask_again_s=3600.0), Rest()
    rest.hear("soft")
    async with _polling(announcements, rest) as worker:
        announcements.ring()
        await asyncio.sleep(0.3)  # more than it waits after a ring
        assert worker.asked == 0
        rest.hear(None)
        await _until(lambda: worker.asked == 1)


async def test_scans_go_on_unless_a_node_is_drained() -> None:
    rest = Rest()
    assert not rest.keeps_from("cpu")
    for kind in ("soft", "hard"):
        rest.hear(cast(Any, kind))
        assert rest.keeps_from("gpu") and not rest.keeps_from("control")
        await rest.over("control")
    rest.hear("drain")
    assert rest.keeps_from("cpu") and rest.keeps_from("control")

"""Asks Prefect for work, pool by pool, for as long as the worker lives."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
import structlog

if TYPE_CHECKING:
    from darkstream.worker.announcements import Announcements
    from darkstream.worker.kind import DarkstreamWorker
    from darkstream.worker.rest import Rest

_log = structlog.get_logger(__name__)

_POLL_S = 0.5
_IDLE_POLL_S = 1.0
_IDLE_AFTER_S = 60.0
_FULL_LOOK_S = 0.05
_PACE_S = 0.1
"""Flow runs that are made together are fetched together."""
_SYNC_S = 30.0
_LONGEST_PAUSE_S = 5.0
_ANSWER_S = 8.0
"""Prefect's client would try again for two minutes, with pauses in which new work would wait."""


async def poll(worker: DarkstreamWorker, announcements: Announcements, rest: Rest) -> None:
    """Start flow runs as they come, never more than the slots; ends only by being cancelled.

    It asks when runs are announced, and now and then. Whatever Prefect answers, or if it does not,
    it asks again, less often. While the node rests it does not ask.
    """
    rhythm = _Rhythm()
    while True:
        while worker.limiter.available_tokens < 1:
            await asyncio.sleep(_FULL_LOOK_S)
        await rest.over(worker.pool)
        mark = announcements.mark
        try:
            async with asyncio.timeout(_ANSWER_S):
                if rhythm.sync_due or not _has_pool(worker):
                    await worker.sync_with_backend()
                    rhythm.synced()
                runs = await worker.get_and_submit_flow_runs()
        except (httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
            rhythm.failed(str(error) or type(error).__name__)
        else:
            rhythm.answered(busy=bool(runs))
        await asyncio.sleep(_PACE_S)
        await announcements.wait(mark, rhythm.pause(announcements.ask_again_s))


def _has_pool(worker: DarkstreamWorker) -> bool:
    try:
        return worker.work_pool is not None
    except RuntimeError:
        return False


class _Rhythm:
    """When to ask next."""

    def __init__(self) -> None:
        self._last_work = self._last_sync = time.monotonic()
        self._failures = 0

    def pause(self, announced_s: float | None) -> float:
        """Seconds until the next question; `announced_s` where news are announced meanwhile."""
        if self._failures:
            return float(min(_POLL_S * 2 ** (self._failures - 1), _LONGEST_PAUSE_S))
        if announced_s is not None:
            return announced_s
        idle = time.monotonic() - self._last_work > _IDLE_AFTER_S
        return _IDLE_POLL_S if idle else _POLL_S

    @property
    def sync_due(self) -> bool:
        """Whether Prefect should hear of this worker again."""
        return time.monotonic() - self._last_sync > _SYNC_S

    def synced(self) -> None:
        """Prefect has heard of this worker."""
        self._last_sync = time.monotonic()

    def failed(self, reason: str) -> None:
        """No answer, or no good one."""
        if not self._failures:
            _log.warning("prefect_unreachable", reason=reason)
        self._failures += 1

    def answered(self, *, busy: bool) -> None:
        """A good answer."""
        if self._failures:
            _log.info("prefect_reachable")
        self._failures = 0
        if busy:
            self._last_work = time.monotonic()

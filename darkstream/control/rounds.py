"""A step that is done again and again, survives its errors, and says so once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from darkstream.control.troubles import Troubles
from darkstream.control.wake import Wake
from darkstream.errors import ServiceError

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 15.0


@dataclass(frozen=True)
class Round:
    """One step and its rhythm.

    `step` returns true when there is more to do at once. `every_s` is the pause otherwise, cut
    short by `wake`, and after an error a second, then twice as long each time. `part` is what is in
    trouble while the step fails.
    """

    part: str
    step: Callable[[], Awaitable[bool]]
    every_s: float
    wake: Wake = field(default_factory=Wake)

    async def run(self, troubles: Troubles, stop: asyncio.Event) -> None:
        """Go on until told to stop; a step under way is finished first."""
        self.wake.attach()
        pause = _FIRST_PAUSE_S
        while not stop.is_set():
            try:
                more = await self.step()
            except Exception as error:  # noqa: BLE001 a loop that ends would stop the service silently
                complain(troubles, self.part, error)
                await wait_for(stop, pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                continue
            if troubles.clear(self.part):
                _log.info("recovered", part=self.part)
            pause = _FIRST_PAUSE_S
            if not more:
                await self.wake.wait(self.every_s)


def complain(troubles: Troubles, part: str, error: Exception) -> None:
    """Note what keeps a part from working, and log it once."""
    known = isinstance(error, ServiceError)
    reason = str(error) if known else f"{part} fails: {type(error).__name__}: {error}"
    if not troubles.report(part, reason):
        return
    if known:
        _log.warning("service_failed", part=part, reason=reason)
    else:
        _log.error("loop_failed", part=part, exc_info=error)


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Sleep until the event is set, at most so long."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def run_rounds(rounds: list[Round], troubles: Troubles, stop: asyncio.Event) -> None:
    """Run all until told to stop."""

    async def wake_all() -> None:
        await stop.wait()
        for each in rounds:
            each.wake.set()

    await asyncio.gather(wake_all(), *(each.run(troubles, stop) for each in rounds))

"""Wakes a loop of the event loop from any thread, so that work starts at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Wake:
    """An event that threads may set; before `attach` a call is remembered."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Belong to the running event loop from now on."""
        self._loop = asyncio.get_running_loop()

    def set(self) -> None:
        """Wake whoever waits; nothing happens once the event loop is closed."""
        if self._loop is None:
            self._event.set()
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> None:
        """Sleep until woken, at most so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()

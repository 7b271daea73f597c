"""A bell: rung from any thread, heard by any number of waiters of one event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Bell:
    """Says that something happened, not what; a ring between two waits is heard too.

    `mark` changes with every ring: who waits says which one it knows. Before `attach` only the mark
    changes, and nobody may wait.
    """

    def __init__(self, mark: int = 0) -> None:
        self.mark = mark
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next_ring = asyncio.Event()
        self._closed = False

    def attach(self) -> None:
        """Belong to the running event loop from now on."""
        self._loop = asyncio.get_running_loop()

    def ring(self) -> None:
        """Wake everybody who waits; nothing happens once the event loop is closed."""
        if self._loop is None:
            self.mark += 1
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ring)

    def close(self) -> None:
        """Wake everybody, and let nobody wait any more."""
        self._closed = True
        self.ring()

    def _ring(self) -> None:
        self.mark += 1
        rung, self._next_ring = self._next_ring, asyncio.Event()
        rung.set()

    async def wait(self, known: int, seconds: float) -> int:
        """The present mark: at once where it is not the known one, else at the next ring.

        After so many seconds without one it is the known mark.
        """
        if self.mark == known and not self._closed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._next_ring.wait(), seconds)
        return self.mark

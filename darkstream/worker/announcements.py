"""Hears from the DarkStream server when Prefect may have a flow run for this worker."""

from __future__ import annotations

import threading
import time

import structlog

from darkstream.client.api import Client
from darkstream.errors import DarkstreamError
from darkstream.observe.bell import Bell

_log = structlog.get_logger(__name__)

_ANSWER_S = 30.0
"""Longer than the server holds a question that has no answer yet."""
_AGAIN_S = 1.0
_PACE_S = 0.1


class Announcements:
    """Listens in a daemon thread from `start` to `stop`; make and use it in one event loop."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._bell = Bell()
        self._stopped = False
        self.ask_again_s: float | None = None
        """How long nothing is missed while no announcement comes, seconds; None: unknown."""

    @property
    def mark(self) -> int:
        """Which announcement was the last."""
        return self._bell.mark

    def start(self) -> None:
        """Begin to listen."""
        self._bell.attach()
        # A daemon: it may wait for an answer when the worker ends.
        threading.Thread(target=self._listen, name="announcements", daemon=True).start()

    def stop(self) -> None:
        """Listen no more; an answer that is still awaited is thrown away."""
        self._stopped = True

    async def wait(self, known: int, seconds: float) -> None:
        """Sleep until there is another announcement than the known one, at most so long."""
        await self._bell.wait(known, seconds)

    def _listen(self) -> None:
        heard: int | None = None
        with Client(self._server_url, timeout=_ANSWER_S) as client:
            while not self._stopped:
                try:
                    news = client.await_announcement(heard)
                except DarkstreamError as error:
                    self._lose(error)
                    time.sleep(_AGAIN_S)
                    continue
                self.ask_again_s = news.ask_again_s
                if news.mark != heard:
                    heard = news.mark
                    self._bell.ring()
                time.sleep(_PACE_S)

    def _lose(self, error: DarkstreamError) -> None:
        if self.ask_again_s is not None:
            _log.debug("no_announcements", reason=str(error))
            self.ask_again_s = None
            self._bell.ring()  # whoever relies on them must ask for itself now

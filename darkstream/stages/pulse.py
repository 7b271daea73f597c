"""A call repeated at an interval, in a thread of its own, while something else works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from darkstream.errors import DarkstreamError

log = structlog.get_logger(__name__)

_JOIN_S = 0.5


class Pulse:
    """A context that calls `beat` every `interval_s` seconds; an error of ours is only logged.

    The first of a row of errors is logged: a server that is away is away for a while.
    """

    def __init__(self, beat: Callable[[], None], interval_s: float, *, name: str) -> None:
        self._beat = beat
        self._interval_s = interval_s
        self._name = name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; a beat that still waits for an answer ends by itself."""
        self._over.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        away = False
        while not self._over.wait(self._interval_s):
            try:
                self._beat()
            except DarkstreamError as error:
                if not away:
                    log.warning("beat_failed", what=self._name, reason=str(error))
                away = True
            else:
                if away:
                    log.info("beat_answered", what=self._name)
                away = False

"""The cancel token: the one thing besides progress that travels sideways."""

from __future__ import annotations

import threading

from darkstream.errors import Cancelled, DarkstreamError


class CancelToken:
    """Set once, from any thread; long work looks at it and ends."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._error: DarkstreamError = Cancelled("cancelled")
        self._children: list[CancelToken] = []

    def cancel(self, error: DarkstreamError | None = None) -> None:
        """Ask the work to end; `error` is what it raises (default: Cancelled)."""
        if not self._event.is_set():
            self._error = error or self._error
            self._event.set()
        for child in self._children:
            child.cancel(self._error)

    def child(self) -> CancelToken:
        """A token for a part of the work: it ends with this one, and may be ended alone."""
        child = CancelToken()
        self._children.append(child)
        if self._event.is_set():  # set before it was among the children
            child.cancel(self._error)
        return child

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake when cancelled; true when it was."""
        return self._event.wait(seconds)

    def caused(self, error: BaseException) -> bool:
        """Whether that is what `check` raises."""
        return error is self._error

    def check(self) -> None:
        """Raise what `cancel` was given, if it was called."""
        if self._event.is_set():
            raise self._error

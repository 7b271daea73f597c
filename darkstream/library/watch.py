"""Watching a library's root: something changed, so look over it again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING

from darkstream.errors import StorageError
from darkstream.model.paths import display, is_text
from darkstream.observe.cancel import CancelToken

if TYPE_CHECKING:
    from watchfiles import Change

_LOOK_MS = 250  # how soon a cancel and a pause are noticed


def watch(
    root: bytes,
    on_change: Callable[[], None],
    cancel: CancelToken,
    *,
    quiet_s: float = 5.0,
    longest_s: float = 300.0,
) -> None:
    """Block until cancelled; call back once changes pause for `quiet_s`, at latest `longest_s`.

    Hidden names, our own part files among them, do not count. Raises StorageError where the system
    cannot watch the directory.
    """
    import watchfiles

    if not is_text(root):
        raise StorageError(f"cannot watch {display(root)}: its name is not UTF-8; use a schedule")
    if not os.path.isdir(root):
        raise StorageError(f"cannot watch {display(root)}: no directory here; use a schedule")
    top = root.decode()
    pause = _Pause(quiet_s, longest_s)
    try:
        for changes in watchfiles.watch(
            top,
            watch_filter=lambda _, path: is_visible(path, top),
            debounce=_LOOK_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            if cancel.cancelled:
                return
            if pause.over(time.monotonic(), changes):
                on_change()
    except OSError as error:
        raise StorageError(f"cannot watch {display(root)}: {error}; use a schedule") from error


def is_visible(path: str, root: str) -> bool:
    """Whether no part of a path below the root is hidden."""
    relative = PurePath(path).relative_to(root)
    return not any(part.startswith(".") for part in relative.parts)


class _Pause:
    """Says once, after changes, that they paused (or went on for too long)."""

    def __init__(self, quiet_s: float, longest_s: float) -> None:
        self._quiet_s = quiet_s
        self._longest_s = longest_s
        self._first: float | None = None
        self._last = 0.0

    def over(self, now: float, changes: set[tuple[Change, str]]) -> bool:
        if changes:
            self._first = now if self._first is None else self._first
            self._last = now
        if self._first is None:
            return False
        if now - self._last < self._quiet_s and now - self._first < self._longest_s:
            return False
        self._first = None
        return True

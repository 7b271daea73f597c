"""Whether files are complete: a file being written is left alone until it is still."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum

from darkstream.errors import SourceUnreadable, SourceVanished
from darkstream.library.identity import stat_hint
from darkstream.model.source import ChangeHint
from darkstream.observe.cancel import CancelToken

GROWING = "still being written; it is converted once it stays unchanged"


class Settling(StrEnum):
    """What became of a file since its hint was taken."""

    settled = "settled"
    growing = "growing"
    vanished = "vanished"
    unreadable = "unreadable"


def settled(
    path: bytes, hint: ChangeHint, seconds: float, cancel: CancelToken | None = None
) -> bool:
    """Whether a file still is what the hint says, and was not touched for that long.

    Waits only for a file touched less than `seconds` ago. Raises what `cancel` was given.
    """
    return settle([(path, hint)], seconds, cancel)[0] is Settling.settled


def settle(
    files: Sequence[tuple[bytes, ChangeHint]], seconds: float, cancel: CancelToken | None = None
) -> list[Settling]:
    """The same for many files (absolute paths), with one wait for all of them together.

    The change time decides: nobody can set it back, and every write moves it.
    """
    cancel = cancel or CancelToken()
    states = [_look(path, hint) for path, hint in files]
    waits = [
        _remaining(hint, seconds) if state is Settling.settled else 0.0
        for state, (_, hint) in zip(states, files, strict=True)
    ]
    longest = max(waits, default=0.0)
    if longest <= 0.0:
        return states
    cancel.wait(longest)
    cancel.check()
    return [
        _look(path, hint) if wait > 0.0 else state
        for state, wait, (path, hint) in zip(states, waits, files, strict=True)
    ]


def _look(path: bytes, hint: ChangeHint) -> Settling:
    try:
        return Settling.settled if stat_hint(path) == hint else Settling.growing
    except SourceVanished:
        return Settling.vanished
    except SourceUnreadable:
        return Settling.unreadable


def _remaining(hint: ChangeHint, seconds: float) -> float:
    """Seconds until the file counts as still; the whole time for a clock ahead of ours."""
    age = time.time() - hint.ctime_ns / 1e9
    return seconds if age < 0 else seconds - age

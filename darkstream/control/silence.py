"""Notices who was not heard of for too long."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


class Silence(Generic[_Key]):
    """How long each of several things has not been heard of, in seconds of this process's clock.

    A worker that dies before its first claim holds no lease that could expire. `heard` only needs
    to differ when something was heard: no clocks of two machines are compared.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float]) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._since: dict[_Key, tuple[object, float]] = {}

    def too_long(self, key: _Key, heard: object) -> bool:
        """Whether nothing new was heard of it for the whole limit."""
        last, since = self._since.get(key, (None, 0.0))
        if key not in self._since or last != heard:
            self._since[key] = (heard, self._clock())
            return False
        return self._clock() - since > self._limit_s

    def end(self, key: _Key) -> None:
        """Something was heard of it."""
        self._since.pop(key, None)

    def keep_only(self, keys: Iterable[_Key]) -> None:
        """Forget all others."""
        known = frozenset(keys)
        self._since = {key: value for key, value in self._since.items() if key in known}

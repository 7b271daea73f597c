"""Waiting for a server that is away: an encode must not end because the server restarts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from darkstream.errors import ServiceError
from darkstream.observe.cancel import CancelToken

log = structlog.get_logger(__name__)

_T = TypeVar("_T")
_FIRST_S = 0.2
_LONGEST_S = 5.0


def outlast(
    call: Callable[[], _T], cancel: CancelToken | None = None, *, at_most_s: float | None = None
) -> _T:
    """Make a call that may be repeated, again and again while no server answers it.

    Raises what `cancel` was given, the last ServiceError after `at_most_s` seconds (None: never),
    and every other error at once.
    """
    cancel = cancel or CancelToken()
    begun, delay = time.monotonic(), _FIRST_S
    while True:
        try:
            return call()
        except ServiceError as error:
            if at_most_s is not None and time.monotonic() - begun + delay > at_most_s:
                raise
            if delay == _FIRST_S:
                log.warning("server_away", reason=str(error))
        # Many workers wait for the same server: they must not all come back at once.
        if cancel.wait(delay * random.uniform(0.5, 1.5)):  # noqa: S311 - no secret
            cancel.check()
        delay = min(delay * 2, _LONGEST_S)

"""Which errors a step is tried again for: the one retry system of a job's steps."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

from prefect.client.schemas.objects import State

from darkstream.errors import ServiceError

_ERRNOS = frozenset(
    {
        errno.EIO,
        errno.ESTALE,
        errno.EAGAIN,
        errno.EBUSY,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EREMOTEIO,
    }
)
"""What a network file system or a loose cable says, and may not say the next time."""


def is_transient(_task: object, _task_run: object, state: State[Any]) -> bool:
    """Prefect's `retry_condition_fn`: whether the same step may succeed in a moment.

    A damaged file, a full disk or a verification that failed is the same the next time.
    """
    return isinstance(state.data, BaseException) and may_pass(state.data)


def may_pass(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, goes away by itself."""
    return any(
        isinstance(one, ServiceError) or (isinstance(one, OSError) and one.errno in _ERRNOS)
        for one in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__

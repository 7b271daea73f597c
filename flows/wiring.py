"""How steps become Prefect tasks: their retries, their cache, and the futures that wire them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.states import Cancelled as CancelledState
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.transactions import get_transaction

from darkstream.errors import Cancelled, LeaseLost, NodePaused
from darkstream.observe.logs import configure_once
from darkstream.settings import Settings
from flows.transient import is_transient

_P = ParamSpec("_P")
_R = TypeVar("_R")

THREADS = cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner(max_workers=2))
"""The steps of a flow run: one works, and one may wait for it."""

_RETRIED: Any = {
    "retries": 2,
    "retry_delay_seconds": [1, 4],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
}
FRESH: Any = {**_RETRIED, "cache_policy": NO_CACHE, "persist_result": False}
"""Options of a step that is done every time."""
CACHED: Any = {
    **_RETRIED,
    "persist_result": True,
    "result_serializer": "json",
    "cache_expiration": timedelta(days=30),
}
"""Options of a step whose result is found again by its cache key."""


def enter() -> Settings:
    """What each flow begins with: the settings, and a log as they say.

    A flow process of our own worker has it already; one of Prefect's process worker has not.
    """
    settings = Settings()
    configure_once(settings)
    return settings


def stoppable(step: Callable[_P, _R]) -> Callable[_P, _R]:
    """A step that Prefect's pages show as cancelled, not as failed, when it was told to stop.

    Its future then raises Prefect's CancelledRun, and nothing is kept under its cache key: Prefect
    would keep the state's data, which is nothing, and give that to the next attempt.
    """

    @wraps(step)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return step(*args, **kwargs)
        except (Cancelled, LeaseLost, NodePaused) as error:
            if (result := get_transaction()) is not None:
                result.write_on_commit = False
            return cast(_R, CancelledState(message=str(error)))

    return run


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off what would end this process, for something short that is not to be left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no signal interrupts it
        return
    heard: list[int] = []
    ends = (signal.SIGTERM, signal.SIGINT)
    former = {one: signal.signal(one, lambda number, _: heard.append(number)) for one in ends}
    try:
        yield
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)
        for number in heard:
            signal.raise_signal(number)


def submit(step: Task[..., _R], *arguments: object) -> PrefectConcurrentFuture[_R]:
    """Begin a step in a thread; futures among its arguments are edges of the graph."""
    return cast(PrefectConcurrentFuture[_R], step.submit(*arguments))

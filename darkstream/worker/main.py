"""The entrance of the worker: one process for all its pools, in the foreground."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NoReturn

import structlog

from darkstream.errors import PrefectUnreachable
from darkstream.worker.entrypoints import read_entrypoints
from darkstream.worker.environment import adopt_environment, name_node
from darkstream.worker.node import report_node
from darkstream.worker.rest import Rest
from darkstream.worker.slots import CONTROL_POOL, CONTROL_SLOTS, count_slots

if TYPE_CHECKING:
    from types import FrameType

    from darkstream.model.wire import NodeReport
    from darkstream.settings import Settings
    from darkstream.worker.hatching import Hatched
    from darkstream.worker.kind import DarkstreamWorker
    from darkstream.worker.processes import FlowProcesses

_log = structlog.get_logger(__name__)

_FLOWS_END_S = 8.0
_REPORTS_END_S = 1.5
_ALL_END_S = 10.5
_LAST_EVENTS_S = 1.0
"""For Prefect's client to send its last events, if there is somebody to take them."""


def serve(
    settings: Settings,
    *,
    report: Callable[[], NodeReport],
    entrypoints: Sequence[str] | None = None,
) -> None:
    """Serve the pools of the settings until SIGTERM or SIGINT; returns within 12 s of it.

    `report` says what this node can do; it is called now and then, in a thread. `entrypoints` are
    the flows to load beforehand (default: those of prefect.yaml). Call this in the main thread of a
    process of its own, before Prefect is imported and before any thread is started: that process
    is to end after it. Raises PrefectUnreachable where Prefect refuses this worker.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_early)
    adopt_environment(settings)
    import darkstream.worker.kind  # noqa: F401 - with Prefect, before the fork, to share the pages
    from darkstream.worker.hatching import fork_zygote

    loaded = read_entrypoints() if entrypoints is None else tuple(entrypoints)
    zygote = fork_zygote(loaded)
    asyncio.run(_work(settings, zygote, loaded, report))


def _leave_early(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Nothing has been started yet that would need an end."""
    sys.exit(0)


async def _work(
    settings: Settings,
    zygote: Hatched,
    entrypoints: tuple[str, ...],
    report: Callable[[], NodeReport],
) -> None:
    from darkstream.worker.processes import FlowProcesses

    stop = _stop_on_signals()
    processes = FlowProcesses(zygote, entrypoints)
    rest = Rest()
    node = asyncio.create_task(report_node(settings.server_url, name_node(settings), report, rest))
    pools = asyncio.create_task(_serve_pools(settings, processes, rest, stop))
    try:
        await _first(stop, pools)
        node.cancel()
        await processes.stop(_FLOWS_END_S)
        await asyncio.wait({pools}, timeout=_REPORTS_END_S)
        if pools.done():
            pools.result()
        else:
            _log.warning("ends_not_reported", reason="the servers did not answer in time")
            pools.cancel()
    finally:
        await processes.close()
    _log.info("worker_stopped")
    _exit_within(_LAST_EVENTS_S)  # a thread may still wait for a server that hangs


def _stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; from then on, the process ends in time."""
    stop = asyncio.Event()

    def begin() -> None:
        if not stop.is_set():
            _log.info("worker_stopping")
            _exit_within(_ALL_END_S)
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, begin)
    return stop


def _exit_within(seconds: float) -> None:
    """End this process by then, whatever still hangs: nothing of it would change the outcome."""
    guard = threading.Timer(seconds, os._exit, args=(0,))
    guard.daemon = True
    guard.start()


async def _first(stop: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Wait until `stop` is set, or one of the tasks ended; its error is raised."""
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    for task in tasks:
        if task in done:
            task.result()


async def _serve_pools(
    settings: Settings, processes: FlowProcesses, rest: Rest, stop: asyncio.Event
) -> None:
    """Poll until `stop` is set, then wait for the runs that were taken."""
    import httpx

    from darkstream.worker.announcements import Announcements
    from darkstream.worker.polling import poll

    announcements = Announcements(settings.server_url)
    async with AsyncExitStack() as stack:
        workers = _make_workers(settings, processes)
        for worker in workers:
            try:
                await stack.enter_async_context(worker)
            except httpx.HTTPStatusError as error:
                raise PrefectUnreachable(
                    f"the Prefect API at {settings.prefect_api_url} refuses this worker "
                    f"(status {error.response.status_code}): is the address right?"
                ) from error
        _share_slots(settings, workers)
        _log.info("worker_started", pools=settings.worker.pools)
        announcements.start()
        polls = [asyncio.create_task(poll(worker, announcements, rest)) for worker in workers]
        try:
            await _first(stop, *polls)
        finally:
            announcements.stop()
            for task in polls:
                task.cancel()


def _make_workers(settings: Settings, processes: FlowProcesses) -> list[DarkstreamWorker]:
    from darkstream.worker.kind import DarkstreamWorker

    return [
        DarkstreamWorker(
            work_pool_name=pool,
            name=name_node(settings),
            prefetch_seconds=0,
            processes=processes,
            server_url=settings.server_url,
            runs=settings.home / "runs",
        )
        for pool in settings.worker.pools
    ]


def _share_slots(settings: Settings, workers: list[DarkstreamWorker]) -> None:
    """One limit for all encodes, another for scans and upkeep."""
    import anyio

    from darkstream.worker.prefect_seam import share_limiter

    encodes = anyio.CapacityLimiter(count_slots(settings.worker))
    control = anyio.CapacityLimiter(CONTROL_SLOTS)
    for worker in workers:
        share_limiter(worker, control if worker.pool == CONTROL_POOL else encodes)

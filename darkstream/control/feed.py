"""Feeds Prefect: a bounded window of flow runs from the catalog's queue."""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from darkstream.control.dispatcher import Dispatcher
from darkstream.control.nodes import choose_again, count_slots, is_gpu_gone, pools_served
from darkstream.control.wing import Wing
from darkstream.model.base import DispatchId
from darkstream.model.job import DispatchOrder

_log = structlog.get_logger(__name__)

_STRIDE = 8
"""Flow runs made between two looks at the queue, so that an urgent job waits a second or two."""


async def feed_jobs(wing: Wing, dispatcher: Dispatcher) -> bool:
    """Make the next few flow runs; true when there may be more to make.

    Raises PrefectUnreachable with everything put back into the queue.
    """
    unfinished = await asyncio.to_thread(wing.catalog.dispatches.unfinished)
    for leftover in (row for row in unfinished if row.flow_run is None):
        # Only this loop makes flow runs: an unbound dispatch is what a crash left of one.
        await _put_back(wing, leftover.id, "the server ended before its flow run was made")
    waiting = Counter(row.pool for row in unfinished if row.flow_run is not None)
    nodes = await asyncio.to_thread(wing.catalog.nodes.all)
    if is_gpu_gone(wing, nodes):
        await asyncio.to_thread(choose_again, wing, "gpu", nodes)
    made = 0
    for pool in pools_served(nodes):
        orders = await asyncio.to_thread(
            wing.catalog.dispatches.plan,
            pool=pool,
            window=min(wing.settings.prefect.window, waiting[pool] + _STRIDE),
            batch_seconds=wing.settings.prefect.batch_seconds,
            live_slots=count_slots(nodes, pool),
        )
        await _create_all(wing, dispatcher, orders)
        made += len(orders)
    return made > 0


async def _create_all(wing: Wing, dispatcher: Dispatcher, orders: list[DispatchOrder]) -> None:
    done = 0
    try:
        for order in orders:
            flow_run = await dispatcher.create_flow_run(order, wing.catalog.uuid)
            await asyncio.to_thread(wing.catalog.dispatches.bind, order.id, flow_run)
            done += 1
            wing.runs_bell.ring()
            _log.info("dispatched", dispatch=order.id, pool=order.pool, jobs=len(order.jobs))
    finally:
        for order in orders[done:]:
            await _put_back(wing, order.id, "Prefect did not take it")


async def _put_back(wing: Wing, dispatch: DispatchId, reason: str) -> None:
    await asyncio.to_thread(wing.catalog.dispatches.lose, dispatch, reason)


async def feed_scans(wing: Wing, dispatcher: Dispatcher) -> bool:
    """Make the flow runs of waiting scans."""
    for scan in await asyncio.to_thread(wing.catalog.scans.queued):
        flow_run = await dispatcher.create_scan_run(scan, wing.catalog.uuid)
        await asyncio.to_thread(wing.catalog.scans.bind, scan.id, flow_run)
        wing.scan_runs.note(scan.id, flow_run)
        wing.runs_bell.ring()
        _log.info("scan_dispatched", scan=scan.id, library=scan.library)
    return False


async def set_schedules(wing: Wing, dispatcher: Dispatcher) -> bool:
    """Make Prefect's schedules those of the libraries."""
    await dispatcher.apply_schedules(await asyncio.to_thread(wing.catalog.libraries.all))
    return False

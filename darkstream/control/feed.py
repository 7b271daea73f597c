"""Feeds Prefect: a bounded window of flow runs from the catalog's queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog

from darkstream.control.dispatcher import Dispatcher
from darkstream.control.nodes import (
    Pool,
    choose_again,
    count_light,
    count_slots,
    is_gpu_gone,
    is_resting,
    limit_runs,
    pools_served,
    slots_of,
)
from darkstream.control.wing import Wing
from darkstream.model.base import DispatchId
from darkstream.model.job import DispatchOrder
from darkstream.model.wire import Node

_log = structlog.get_logger(__name__)

_SETTLED_S = 120.0
"""By then a flow run has done what was asked for, or is lost."""
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
        if is_resting(nodes, pool):
            continue
        orders = await asyncio.to_thread(
            wing.catalog.dispatches.plan,
            pool=pool,
            window=min(
                limit_runs(nodes, pool, wing.settings.prefect.window), waiting[pool] + _STRIDE
            ),
            batch_seconds=wing.settings.prefect.batch_seconds,
            live_slots=count_slots(nodes, pool),
        )
        await _create_all(wing, dispatcher, orders)
        made += len(orders)
        if not orders:
            most = limit_runs(nodes, pool, wing.settings.prefect.window) - waiting[pool]
            helpers = await _plan_help(wing, nodes, pool, min(most, _STRIDE))
            await _create_all(wing, dispatcher, helpers)
    return made > 0


async def _plan_help(
    wing: Wing, nodes: Sequence[Node], pool: Pool, most: int
) -> list[DispatchOrder]:
    """Flow runs for slots that no job wants: they help with the chunks of films."""
    other: Pool = "gpu" if pool == "cpu" else "cpu"
    return await asyncio.to_thread(
        wing.catalog.films.plan_help,
        pool=pool,
        batch_seconds=wing.settings.prefect.batch_seconds,
        most=most,
        slots=slots_of(nodes, pool),
        elsewhere=slots_of(nodes, other).keys(),
    )


async def _create_all(wing: Wing, dispatcher: Dispatcher, orders: list[DispatchOrder]) -> None:
    done = 0
    try:
        for order in orders:
            flow_run = await dispatcher.create_flow_run(order, wing.catalog.uuid)
            await asyncio.to_thread(wing.catalog.dispatches.bind, order.id, flow_run)
            done += 1
            wing.runs_bell.ring()
            told = {"jobs": len(order.jobs)} if order.film is None else {"film": order.film}
            _log.info("dispatched", dispatch=order.id, pool=order.pool, **told)
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


async def feed_replacements(wing: Wing, dispatcher: Dispatcher) -> bool:
    """Make the flow run that does what was asked for; another one where the first did not."""
    asked = await asyncio.to_thread(wing.catalog.replacements.asked)
    if asked is None:
        return False
    waiting_s = await asyncio.to_thread(wing.catalog.replacements.now) - asked
    key = f"{asked:.3f}-{int(waiting_s / _SETTLED_S)}"
    # The same key makes the same run, so that nothing has to be remembered over a restart.
    await dispatcher.create_settle_run(key, wing.catalog.uuid)
    wing.runs_bell.ring()
    return False


async def feed_analyses(wing: Wing, dispatcher: Dispatcher) -> bool:
    """Make the flow runs of waiting analyses: at most as many at once as nodes could do them.

    Each node works on two light things at once, so that scans and undos never wait for analyses.
    """
    nodes = await asyncio.to_thread(wing.catalog.nodes.all)
    most = max(1, count_light(nodes))
    for analysis in await asyncio.to_thread(wing.catalog.analyses.queued, most):
        flow_run = await dispatcher.create_analysis_run(analysis, wing.catalog.uuid)
        await asyncio.to_thread(wing.catalog.analyses.bind, analysis.id, flow_run)
        wing.runs_bell.ring()
        _log.info("analysis_dispatched", analysis=analysis.id, paths=analysis.path_count)
    return False


async def set_schedules(wing: Wing, dispatcher: Dispatcher) -> bool:
    """Make Prefect's schedules those of the libraries."""
    await dispatcher.apply_schedules(await asyncio.to_thread(wing.catalog.libraries.all))
    return False

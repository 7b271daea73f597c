"""Brings catalog and Prefect together where they differ; the catalog is the truth about jobs."""

from __future__ import annotations

import asyncio

import structlog

from darkstream.control.dispatcher import Dispatcher
from darkstream.control.wing import Wing

_log = structlog.get_logger(__name__)

_CANCELLED = frozenset({"CANCELLING", "CANCELLED"})
_OVER = frozenset({"CRASHED", "FAILED", "COMPLETED"})


async def reconcile_jobs(wing: Wing, dispatcher: Dispatcher) -> bool:
    """Carry cancels and ends of flow runs, as Prefect knows them, into the catalog."""
    rows = await asyncio.to_thread(wing.catalog.dispatches.unfinished)
    runs = {row.flow_run: row.id for row in rows if row.flow_run is not None}
    states = await dispatcher.states(list(runs)) if runs else {}
    for flow_run, dispatch in runs.items():
        state = states.get(flow_run)
        if state in _CANCELLED:
            _log.info("cancelled_in_prefect", dispatch=dispatch, flow_run=flow_run)
            await asyncio.to_thread(wing.catalog.dispatches.cancel, dispatch)
        elif state is None or state in _OVER:
            reason = f"its flow run is {(state or 'gone').lower()} in Prefect"
            _log.warning("flow_run_over", dispatch=dispatch, flow_run=flow_run, state=state)
            await asyncio.to_thread(wing.catalog.dispatches.lose, dispatch, reason)
            wing.jobs_wake.set()
    return False


async def expire_leases(wing: Wing) -> bool:
    """Give the jobs of silent workers to others."""
    jobs = await asyncio.to_thread(wing.catalog.leases.expire)
    if jobs:
        _log.warning("leases_expired", jobs=list(jobs))
        wing.board.forget(jobs)
        wing.jobs_wake.set()
    await asyncio.to_thread(wing.catalog.scans.expire)
    return False

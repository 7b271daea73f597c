"""The loops of the server: feed Prefect, reconcile, expire, deliver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from darkstream.control.dispatcher import Dispatcher
from darkstream.control.feed import (
    feed_analyses,
    feed_jobs,
    feed_replacements,
    feed_scans,
    set_schedules,
)
from darkstream.control.outbox import deliver_due, prune
from darkstream.control.reconcile import Reconciler, expire_leases
from darkstream.control.reconcile_analyses import AnalysisReconciler, expire_analyses, forget_old
from darkstream.control.reconcile_scans import ScanReconciler
from darkstream.control.replacements import keep_time
from darkstream.control.rounds import Round, complain, run_rounds, wait_for
from darkstream.control.troubles import Troubles
from darkstream.control.wing import Wing

_log = structlog.get_logger(__name__)

_GRACE_S = 1.0
_RECONNECT_S = 2.0
_PREFECT = "prefect"
_TOLD_S, _UNTOLD_S = 5.0, 2.0
"""How often flow runs are looked at where an embedded Prefect's cancels are heard of, and else."""

Connect = Callable[[], Awaitable[Dispatcher]]
"""Waits until Prefect answers, makes it ready for us, and gives the dispatcher."""


@asynccontextmanager
async def running_loops(wing: Wing, connect: Connect) -> AsyncIterator[None]:
    """Run all loops for as long as the context lasts.

    The catalog's loops start at once; those that speak to Prefect start once `connect` is through,
    and `ready` says so meanwhile.
    """
    wing.troubles.report(_PREFECT, "Prefect is still starting")
    wing.runs_bell.attach()
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(run_rounds(_catalog_rounds(wing), wing.troubles, stop)),
        asyncio.create_task(_serve_prefect(wing, connect, stop)),
    ]
    try:
        yield
    finally:
        stop.set()
        _, late = await asyncio.wait(tasks, timeout=_GRACE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _catalog_rounds(wing: Wing) -> list[Round]:
    return [
        Round("expiry", lambda: expire_leases(wing), every_s=5.0),
        Round("outbox", lambda: deliver_due(wing), every_s=2.0),
        Round("originals", lambda: keep_time(wing), every_s=300.0),
        Round("old events", lambda: prune(wing), every_s=3600.0),
        Round("silent analyses", lambda: expire_analyses(wing), every_s=5.0),
        Round("old analyses", lambda: forget_old(wing), every_s=3600.0),
    ]


def _prefect_rounds(wing: Wing, dispatcher: Dispatcher) -> list[Round]:
    jobs, scans = Reconciler(wing, dispatcher), ScanReconciler(wing, dispatcher)
    analyses = AnalysisReconciler(wing, dispatcher)
    embedded = wing.settings.prefect.api_url is None
    look_s = _TOLD_S if embedded else _UNTOLD_S
    return [
        Round("dispatch", lambda: feed_jobs(wing, dispatcher), every_s=2.0, wake=wing.jobs_wake),
        Round("scans", lambda: feed_scans(wing, dispatcher), every_s=2.0, wake=wing.scans_wake),
        Round(
            "replacements",
            lambda: feed_replacements(wing, dispatcher),
            every_s=5.0,
            wake=wing.replacements_wake,
        ),
        Round(
            "analyses",
            lambda: feed_analyses(wing, dispatcher),
            every_s=2.0,
            wake=wing.analyses_wake,
        ),
        Round("reconcile", jobs.step, every_s=look_s, wake=wing.job_states_wake),
        Round("reconcile scans", scans.step, every_s=look_s, wake=wing.scan_states_wake),
        Round(
            "reconcile analyses",
            analyses.step,
            every_s=look_s,
            wake=wing.analysis_states_wake,
        ),
        Round(
            "schedules",
            lambda: set_schedules(wing, dispatcher),
            every_s=300.0,
            wake=wing.schedules_wake,
        ),
    ]


async def _serve_prefect(wing: Wing, connect: Connect, stop: asyncio.Event) -> None:
    dispatcher = await _connect(wing.troubles, connect, stop)
    if dispatcher is None:
        return
    try:
        await run_rounds(_prefect_rounds(wing, dispatcher), wing.troubles, stop)
    finally:
        await dispatcher.close()


async def _connect(troubles: Troubles, connect: Connect, stop: asyncio.Event) -> Dispatcher | None:
    while not stop.is_set():
        try:
            dispatcher = await connect()
        except Exception as error:  # noqa: BLE001 Prefect may fail in any way; we try again
            complain(troubles, _PREFECT, error)
            await wait_for(stop, _RECONNECT_S)
            continue
        troubles.clear(_PREFECT)
        _log.info("prefect_ready")
        return dispatcher
    return None

"""Brings scans and their flow runs together where they differ; the catalog is the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from darkstream.control.dispatcher import Dispatcher
from darkstream.control.flow_states import CANCELLED, OVER, TAKEN, WAITING
from darkstream.control.silence import Silence
from darkstream.control.wing import Wing
from darkstream.errors import NotFound
from darkstream.model.base import ScanId

_log = structlog.get_logger(__name__)


class ScanReconciler:
    """Carries cancels and ends of scans' flow runs into the catalog, and cancels into Prefect."""

    def __init__(
        self, wing: Wing, dispatcher: Dispatcher, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wing = wing
        self._dispatcher = dispatcher
        self._silence: Silence[ScanId] = Silence(wing.settings.lease.expiry_s, clock)

    async def step(self) -> bool:
        """Compare all scans under way once; raises PrefectUnreachable."""
        walking, cancelled = self._wing.scan_runs.walking(), self._wing.scan_runs.cancelled()
        self._silence.keep_only(walking)
        runs = [*walking.values(), *cancelled]
        states = await self._dispatcher.states(runs) if runs else {}
        for scan, flow_run in walking.items():
            await self._settle(scan, flow_run, states.get(flow_run))
        for flow_run in cancelled:
            if states.get(flow_run) in WAITING:
                await self._dispatcher.cancel(flow_run)
            self._wing.scan_runs.settle(flow_run)
        return False

    async def _settle(self, scan: ScanId, flow_run: str, state: str | None) -> None:
        status = await asyncio.to_thread(_status, self._wing, scan)
        if status not in {"queued", "running"}:
            self._wing.scan_runs.forget(scan)
        elif state in CANCELLED:
            _log.info("scan_cancelled_in_prefect", scan=scan, flow_run=flow_run)
            await asyncio.to_thread(self._wing.catalog.scans.cancel, scan)
            self._wing.scan_runs.forget(scan)
        elif state is None or state in OVER:
            reason = f"its flow run is {(state or 'gone').lower()} in Prefect"
            await self._lose(scan, flow_run, status, reason)
        elif status == "queued" and state in TAKEN and self._silence.too_long(scan, flow_run):
            reason = "its worker took it and was never heard of again"
            await self._lose(scan, flow_run, status, reason)

    async def _lose(self, scan: ScanId, flow_run: str, status: str, reason: str) -> None:
        _log.warning("scan_lost", scan=scan, flow_run=flow_run, reason=reason)
        self._wing.scan_runs.forget(scan)
        if status == "queued":
            await asyncio.to_thread(self._wing.catalog.scans.fail, scan, reason)
            return
        await asyncio.to_thread(self._wing.catalog.dispatches.lose_flow_run, flow_run, reason)
        await asyncio.to_thread(self._wing.catalog.scans.expire)
        self._wing.scans_wake.set()


def _status(wing: Wing, scan: ScanId) -> str:
    try:
        return wing.catalog.scans.get(scan).status
    except NotFound:
        return "removed with its library"

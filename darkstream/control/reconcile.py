"""Brings jobs and their flow runs together where they differ; the catalog is the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from darkstream.control.dispatcher import Dispatcher
from darkstream.control.flow_states import OVER, TAKEN
from darkstream.control.nodes import is_gpu_gone
from darkstream.control.silence import Silence
from darkstream.control.wing import Wing
from darkstream.errors import PrefectUnreachable
from darkstream.model.base import DispatchId, JobId
from darkstream.model.job import JobStatus

if TYPE_CHECKING:
    from darkstream.catalog.dispatches import UnfinishedDispatch

_log = structlog.get_logger(__name__)

_PAGE = 500
_INSIST = 3


class Reconciler:
    """Carries cancels and ends of flow runs into the catalog, and lost dispatches into Prefect."""

    def __init__(
        self, wing: Wing, dispatcher: Dispatcher, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wing = wing
        self._dispatcher = dispatcher
        self._clock = clock
        self._limit_s = wing.settings.lease.expiry_s
        self._silence: Silence[DispatchId] = Silence(self._limit_s, clock)
        self._bound: frozenset[str] = frozenset()
        self._departed: dict[str, float] = {}

    async def step(self) -> bool:
        """Compare all unfinished dispatches once; raises PrefectUnreachable."""
        rows = await asyncio.to_thread(self._wing.catalog.dispatches.unfinished)
        bound = {row.flow_run: row for row in rows if row.flow_run is not None}
        self._watch(frozenset(bound))
        self._silence.keep_only(row.id for row in bound.values())
        runs = [*bound, *self._departed]
        states = await self._dispatcher.states(runs) if runs else {}
        if TAKEN & frozenset(states.values()):
            await self._listen(bound)
        for flow_run, row in bound.items():
            await self._settle(row, states.get(flow_run))
        await self._recall([row for row in bound.values() if row.pool == "gpu"], states)
        for flow_run in list(self._departed):
            await self._bury(flow_run, states.get(flow_run))
        return False

    def _watch(self, bound: frozenset[str]) -> None:
        for flow_run in self._bound - bound:
            self._departed[flow_run] = self._clock()
        self._bound = bound

    async def _listen(self, bound: Mapping[str, UnfinishedDispatch]) -> None:
        """Leave dispatches with a running job alone: its lease says whether the worker lives."""
        for flow_run in await asyncio.to_thread(_busy_flow_runs, self._wing):
            if flow_run in bound:
                self._silence.end(bound[flow_run].id)

    async def _settle(self, row: UnfinishedDispatch, state: str | None) -> None:
        if state == "CANCELLING":
            await asyncio.to_thread(self._wing.catalog.dispatches.cancel, row.id)
        elif state == "CANCELLED":
            # Nobody works on it any more: a running job need not wait for its lease to expire.
            await asyncio.to_thread(self._wing.catalog.dispatches.cancel, row.id)
            await self._lose(row.id, "its flow run was cancelled in Prefect")
        elif state is None or state in OVER:
            await self._lose(row.id, f"its flow run is {(state or 'gone').lower()} in Prefect")
        elif state in TAKEN and self._silence.too_long(row.id, row.heard):
            await self._lose(row.id, "its worker took it and was never heard of again")

    async def _recall(self, rows: Sequence[UnfinishedDispatch], states: Mapping[str, str]) -> None:
        """Take dispatches back that wait for a worker with a GPU when none is alive any more."""
        waiting = [row for row in rows if states.get(row.flow_run or "") == "SCHEDULED"]
        if not waiting:
            return
        nodes = await asyncio.to_thread(self._wing.catalog.nodes.all)
        if not is_gpu_gone(self._wing, nodes):
            return
        for row in waiting:
            await self._lose(row.id, "no worker with a GPU is alive any more")
            # Only then: a cancelled run of a dispatch that is not over would cancel its jobs.
            await self._dispatcher.cancel(row.flow_run or "")

    async def _lose(self, dispatch: DispatchId, reason: str) -> None:
        _log.warning("dispatch_lost", dispatch=dispatch, reason=reason)
        await asyncio.to_thread(self._wing.catalog.dispatches.lose, dispatch, reason)
        self._wing.jobs_wake.set()

    async def _bury(self, flow_run: str, state: str | None) -> None:
        """Mark a run as crashed that Prefect believes alive long after its dispatch was over."""
        if state not in TAKEN:
            del self._departed[flow_run]
        elif (age := self._clock() - self._departed[flow_run]) > self._limit_s:
            _log.warning("flow_run_crashed", flow_run=flow_run)
            try:
                await self._dispatcher.crash(flow_run, "its worker is lost")
            except PrefectUnreachable as error:
                if age < _INSIST * self._limit_s:
                    raise
                # It has just answered about the states: it refuses this, and all others wait.
                _log.warning("flow_run_not_crashed", flow_run=flow_run, reason=str(error))
            del self._departed[flow_run]


def _busy_flow_runs(wing: Wing) -> frozenset[str]:
    found: set[str] = set()
    after: JobId | None = None
    while page := wing.catalog.jobs.find(status=JobStatus.running, after=after, limit=_PAGE):
        found.update(job.flow_run for job in page if job.flow_run is not None)
        after = page[-1].id
        if len(page) < _PAGE:
            break
    return frozenset(found)


async def expire_leases(wing: Wing) -> bool:
    """Give the jobs of silent workers to others."""
    jobs = await asyncio.to_thread(wing.catalog.leases.expire)
    if jobs:
        _log.warning("leases_expired", jobs=list(jobs))
        wing.board.forget(jobs)
        wing.jobs_wake.set()
    await asyncio.to_thread(wing.catalog.scans.expire)
    return False

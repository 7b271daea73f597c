"""Brings catalog and Prefect together where they differ; the catalog is the truth about jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import structlog

from darkstream.control.dispatcher import Dispatcher
from darkstream.control.wing import Wing
from darkstream.model.base import DispatchId, JobId
from darkstream.model.job import JobStatus

if TYPE_CHECKING:
    from darkstream.catalog.dispatches import UnfinishedDispatch

_log = structlog.get_logger(__name__)

_OVER = frozenset({"CRASHED", "FAILED", "COMPLETED"})
_PAGE = 500
_TAKEN = frozenset({"PENDING", "RUNNING"})


class Reconciler:
    """Carries cancels and ends of flow runs into the catalog, and lost dispatches into Prefect."""

    def __init__(
        self, wing: Wing, dispatcher: Dispatcher, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wing = wing
        self._dispatcher = dispatcher
        self._clock = clock
        self._limit_s = wing.settings.lease.expiry_s
        self._silence = Silence(self._limit_s, clock)
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
        if _TAKEN & frozenset(states.values()):
            await self._listen(bound)
        for flow_run, row in bound.items():
            await self._settle(row, states.get(flow_run))
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
        elif state is None or state in _OVER:
            await self._lose(row.id, f"its flow run is {(state or 'gone').lower()} in Prefect")
        elif state in _TAKEN and self._silence.too_long(row.id, row.heard):
            await self._lose(row.id, "its worker took it and was never heard of again")

    async def _lose(self, dispatch: DispatchId, reason: str) -> None:
        _log.warning("dispatch_lost", dispatch=dispatch, reason=reason)
        await asyncio.to_thread(self._wing.catalog.dispatches.lose, dispatch, reason)
        self._wing.jobs_wake.set()

    async def _bury(self, flow_run: str, state: str | None) -> None:
        """Mark a run as crashed that Prefect believes alive long after its dispatch was over."""
        if state not in _TAKEN:
            del self._departed[flow_run]
        elif self._clock() - self._departed[flow_run] > self._limit_s:
            _log.warning("flow_run_crashed", flow_run=flow_run)
            await self._dispatcher.crash(flow_run, "its worker is lost")
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


class Silence:
    """How long each dispatch has not been heard of, by this process's own clock.

    A worker that dies before its first claim holds no lease that could expire. `heard` only needs
    to differ when something was heard: no clocks of two machines are compared.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float]) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._since: dict[DispatchId, tuple[object, float]] = {}

    def too_long(self, dispatch: DispatchId, heard: object) -> bool:
        """Whether nothing new was heard of a dispatch for the whole limit."""
        last, since = self._since.get(dispatch, (None, 0.0))
        if dispatch not in self._since or last != heard:
            self._since[dispatch] = (heard, self._clock())
            return False
        return self._clock() - since > self._limit_s

    def end(self, dispatch: DispatchId) -> None:
        """Something was heard of a dispatch."""
        self._since.pop(dispatch, None)

    def keep_only(self, dispatches: Iterable[DispatchId]) -> None:
        """Forget all others."""
        known = frozenset(dispatches)
        self._since = {key: value for key, value in self._since.items() if key in known}


async def expire_leases(wing: Wing) -> bool:
    """Give the jobs of silent workers to others."""
    jobs = await asyncio.to_thread(wing.catalog.leases.expire)
    if jobs:
        _log.warning("leases_expired", jobs=list(jobs))
        wing.board.forget(jobs)
        wing.jobs_wake.set()
    await asyncio.to_thread(wing.catalog.scans.expire)
    return False

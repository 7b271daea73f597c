"""Brings analyses and their flow runs together where they differ, and forgets what is old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from darkstream.catalog.analyses import AnalysisUnderWay
from darkstream.control.dispatcher import Dispatcher
from darkstream.control.flow_states import CANCELLED, OVER, TAKEN
from darkstream.control.silence import Silence
from darkstream.control.wing import Wing
from darkstream.model.base import AnalysisId

_log = structlog.get_logger(__name__)


class AnalysisReconciler:
    """Carries cancels and ends of flow runs of analyses into the catalog."""

    def __init__(
        self, wing: Wing, dispatcher: Dispatcher, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wing = wing
        self._dispatcher = dispatcher
        self._silence: Silence[AnalysisId] = Silence(wing.settings.lease.expiry_s, clock)

    async def step(self) -> bool:
        """Compare all analyses under way once; raises PrefectUnreachable."""
        under_way = await asyncio.to_thread(self._wing.catalog.analyses.under_way)
        self._silence.keep_only(one.id for one in under_way)
        if under_way:
            states = await self._dispatcher.states([one.flow_run for one in under_way])
            for one in under_way:
                await self._settle(one, states.get(one.flow_run))
        return False

    async def _settle(self, one: AnalysisUnderWay, state: str | None) -> None:
        if state in CANCELLED:
            _log.info("analysis_cancelled_in_prefect", analysis=one.id, flow_run=one.flow_run)
            reason = "its flow run was cancelled in Prefect"
            await asyncio.to_thread(
                self._wing.catalog.analyses.cancel, one.id, one.flow_run, reason
            )
            self._wing.analyses_wake.set()
        elif state is None or state in OVER:
            await self._lose(one, f"its flow run is {(state or 'gone').lower()} in Prefect")
        elif one.status == "queued" and state in TAKEN and self._is_silent(one):
            await self._lose(one, "its worker took it and was never heard of again")

    def _is_silent(self, one: AnalysisUnderWay) -> bool:
        return self._silence.too_long(one.id, one.flow_run)

    async def _lose(self, one: AnalysisUnderWay, reason: str) -> None:
        _log.warning("analysis_lost", analysis=one.id, flow_run=one.flow_run, reason=reason)
        await asyncio.to_thread(self._wing.catalog.analyses.lose, one.id, one.flow_run)
        self._wing.analyses_wake.set()


async def expire_analyses(wing: Wing) -> bool:
    """Give the analyses of silent workers to others."""
    if await asyncio.to_thread(wing.catalog.analyses.expire):
        _log.warning("analyses_expired")
        wing.analyses_wake.set()
    return False


async def forget_old(wing: Wing) -> bool:
    """Forget an analysis that is over and old; true when there may be more."""
    return await asyncio.to_thread(wing.catalog.analyses.prune)

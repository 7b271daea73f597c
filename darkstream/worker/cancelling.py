"""Ends the flow processes whose runs somebody wants cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
import structlog
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

    from darkstream.worker.processes import FlowProcess

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 3.0
"""Our own flows hear of a cancel sooner, from their heartbeat: this is for all others."""
_ANSWER_S = 5.0
_OWN_END_S = 3.0
"""What a flow gets to end by itself, before it is told to."""
_ENGINE_END_S = 4.0
"""What the flow and Prefect's engine get to clean up after the signal."""


class CancelWatch:
    """Looks for cancelled ones among the watched flow runs, and only while some are watched."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._wanted: dict[UUID, asyncio.Event] = {}
        self._looker: asyncio.Task[None] | None = None

    @contextmanager
    def over(self, flow_run_id: UUID) -> Iterator[asyncio.Event]:
        """Watch a flow run; the event is set when it is to be cancelled."""
        wanted = self._wanted[flow_run_id] = asyncio.Event()
        if self._looker is None or self._looker.done():
            self._looker = asyncio.create_task(self._look())
        try:
            yield wanted
        finally:
            del self._wanted[flow_run_id]

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if not self._wanted:
                return
            try:
                async with asyncio.timeout(_ANSWER_S):
                    found = await self._find()
            except (httpx.HTTPError, TimeoutError, ValueError) as error:
                _log.debug("cancels_unknown", error=str(error))
                continue
            for flow_run_id in found:
                if wanted := self._wanted.get(flow_run_id):
                    wanted.set()

    async def _find(self) -> list[UUID]:
        ends = [StateType.CANCELLING, StateType.CANCELLED]
        runs = await self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                id=FlowRunFilterId(any_=list(self._wanted)),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ends)),
            )
        )
        return [run.id for run in runs]


async def wait_or_cancel(process: FlowProcess, wanted: asyncio.Event) -> int:
    """The exit code of a flow process, which is ended when `wanted` is set: ask, then kill."""
    cancel = asyncio.create_task(wanted.wait())
    end = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({cancel, end}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        cancel.cancel()
        end.cancel()
    if process.running and not await process.ends_within(_OWN_END_S):
        _log.info("cancel_signalled", flow_run=process.flow_run)
        process.cancel()
        if not await process.ends_within(_ENGINE_END_S):
            _log.warning("flow_process_killed", flow_run=process.flow_run, after_s=_ENGINE_END_S)
            process.kill()
    return await process.wait()

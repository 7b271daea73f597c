"""How this node rests, as the server said last: then it asks Prefect for nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from darkstream.worker.slots import CONTROL_POOL

if TYPE_CHECKING:
    from darkstream.model.node import PauseKind

_log = structlog.get_logger(__name__)


class Rest:
    """Heard from the answers to this node's reports; make and use it in one event loop."""

    def __init__(self) -> None:
        self.kind: PauseKind | None = None
        self._changed = asyncio.Event()

    def hear(self, kind: PauseKind | None) -> None:
        """What the server says now."""
        if kind != self.kind:
            _log.info("node_works" if kind is None else "node_rests", how=kind)
            self.kind = kind
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    def keeps_from(self, pool: str) -> bool:
        """Whether no work of a pool is taken: scans and upkeep go on, unless it is drained."""
        return self.kind is not None and (pool != CONTROL_POOL or self.kind == "drain")

    async def over(self, pool: str) -> None:
        """Wait until work of a pool may be taken; at once where it may."""
        while self.keeps_from(pool):
            await self._changed.wait()

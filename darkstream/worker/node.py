"""Reports this node to the DarkStream server, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from darkstream.client.api import Client
from darkstream.errors import DarkstreamError

if TYPE_CHECKING:
    from darkstream.model.node import NodeOrders
    from darkstream.model.wire import NodeReport
    from darkstream.worker.rest import Rest

_log = structlog.get_logger(__name__)

_EVERY_S = 10.0
_AGAIN_S = 2.0


async def report_node(
    server_url: str, name: str, report: Callable[[], NodeReport], rest: Rest
) -> None:
    """Report at once and every 10 s, and hear whether to rest; ends only by being cancelled.

    After a failure and while it rests, it reports sooner.
    """
    known: bool | None = None
    while True:
        try:
            orders = await asyncio.to_thread(_report, server_url, name, report)
        except DarkstreamError as error:
            if known is not False:
                _log.warning("node_not_reported", node=name, reason=str(error))
            known = False
        else:
            if not known:
                _log.info("node_reported", node=name)
            known = True
            rest.hear(orders.rest)
        await asyncio.sleep(_EVERY_S if known and rest.kind is None else _AGAIN_S)


def _report(server_url: str, name: str, report: Callable[[], NodeReport]) -> NodeOrders:
    with Client(server_url, timeout=10.0) as client:
        return client.report_node(name, report())

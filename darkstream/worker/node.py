"""Reports this node to the DarkStream server, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from darkstream.client.api import Client
from darkstream.errors import DarkstreamError

if TYPE_CHECKING:
    from darkstream.model.wire import NodeReport

_log = structlog.get_logger(__name__)

_EVERY_S = 10.0
_AGAIN_S = 2.0


async def report_node(server_url: str, name: str, report: Callable[[], NodeReport]) -> None:
    """Report at once and every 10 s, sooner after a failure; ends only by being cancelled."""
    known: bool | None = None
    while True:
        try:
            await asyncio.to_thread(_report, server_url, name, report)
        except DarkstreamError as error:
            if known is not False:
                _log.warning("node_not_reported", node=name, reason=str(error))
            known = False
        else:
            if not known:
                _log.info("node_reported", node=name)
            known = True
        await asyncio.sleep(_EVERY_S if known else _AGAIN_S)


def _report(server_url: str, name: str, report: Callable[[], NodeReport]) -> None:
    with Client(server_url, timeout=10.0) as client:
        client.report_node(name, report())

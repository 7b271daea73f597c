"""What is said about a flow run whose process ended without saying it itself."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
import structlog
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from darkstream.client.api import Client
from darkstream.errors import DarkstreamError, NotFound

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import State

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
_ANSWER_S = 5.0
_TELL_FOR_S = 60.0
"""After this the leases have expired anyway, and the server knows."""


async def settle(
    client: PrefectClient, server_url: str, flow_run_id: UUID, *, code: int, cancelled: bool
) -> None:
    """Have Prefect and the DarkStream server know how a flow process with exit code `code` ended.

    Stays at it while Prefect is not there: there is no other work to be had then.
    """
    if cancelled:
        await _conclude(client, flow_run_id, Cancelled(message="Ended by the worker on request."))
    elif code != 0:
        await lose(client, server_url, flow_run_id, describe_exit(code))


async def lose(client: PrefectClient, server_url: str, flow_run_id: UUID, reason: str) -> None:
    """Have both know that a flow run ended without a word; stays at it as `settle` does."""
    _log.warning("flow_run_lost", flow_run=str(flow_run_id), reason=reason)
    await asyncio.gather(
        _conclude(client, flow_run_id, Crashed(message=f"Lost: {reason}.")),
        _lose(server_url, str(flow_run_id), reason),
    )


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"the flow process ended with exit code {code}; the worker's log says why"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the flow process was ended by {name}"


async def _conclude(client: PrefectClient, flow_run_id: UUID, state: State[object]) -> None:
    """Set a final state unless there is one; only a cancel replaces another end.

    Keeps trying while Prefect is away, and for a minute where it answers and refuses: a run that
    cannot end must not keep its slot.
    """
    pause = _FIRST_PAUSE_S
    deadline = time.monotonic() + _TELL_FOR_S
    while True:
        try:
            async with asyncio.timeout(_ANSWER_S):
                await _set_end(client, flow_run_id, state)
            return
        except ObjectNotFound:
            return
        except (httpx.HTTPError, TimeoutError) as error:
            _log.warning("state_not_reported", flow_run=str(flow_run_id), error=str(error))
            if isinstance(error, httpx.HTTPStatusError) and time.monotonic() > deadline:
                return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


async def _set_end(client: PrefectClient, flow_run_id: UUID, state: State[object]) -> None:
    present = (await client.read_flow_run(flow_run_id)).state
    ended = present is not None and present.is_final()
    if not ended or (state.is_cancelled() and present and not present.is_cancelled()):
        await client.set_flow_run_state(flow_run_id, state, force=True)


async def _lose(server_url: str, flow_run_id: str, reason: str) -> None:
    """Tell the server, so that the run's jobs go to another worker at once."""
    pause = _FIRST_PAUSE_S
    deadline = time.monotonic() + _TELL_FOR_S
    while True:
        try:
            await asyncio.to_thread(_tell_loss, server_url, flow_run_id, reason)
            return
        except NotFound:
            return  # the run did no work of ours
        except DarkstreamError as error:
            if time.monotonic() > deadline:
                _log.warning("loss_not_told", flow_run=flow_run_id, error=str(error))
                return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def _tell_loss(server_url: str, flow_run_id: str, reason: str) -> None:
    with Client(server_url, timeout=_ANSWER_S) as client:
        client.lose_flow_run(flow_run_id, reason)

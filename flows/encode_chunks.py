"""The flow `encode-chunks`: helps with a long film where no job wants the slot."""

from __future__ import annotations

from typing import Any

import structlog
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run
from prefect.states import Completed

from darkstream.errors import Cancelled, DarkstreamError, LeaseLost, NodePaused
from darkstream.model.base import DispatchId
from darkstream.stages.claim import leave_dispatch
from darkstream.stages.helping import (
    Helping,
    claim_chunk,
    finish_chunk,
    help_out,
    keep_chunk,
    leave_chunk,
)
from darkstream.stages.toolbox import Toolbox
from flows.wiring import FRESH, THREADS, enter, stoppable, submit

log = structlog.get_logger(__name__)

_STOP_S = 4.0


@task(name="encode chunk", task_run_name="encode {helping}", **FRESH)
@stoppable
def encode_one(helping: Helping) -> str | None:
    """Encode a chunk of a film; why not, where this node cannot help with it."""
    with helping.work():
        return help_out(helping)


@flow(
    name="encode-chunks",
    task_runner=THREADS,
    retries=0,
    persist_result=False,
)
def encode_chunks(dispatch: int) -> State[Any]:
    """Encode chunks of a film that another worker leads, until none is left or a job waits.

    Args:
        dispatch: Set by DarkStream itself: which film it helps with.
    """
    number, done = DispatchId(dispatch), 0
    with Toolbox(enter(), flow_run=str(flow_run.id)) as tools:
        try:
            while (helping := claim_chunk(tools, number)) is not None and _help(helping):
                done += 1
        finally:
            leave_dispatch(tools, number)
    return Completed(message=f"{done} chunks encoded")


def _help(helping: Helping) -> bool:
    """Encode one chunk; whether it was done, and more may follow."""
    with keep_chunk(helping):
        try:
            unfit = _wait_for(helping)
            if unfit is None:
                finish_chunk(helping)
                return True
            log.warning("helper_unfit", chunk=str(helping), reason=unfit)
            leave_chunk(helping, "unfit", unfit)
        except LeaseLost as error:
            log.info("chunk_lost", chunk=str(helping), reason=str(error))
        except (Cancelled, NodePaused) as error:
            leave_chunk(helping, "released", str(error))
        except DarkstreamError as error:
            # Its leader meets the same with the word of a whole job, or does not meet it.
            log.warning("chunk_failed", chunk=str(helping), reason=str(error))
            leave_chunk(helping, "failed", str(error))
        except Exception as error:
            leave_chunk(helping, "failed", f"{type(error).__name__}: {error}")
            raise
        except BaseException:  # a signal: Prefect's TerminationSignal, or Ctrl-C
            _give_back(helping)
            raise
    return False


def _wait_for(helping: Helping) -> str | None:
    try:
        return submit(encode_one, helping).result()
    except CancelledRun:
        helping.cancel.check()  # says why
        raise


def _give_back(helping: Helping) -> None:
    """End the encode and let the leader have the chunk."""
    reason = "the worker was stopped"
    if not helping.stop(reason, within_s=_STOP_S):
        log.warning("chunk_did_not_stop", chunk=str(helping))
    leave_chunk(helping, "released", reason)

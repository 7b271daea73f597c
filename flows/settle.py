"""The flow `settle`: originals and results are put where somebody asked for them to be."""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from darkstream.errors import DarkstreamError
from darkstream.stages.settle import Settled
from darkstream.stages.settle import settle as do_settle
from darkstream.stages.toolbox import Toolbox
from flows.wiring import FRESH, THREADS, enter, submit


@task(name="settle replacements", **FRESH)
def settle_replacements(tools: Toolbox) -> Settled:
    """Approve, keep, undo, expire: whatever is due."""
    return do_settle(tools)


@flow(
    name="settle",
    task_runner=THREADS,
    retries=0,
    persist_result=False,
)
def settle() -> State[Any]:
    """Do with replaced originals what was asked for; safe at any time."""
    with Toolbox(enter(), flow_run=str(flow_run.id)) as tools:
        try:
            settled: Settled = submit(settle_replacements, tools).result()
        except DarkstreamError as error:
            return Failed(message=str(error))
    failed = "".join(f"; {reason}" for reason in settled.failed)
    return Completed(message=f"{settled.done} done, {len(settled.failed)} could not be{failed}")

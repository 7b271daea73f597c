"""Getting work: the dispatch of this flow run, and its jobs one after another."""

from __future__ import annotations

import os

import structlog

from darkstream.errors import DarkstreamError, UsageError
from darkstream.model.base import DispatchId
from darkstream.model.job import Claim
from darkstream.model.preset import Preset
from darkstream.model.wire import ClaimRequest, SubmitJob
from darkstream.stages.patience import outlast
from darkstream.stages.toolbox import Toolbox

log = structlog.get_logger(__name__)

_FAREWELL_S = 2.0


def submit(
    tools: Toolbox, source: str, preset: str | Preset | None, destination: str | None
) -> DispatchId:
    """Make a job that this flow run does itself; its dispatch, which is bound to this run.

    Raises UsageError, ServerUnreachable (it is not waited for: nothing has begun) and what the
    server says of it.
    """
    if preset is None:
        raise UsageError("name a preset, for example 'web'")
    for what, path in (("source", source), ("destination", destination)):
        if path is not None and not os.path.isabs(path):
            raise UsageError(
                f"the {what} {path!r} is no absolute path: the worker runs in another directory"
            )
    tools.client.submit_job(
        SubmitJob(source=source, preset=preset, destination=destination, flow_run=tools.flow_run)
    )
    return tools.client.flow_run_dispatch(tools.flow_run)


def claim_next(tools: Toolbox, dispatch: DispatchId, *, go_on: bool = False) -> Claim | None:
    """The next job of a dispatch; None when none is left. Waits for a server that is away.

    To `go_on` is to take jobs that were given to no flow run, or to one that is not there yet.
    """
    adopt_s = tools.settings.prefect.batch_seconds if go_on else 0.0
    request = ClaimRequest(node=tools.node, flow_run=tools.flow_run, adopt_s=adopt_s)
    return outlast(lambda: tools.client.claim(dispatch, request))


def leave_dispatch(tools: Toolbox, dispatch: DispatchId) -> None:
    """Say that this flow run does no more; where nobody listens, its leases run out."""
    try:
        outlast(lambda: tools.client.end_dispatch(dispatch), at_most_s=_FAREWELL_S)
    except DarkstreamError as error:
        log.warning("dispatch_not_ended", dispatch=dispatch, reason=str(error))

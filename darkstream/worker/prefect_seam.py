"""All that is used of Prefect without being promised by it; a contract test pins each name.

In a flow process: what `python -m prefect.engine` does, with a flow that is already loaded. In the
worker: one limiter for several pools.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import certifi
import prefect.client.orchestration
import prefect.flow_engine
import prefect.task_engine
import prefect.utilities.visualization  # this and task_engine before the fork: tasks need them
from prefect._internal import control_listener
from prefect._internal.metrics import RunMetrics
from prefect.context import refresh_global_settings_context
from prefect.engine import _drive_run_flow_result, handle_engine_signals
from prefect.exceptions import TerminationSignal
from prefect.flow_engine import load_flow, load_flow_run, run_flow
from prefect.flows import load_flow_from_entrypoint
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_API_SSL_CERT_FILE

if TYPE_CHECKING:
    import anyio
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.flows import Flow
    from prefect.workers.base import BaseWorker

_WORKING_DIRECTORY_STEP = "prefect.deployments.steps.set_working_directory"


def load_entrypoint(entrypoint: str) -> Flow[..., Any]:
    """The flow of an entrypoint, or what its import raises; no stand-in is made."""
    return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)


def needs_no_pull(deployment: DeploymentResponse) -> bool:
    """Whether the deployment's code is what is installed here, so that a loaded flow is the one."""
    steps = deployment.pull_steps or []
    return deployment.storage_document_id is None and all(
        set(step) == {_WORKING_DIRECTORY_STEP} for step in steps
    )


@contextmanager
def _nothing(*_: object, **__: object) -> Iterator[None]:
    yield


def _lighten() -> None:
    """Leave out what Prefect's engine does around a run, and what our own flows have better.

    Its heartbeats hold a run that is over for up to a second: a lease tells the same. Its wait for
    "Suspend" takes a websocket and a tenth of a second: a suspended run of ours would only hand
    its job on to the next one.
    """
    vars(prefect.flow_engine)["_send_heartbeats"] = _nothing
    vars(prefect.flow_engine)["observe_flow_run_suspension"] = _nothing


def share_certificates() -> None:
    """Let Prefect's clients share one TLS context, made now, before the fork.

    Each would read the certificates of the world, 20 ms, and a flow run makes half a dozen.
    """
    _tls_context(PREFECT_API_SSL_CERT_FILE.value() or certifi.where())
    vars(prefect.client.orchestration)["ssl"] = SimpleNamespace(
        **{**vars(ssl), "create_default_context": _default_context}
    )


def _default_context(*, cafile: str | None = None) -> ssl.SSLContext:
    return ssl.create_default_context() if cafile is None else _tls_context(cafile)


@cache
def _tls_context(cafile: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cafile)


def execute(flow_run_id: UUID, flow: Flow[..., Any] | None) -> None:
    """Run one flow run to its end in this process, reporting its states.

    Without `flow`, Prefect loads it as the deployment says. Raises SystemExit as the engine does:
    0 where Prefect knows how the run ended, other codes where it does not.
    """
    with handle_engine_signals(flow_run_id):
        flow_run = load_flow_run(flow_run_id)
        if flow_run.state and (flow_run.state.is_final() or flow_run.state.is_cancelling()):
            return
        logger = flow_run_logger(flow_run=flow_run)
        if flow is not None:
            _lighten()
        else:
            try:
                flow = load_flow(flow_run)
            except Exception:
                logger.exception("The flow could not be loaded")
                raise
        with RunMetrics(flow_run, flow):
            result: object = run_flow(
                flow,
                flow_run=flow_run,
                # A run that failed or was cancelled has ended well: Prefect knows it.
                return_type="state",
                error_logger=logger,  # type: ignore[arg-type]  # as Prefect's own engine does
            )
            _drive_run_flow_result(flow, result)


def intend_cancel() -> None:
    """Let the engine take the SIGTERM that follows for a cancel, not for a crash."""
    control_listener._set_intent("cancel")


def is_ending(error: BaseException | None) -> bool:
    """Whether this is the engine's unwinding after a SIGTERM."""
    return isinstance(error, TerminationSignal)


def outcome_is_known() -> bool:
    """Whether the engine has told Prefect how the run ended."""
    return control_listener.engine_outcome_is_handled()


def reread_settings() -> None:
    """Let Prefect read its settings from the environment again."""
    refresh_global_settings_context()


def share_limiter(worker: BaseWorker[Any, Any, Any], limiter: anyio.CapacityLimiter) -> None:
    """Let a worker that was set up take its slots from a limiter that others use too."""
    worker._limiter = limiter

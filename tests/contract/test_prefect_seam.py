"""What the worker uses of Prefect without being promised it: names, signatures, behaviour.

A failure here after an upgrade of Prefect names what darkstream.worker.prefect_seam must learn.
"""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import threading
from uuid import uuid4

import anyio
import pytest
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import TerminationSignal
from prefect.utilities.engine import capture_sigterm
from prefect.workers.base import BaseWorker

from darkstream.worker import prefect_seam
from darkstream.worker.kind import DarkstreamWorker


def parameters(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


def test_the_engine_takes_what_the_flow_process_gives_it() -> None:
    from prefect._internal.metrics import RunMetrics
    from prefect.engine import _drive_run_flow_result, handle_engine_signals
    from prefect.flow_engine import load_flow, load_flow_run, run_flow

    assert parameters(handle_engine_signals) == ["flow_run_id"]
    assert parameters(load_flow_run) == ["flow_run_id"]
    assert parameters(load_flow) == ["flow_run"]
    assert parameters(run_flow)[:2] == ["flow", "flow_run"]
    assert "error_logger" in parameters(run_flow)
    assert parameters(_drive_run_flow_result) == ["flow", "run_result"]
    assert parameters(RunMetrics)[:2] == ["flow_run", "flow"]


def test_the_engine_has_what_our_own_flows_go_without() -> None:
    from prefect import flow_engine

    assert parameters(flow_engine._send_heartbeats) == ["engine", "join_on_exit"]
    found = parameters(flow_engine.observe_flow_run_suspension)
    assert found == ["flow_run_id", "suspension_request", "polling_interval"]
    source = inspect.getsource(flow_engine)
    assert "_send_heartbeats(self)" in source
    assert source.count("observe_flow_run_suspension(") >= 1


def test_clients_of_prefect_share_the_certificates() -> None:
    """In a process of its own: it changes a module of Prefect's for good."""
    check = (
        "import ssl; from unittest import mock\n"
        "from prefect.client.orchestration import get_client\n"
        "from darkstream.worker.prefect_seam import share_certificates\n"
        "share_certificates()\n"
        "with mock.patch.object(ssl, 'create_default_context') as made:\n"
        "    get_client(), get_client(sync_client=True)\n"
        "print(made.call_count)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        env={**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "0"


def test_importing_the_seam_starts_no_thread() -> None:
    """Else no process could be forked off the one that imported it."""
    check = (
        "import darkstream.worker.kind, darkstream.worker.prefect_seam\n"
        "from darkstream.worker.zygote import count_threads\n"
        "print(count_threads())"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "1"


def test_an_intended_cancel_is_no_crash() -> None:
    from prefect._internal.control_listener import clear_intent, get_intent

    with pytest.raises(TerminationSignal), capture_sigterm():
        prefect_seam.intend_cancel()
        assert get_intent() == "cancel"
        signal.raise_signal(signal.SIGTERM)
    clear_intent()
    # With an intent Prefect keeps its handler, because the process is about to end.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_without_intent_the_former_handler_is_called_while_the_engine_unwinds() -> None:
    seen: list[bool] = []
    former = signal.signal(
        signal.SIGTERM, lambda _number, _frame: seen.append(prefect_seam.is_ending(sys.exception()))
    )
    try:
        with pytest.raises(TerminationSignal), capture_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(5)
    finally:
        signal.signal(signal.SIGTERM, former)
    assert seen == [True]
    assert prefect_seam.is_ending(None) is False
    assert prefect_seam.outcome_is_known() is False


def test_a_shared_limiter_is_the_one_the_worker_takes_slots_from() -> None:
    limiter = anyio.CapacityLimiter(3)
    worker = DarkstreamWorker(work_pool_name="some")
    prefect_seam.share_limiter(worker, limiter)
    assert worker.limiter is limiter
    source = inspect.getsource(BaseWorker)
    assert "self._limiter.acquire_on_behalf_of_nowait(flow_run.id)" in source
    assert "self._limiter.release_on_behalf_of(flow_run_id)" in source


def test_the_worker_base_calls_run_as_ours_expects() -> None:
    assert parameters(BaseWorker.run) == parameters(DarkstreamWorker.run)
    assert {"setup", "teardown", "sync_with_backend", "get_and_submit_flow_runs"} <= set(
        dir(BaseWorker)
    )
    assert BaseWorker.get_worker_class_from_type("darkstream") is DarkstreamWorker


@pytest.mark.parametrize(
    ("steps", "answer"),
    [
        (None, True),
        ([], True),
        ([{"prefect.deployments.steps.set_working_directory": {"directory": "/x"}}], True),
        ([{"prefect.deployments.steps.git_clone": {"repository": "x"}}], False),
    ],
)
def test_a_loaded_flow_is_used_only_where_nothing_is_pulled(
    steps: list[dict[str, object]] | None, answer: bool
) -> None:
    deployment = DeploymentResponse(id=uuid4(), name="d", flow_id=uuid4(), pull_steps=steps)
    assert prefect_seam.needs_no_pull(deployment) is answer


def test_entrypoints_are_loaded_in_all_their_forms() -> None:
    for entrypoint in ("worker_flows.quick", "worker_flows:quick"):
        assert prefect_seam.load_entrypoint(entrypoint).name == "quick"
    with pytest.raises(Exception, match="missing"):
        prefect_seam.load_entrypoint("worker_flows.missing")

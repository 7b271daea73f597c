"""The forked child: it takes one flow run, runs it with Prefect's engine, and exits."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import structlog

from darkstream.worker import prefect_seam
from darkstream.worker.lifeline import die_with
from darkstream.worker.waking import wake_main_thread

if TYPE_CHECKING:
    from types import FrameType

    from prefect.flows import Flow

    from darkstream.worker.messages import Start

_log = structlog.get_logger(__name__)

CANCEL_SIGNAL = signal.SIGUSR1
"""Ends the run as cancelled; SIGTERM ends it because the worker stops."""
BLOCKED_SIGNALS = (signal.SIGTERM, signal.SIGINT, CANCEL_SIGNAL)
"""Blocked in the zygote, so that none can reach a child before its handlers are in place."""

_TERMINATED = 128 + signal.SIGTERM


def run(
    order: Start, flow: Flow[..., Any] | None, *, parent: int, close: Iterable[int]
) -> NoReturn:
    """Run the flow run of `order` and end this process; `close` are descriptors of the zygote."""
    code = 1
    try:
        _detach(parent, close)
        _enter(order)
        prefect_seam.execute(UUID(order.flow_run), flow)
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:  # noqa: BLE001 - this is a fork: nothing may return into the zygote
        _log.exception("flow_process_failed", flow_run=order.flow_run)
    finally:
        _leave(code)


def _detach(parent: int, close: Iterable[int]) -> None:
    """Become the head of an own process group: Ctrl-C in a terminal is for the worker to decide."""
    with suppress(PermissionError):  # the zygote, which does the same, was first
        os.setpgid(0, 0)
    die_with(parent)
    signal.set_wakeup_fd(-1)
    for descriptor in close:
        os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(CANCEL_SIGNAL, _cancel)
    wake_main_thread()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Leave; the engine has a handler of its own, and calls this one when it has cleaned up."""
    if prefect_seam.is_ending(sys.exception()):
        _leave(0 if prefect_seam.outcome_is_known() else _TERMINATED)
    raise SystemExit(_TERMINATED)


def _cancel(_signal: int, _frame: FrameType | None) -> None:
    prefect_seam.intend_cancel()
    signal.raise_signal(signal.SIGTERM)


def _enter(order: Start) -> None:
    """Take on the run's directory and environment; print goes to the worker's log."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    os.chdir(order.directory)
    changed = {name for name, value in order.environment.items() if os.environ.get(name) != value}
    os.environ.update(order.environment)
    if any(name.startswith("PREFECT_") and name[8:9] != "_" for name in changed):
        prefect_seam.reread_settings()


def _leave(code: int) -> NoReturn:
    """End without tearing the interpreter down, but not before logs and events are sent."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # joins threads, drains Prefect's queues
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - whatever happens, this process is a fork and must end here
        code = code or 1
    finally:
        os._exit(code)

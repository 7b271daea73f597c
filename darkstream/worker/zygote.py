"""The zygote: one thread, Prefect and the flows imported, no client; it forks flow processes.

It obeys the worker over a socket pair and ends, with all its children, when the worker does.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from darkstream.worker import flow_process, prefect_seam
from darkstream.worker.lifeline import die_with
from darkstream.worker.messages import (
    Exited,
    NotStarted,
    Order,
    OrderReader,
    Ready,
    Signal,
    Start,
    Started,
    encode,
)

if TYPE_CHECKING:
    from prefect.flows import Flow

    from darkstream.model.base import Frozen

_log = structlog.get_logger(__name__)


def serve_zygote(end: socket.socket, entrypoints: Sequence[str], *, parent: int) -> None:
    """Be the zygote until the worker is gone."""
    die_with(parent)
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, flow_process.BLOCKED_SIGNALS)
    zygote = _Zygote(end)
    try:
        zygote.load(entrypoints)
        zygote.serve()
    finally:
        zygote.end()


class _Zygote:
    """Loads flows, forks, reaps, passes signals on."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._orders = OrderReader(end)
        self._flows: dict[str, Flow[..., Any]] = {}
        self._pids: dict[str, int] = {}
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waker, False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    def load(self, entrypoints: Sequence[str]) -> None:
        """Import the flows; one that cannot be imported is left to the child that needs it."""
        began = time.monotonic()
        prefect_seam.share_certificates()
        failed: dict[str, str] = {}
        for entrypoint in entrypoints:
            try:
                self._flows[entrypoint] = prefect_seam.load_entrypoint(entrypoint)
            except Exception as error:  # noqa: BLE001 - a flow's module may raise anything
                failed[entrypoint] = f"{type(error).__name__}: {error}"
        gc.collect()
        gc.freeze()  # children share these pages: a collection there must not touch them
        self._tell(
            Ready(
                loaded=tuple(self._flows),
                failed=failed,
                threads=count_threads(),
                seconds=time.monotonic() - began,
            )
        )

    def serve(self) -> None:
        """Obey until the socket ends."""
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if self._socket.fileno() in ready:
                orders = self._orders.read()
                if orders is None:
                    return
                for order in orders:
                    self._obey(order)

    def _obey(self, order: Order) -> None:
        if isinstance(order, Signal):
            self._signal(order)
        elif order.flow_run in self._pids:
            self._tell(NotStarted(flow_run=order.flow_run, reason="it is running here already"))
        else:
            self._start(order)

    def _start(self, order: Start) -> None:
        if (threads := count_threads()) != 1:
            reason = (
                f"the zygote has {threads} threads, and a fork of it could hang: a module of a "
                "flow must start none when it is imported"
            )
            self._tell(NotStarted(flow_run=order.flow_run, reason=reason))
            return
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(NotStarted(flow_run=order.flow_run, reason=f"no new process: {error}"))
            return
        if pid == 0:
            flow_process.run(
                order,
                self._flows.get(order.entrypoint or ""),
                parent=zygote,
                close=(self._socket.fileno(), self._wake, self._waker),
            )
        with suppress(OSError):  # the child, which does the same, was first
            os.setpgid(pid, pid)
        self._pids[order.flow_run] = pid
        self._tell(Started(flow_run=order.flow_run, pid=pid))

    def _signal(self, order: Signal) -> None:
        """A child that was not reaped still owns its id, so the signal meets nobody else."""
        pid = self._pids.get(order.flow_run)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            if order.number == signal.SIGKILL:
                os.killpg(pid, signal.SIGKILL)
            else:
                os.kill(pid, order.number)

    def _reap(self) -> None:
        """Report the children that ended; what is left of their process groups is killed first."""
        for flow_run, pid in list(self._pids.items()):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            del self._pids[flow_run]
            self._tell(Exited(flow_run=flow_run, code=os.waitstatus_to_exitcode(status)))

    def _tell(self, news: Frozen) -> None:
        with suppress(ConnectionError):  # the worker is gone: reading says so too
            self._socket.sendall(encode(news))

    def end(self) -> None:
        """Leave no flow process behind."""
        for pid in self._pids.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def count_threads() -> int:
    """Threads of this process, those of C libraries too where the system tells."""
    if sys.platform == "linux":
        return len(os.listdir("/proc/self/task"))
    import threading

    return threading.active_count()


def main(arguments: Sequence[str]) -> None:
    """`python -m darkstream.worker.zygote DESCRIPTOR PARENT ENTRYPOINT…`: started by the worker."""
    from darkstream.observe.heap import use_one_heap
    from darkstream.observe.logs import configure
    from darkstream.settings import Settings

    use_one_heap()
    configure(Settings())
    descriptor, parent, *entrypoints = arguments
    with socket.socket(fileno=int(descriptor)) as end:
        serve_zygote(end, entrypoints, parent=int(parent))


if __name__ == "__main__":
    main(sys.argv[1:])

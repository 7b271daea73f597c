"""The worker's side of the zygote: flow processes as values to wait for and to end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import structlog

from darkstream.errors import DarkstreamError
from darkstream.worker.flow_process import CANCEL_SIGNAL
from darkstream.worker.hatching import Hatched, spawn_zygote
from darkstream.worker.messages import (
    NEWS,
    Exited,
    News,
    NotStarted,
    Ready,
    Signal,
    Start,
    Started,
    encode,
)

_log = structlog.get_logger(__name__)

_RESPAWN_PAUSE_S = 1.0


class NoProcess(DarkstreamError):
    """A flow process could not be started."""


class FlowProcess:
    """One flow run's process, from the order to fork it until it is gone."""

    def __init__(self, flow_run: str, send: Callable[[Signal], None]) -> None:
        loop = asyncio.get_running_loop()
        self.flow_run = flow_run
        self.started: asyncio.Future[int] = loop.create_future()
        self._exited: asyncio.Future[int] = loop.create_future()
        self._send = send

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._exited.done()

    async def wait(self) -> int:
        """Its exit code, when it ends; negative: the signal that ended it."""
        return await asyncio.shield(self._exited)

    async def ends_within(self, seconds: float) -> bool:
        """Wait so long for its end; whether it came."""
        await asyncio.wait({self._exited}, timeout=seconds)
        return not self.running

    def terminate(self) -> None:
        """Ask it to end because the worker stops."""
        self._send(Signal(flow_run=self.flow_run, number=signal.SIGTERM))

    def cancel(self) -> None:
        """Ask it to end because the run was cancelled."""
        self._send(Signal(flow_run=self.flow_run, number=CANCEL_SIGNAL))

    def kill(self) -> None:
        """End it and everything in its process group."""
        self._send(Signal(flow_run=self.flow_run, number=signal.SIGKILL))

    def hear(self, news: Started | NotStarted | Exited) -> None:
        """Take what the zygote says about it."""
        if isinstance(news, Started):
            self.started.set_result(news.pid)
        elif isinstance(news, NotStarted):
            self._refuse(news.reason)
        else:
            self._refuse("the process died before it ran")
            self._exited.set_result(news.code)

    def _refuse(self, reason: str) -> None:
        if not self.started.done():
            self.started.set_exception(NoProcess(f"no process for the flow run: {reason}"))


class FlowProcesses:
    """All flow processes of one worker, and the zygote they come from.

    A zygote that dies takes its children along; then all runs are reported as killed and a new one
    is started.
    """

    def __init__(self, hatched: Hatched, entrypoints: Sequence[str]) -> None:
        self._entrypoints = tuple(entrypoints)
        self._running: dict[str, FlowProcess] = {}
        self._stopping = False
        self._zygote = hatched
        self._writer: asyncio.StreamWriter | None = None
        self._listener = asyncio.create_task(self._listen())
        self.ready = asyncio.Event()

    @property
    def zygote_pid(self) -> int:
        """Process id of the zygote in charge."""
        return self._zygote.pid

    async def start(
        self, flow_run: str, *, entrypoint: str | None, directory: str, environment: dict[str, str]
    ) -> FlowProcess:
        """Fork a process for a flow run; raises NoProcess."""
        await self.ready.wait()
        if self._stopping:
            raise NoProcess("no process for the flow run: the worker stops")
        process = FlowProcess(flow_run, self._send)
        if self._running.setdefault(flow_run, process) is not process:
            raise NoProcess(f"the flow run {flow_run} has a process here already")
        self._send(
            Start(
                flow_run=flow_run,
                entrypoint=entrypoint,
                directory=directory,
                environment=environment,
            )
        )
        try:
            await process.started
        except NoProcess:
            self._running.pop(flow_run, None)
            raise
        return process

    async def stop(self, grace_s: float) -> None:
        """End all flow processes: ask, wait so many seconds, kill; no new ones come after this."""
        self._stopping = True
        processes = list(self._running.values())
        for process in processes:
            process.terminate()
        if not await _all_gone(processes, grace_s):
            for process in processes:
                if process.running:
                    _log.warning("flow_process_killed", flow_run=process.flow_run, after_s=grace_s)
                    process.kill()
            await _all_gone(processes, 1.0)

    async def close(self) -> None:
        """Let go of the zygote; it ends with whatever still runs."""
        self._listener.cancel()
        with suppress(asyncio.CancelledError):
            await self._listener
        if self._writer is not None:
            self._writer.close()
        else:
            self._zygote.end.close()
        await _reap(self._zygote.pid)

    def _send(self, order: Start | Signal) -> None:
        if self._writer is not None:
            self._writer.write(encode(order))

    async def _listen(self) -> None:
        while True:
            reader, self._writer = await asyncio.open_connection(sock=self._zygote.end)
            async for line in _lines(reader):
                self._hear(NEWS.validate_json(line))
            self.ready.clear()
            self._writer.close()
            code = await _reap(self._zygote.pid)
            _log.error("zygote_lost", exit_code=code, flow_runs=list(self._running))
            for flow_run in list(self._running):
                self._hear(Exited(flow_run=flow_run, code=-signal.SIGKILL))
            self._zygote = await self._respawn()

    async def _respawn(self) -> Hatched:
        """A new zygote; tried until the system has room for one."""
        while True:
            await asyncio.sleep(_RESPAWN_PAUSE_S)
            try:
                return spawn_zygote(self._entrypoints)
            except OSError as error:
                _log.warning("zygote_not_started", reason=str(error))

    def _hear(self, news: News) -> None:
        if isinstance(news, Ready):
            _report_readiness(news)
            self.ready.set()
        elif isinstance(news, Exited):
            if process := self._running.pop(news.flow_run, None):
                process.hear(news)
        elif process := self._running.get(news.flow_run):
            process.hear(news)


def _report_readiness(news: Ready) -> None:
    _log.info("zygote_ready", flows=list(news.loaded), seconds=round(news.seconds, 2))
    for entrypoint, reason in news.failed.items():
        _log.warning("flow_not_loaded", entrypoint=entrypoint, reason=reason)
    if news.threads != 1:
        _log.warning("zygote_has_threads", threads=news.threads)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines until the other end is gone, however it went."""
    with suppress(ConnectionError):
        while line := await reader.readline():
            yield line


async def _all_gone(processes: Sequence[FlowProcess], seconds: float) -> bool:
    if not processes:
        return True
    waits = [asyncio.ensure_future(process.wait()) for process in processes]
    _, pending = await asyncio.wait(waits, timeout=seconds)
    for wait in pending:
        wait.cancel()
    return not pending


async def _reap(pid: int) -> int | None:
    """The exit code of a zygote that ended or is about to; None where somebody else took it."""
    try:
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)

"""Runs the server in this process: one home, one port, ended by SIGINT or SIGTERM."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from darkstream.errors import DarkstreamError, SettingsError
from darkstream.server.guard import require_loopback

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

    from darkstream.settings import Settings

_log = structlog.get_logger(__name__)

_GRACE_S = 1
_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than our client keeps idle connections, so that it never writes into a closed one."""


def serve_app(
    settings: Settings, make_app: Callable[[], FastAPI], *, on_stop: Callable[[FastAPI], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `make_app` is called once port and home are ours.

    `on_stop` is called at the signal: requests that wait for something are to end then.

    Raises SettingsError for an address that others could reach, a port or a home that is taken,
    and what the app raised where its start failed.
    """
    require_loopback(settings.server.host)
    with _own_home(settings), _listening(settings) as listener:
        app = make_app()
        _run(settings, app, listener, lambda: on_stop(app))


def _run(
    settings: Settings, app: FastAPI, listener: socket.socket, on_stop: Callable[[], None]
) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            on_stop()
            super().handle_exit(sig, frame)

    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
    )
    _log.info("server_starts", url=settings.server_url, home=str(settings.home))
    with _ending_quietly():
        server.run(sockets=[listener])
    if not server.started:
        raise DarkstreamError("the server could not start; its log says why")
    _log.info("server_stopped")


@contextmanager
def _own_home(settings: Settings) -> Iterator[None]:
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        lock = os.open(settings.home / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            f"the home {settings.home} cannot be used ({error.strerror}): set DARKSTREAM_HOME to a "
            "directory you may write to"
        ) from error
    try:
        _lock(lock, settings)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, settings: Settings) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(
            f"another server works in {settings.home}: stop it, or set DARKSTREAM_HOME to another "
            "directory"
        ) from error


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Said to be TCP: asyncio else leaves Nagle's algorithm on, and answers take 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise SettingsError(_why_not(error, host, port)) from error
        yield listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"the port {port} of {host} is taken: stop what listens there, or set "
            "DARKSTREAM_SERVER__PORT to another"
        )
    return f"the server cannot listen on {host}, port {port}: {error.strerror}"


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """Let uvicorn stop on a signal without raising it again: the stop was clean."""

    def noted(_signal: int, _frame: FrameType | None) -> None:
        pass

    former = {sign: signal.signal(sign, noted) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sign, handler in former.items():
            signal.signal(sign, handler)

"""Server and worker as child processes: started, restarted when they die, stopped in order."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

import structlog

from darkstream.errors import DarkstreamError, ServerUnreachable

if TYPE_CHECKING:
    from types import FrameType

    from darkstream.settings import Settings

_log = structlog.get_logger(__name__)

_GRACE_S = {"worker": 9.5, "server": 14.0}
"""When each is killed, seconds after the stop began: the server has the time the worker left."""
_FIRST_START_S = 180.0
_RESTARTS_A_MINUTE = 5


class Supervisor:
    """Runs one server and one worker; both end with this process, however it ends.

    The children are in process groups of their own, so that Ctrl-C in a terminal reaches only the
    supervisor, which stops the worker first (its jobs go back to the queue) and the server last.
    """

    def __init__(
        self, settings: Settings, *, environment: Mapping[str, str], log: IO[bytes] | None
    ) -> None:
        self._settings = settings
        self._environment = {**os.environ, **environment}
        self._log_file = log
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts: dict[str, list[float]] = {}
        self.stopping = False

    def start(self) -> None:
        """Start the server; the worker follows once it answers, as it can do nothing before."""
        self._spawn("server")

    def _spawn(self, role: str) -> None:
        argv = [sys.executable, "-m", "darkstream", role]
        if setpriv := shutil.which("setpriv"):
            argv = [setpriv, "--pdeathsig", "TERM", *argv]
        self._children[role] = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=self._log_file,
            stderr=self._log_file,
            env=self._environment,
            process_group=0,
        )

    def watch(self) -> None:
        """Restart a child that died; raises DarkstreamError when one keeps dying."""
        for role, child in list(self._children.items()):
            if self.stopping or child.poll() is None:
                continue
            if child.returncode == 2:
                raise DarkstreamError(f"the {role} could not start; it said why")
            recent = [t for t in self._restarts.get(role, []) if t > time.monotonic() - 60]
            if len(recent) >= _RESTARTS_A_MINUTE:
                raise DarkstreamError(
                    f"the {role} died {len(recent)} times within a minute (last exit code "
                    f"{child.returncode}); its log says why"
                )
            _log.warning("child_restarted", role=role, exit_code=child.returncode)
            self._restarts[role] = [*recent, time.monotonic()]
            self._spawn(role)

    def wait_ready(self) -> None:
        """Wait until the server takes jobs and a worker has reported.

        Prefect takes its time, and more on a slow machine: be patient, and end at once when a
        child cannot start.
        """
        from darkstream.client.api import Client

        deadline = time.monotonic() + _FIRST_START_S
        reasons = "it does not answer yet"
        with Client(self._settings.server_url) as client:
            while time.monotonic() < deadline and not self.stopping:
                self.watch()
                try:
                    state = client.ready()
                    if "worker" not in self._children:
                        self._spawn("worker")
                    reasons = "; ".join(state.reasons)
                    if state.ready and any(node.live for node in client.nodes()):
                        return
                    if state.ready:
                        reasons = "no worker has reported yet"
                except ServerUnreachable:
                    pass
                time.sleep(0.1)
        if not self.stopping:
            raise ServerUnreachable(
                f"the server was not ready in {_FIRST_START_S:.0f} s: {reasons}"
            )

    def stop(self) -> None:
        """Stop the worker, then the server; whatever does not end in time is killed."""
        self.stopping = True
        begun = time.monotonic()
        for role, grace in _GRACE_S.items():
            child = self._children.get(role)
            if child is None or child.poll() is not None:
                continue
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(begun + grace - time.monotonic())
            except subprocess.TimeoutExpired:
                _log.warning("child_killed", role=role, after_s=grace)
                child.kill()
                child.wait()

    def stop_on_signals(self) -> None:
        """Let SIGINT and SIGTERM end the wait loops instead of the process."""

        def stop(_signal: int, _frame: FrameType | None) -> None:
            self.stopping = True

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)

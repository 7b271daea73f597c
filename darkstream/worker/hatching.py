"""How a zygote comes to be: a fork of the worker at its start, or a fresh interpreter later."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from darkstream.worker.zygote import count_threads, serve_zygote

_log = structlog.get_logger(__name__)


class Hatched(NamedTuple):
    """A zygote that loads its flows now; orders may be sent at once."""

    end: socket.socket
    pid: int


def fork_zygote(entrypoints: Sequence[str]) -> Hatched:
    """Fork the zygote off this process, which must have one thread only.

    Everything imported until now is shared with it.
    """
    if count_threads() != 1:
        raise RuntimeError("a zygote can only be forked before the first thread is started")
    ours, theirs = socket.socketpair()
    worker = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            serve_zygote(theirs, entrypoints, parent=worker)
        except BaseException:  # noqa: BLE001 - this is a fork: nothing may return into the worker
            _log.exception("zygote_failed")
        finally:
            os._exit(0)
    theirs.close()
    return Hatched(ours, pid)


def spawn_zygote(entrypoints: Sequence[str]) -> Hatched:
    """Start a zygote in a fresh interpreter, from any process.

    Call it from a thread that lives as long as the process: the zygote dies with it.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        descriptor = theirs.fileno()
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [
                *(sys.executable, "-m", "darkstream.worker.zygote"),
                *(str(descriptor), str(os.getpid()), *entrypoints),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(descriptor,),
        )
    return Hatched(ours, child.pid)

"""A control group of its own for each tool, where systemd gives one: a share of the cores for all
its threads, and memory by all that it uses (systemd-run(1), systemd.resource-control(5)).
"""

from __future__ import annotations

import os
import shutil
from functools import lru_cache

import structlog

from darkstream.errors import ProcessFailed
from darkstream.media.process import Limits, run

_log = structlog.get_logger(__name__)

_BUS = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""Where a user's systemd is found; the tool itself has no business with it."""


def scope_words(cpus: float, memory_bytes: int) -> tuple[bytes, ...]:
    """The words before a command that put it into its group; empty where none can be had.

    `systemd-run --scope` replaces itself by the command: it stays our child, in our group.
    """
    program, manager, reason = find_systemd()
    if program is None:
        _log.warning("cpus_not_limited", reason=reason)
        return ()
    bus = [f"{name}={os.environ[name]}" for name in _BUS if name in os.environ]
    limits = (f"CPUQuota={cpus * 100:.0f}%", f"MemoryMax={memory_bytes}")
    words = (
        *("env", *bus, program, manager, "--scope", "--quiet", "--collect"),
        *(word for limit in limits for word in ("-p", limit)),
        *("--", "env", *(word for name in _BUS for word in ("-u", name)), "--"),
    )
    return tuple(map(os.fsencode, words))


@lru_cache(maxsize=1)
def find_systemd() -> tuple[str | None, str, str]:
    """systemd-run, whose manager is asked, and why not where it gives no scope; tried once."""
    manager = "--system" if os.geteuid() == 0 else "--user"
    program = shutil.which("systemd-run")
    if program is None:
        return None, manager, "there is no systemd-run here"
    known = {name: os.environ[name] for name in ("PATH", *_BUS) if name in os.environ}
    words = (program, manager, "--scope", "--quiet", "--collect", "-p", "CPUQuota=100%", "true")
    try:
        run(words, limits=Limits(wall_s=10), env=known)
    except (ProcessFailed, OSError) as error:
        said = error.stderr if isinstance(error, ProcessFailed) else str(error)
        first = next(iter(said.strip().splitlines()), "it said nothing")
        return None, manager, f"systemd gives no control group ({first})"
    return program, manager, ""

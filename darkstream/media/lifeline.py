"""How a child comes to die with us, and to stay within its limits."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import structlog

_log = structlog.get_logger(__name__)

IoTurn = Literal["lowest", "idle"]
"""At the disk: after all others of its class, or only while nobody else wants it (ionice(1))."""
_IO_TURNS = {"lowest": (b"-c", b"2", b"-n", b"7"), "idle": (b"-c", b"3")}
_WATCH = b'read -r _; kill -s KILL -- "-$1"'
"""Waits for the end of the pipe on its standard input, which is our end; dash knows no -KILL --."""


def guard(
    argv: Sequence[bytes], *, memory_bytes: int | None, cpu_s: int | None
) -> tuple[list[bytes], bool]:
    """The command behind what limits it and makes it die with us, and whether it needs a Lifeline.

    Both are done by small programs that replace themselves by the command (setpriv(1),
    prlimit(1)): Python code between fork and exec could deadlock in a process with threads.
    """
    command = [*_limits(memory_bytes, cpu_s), *argv]
    if setpriv := _program("setpriv"):
        return [setpriv, b"--pdeathsig", b"KILL", b"--", *command], False
    return command, True


def stand_back(argv: Sequence[bytes], nice: int, ionice: IoTurn | None) -> list[bytes]:
    """The command behind what lets others go first; without a program for it, it does not."""
    command = list(argv)
    if ionice is not None and (program := _program("ionice")):
        command = [program, *_IO_TURNS[ionice], b"--", *command]
    if nice and (program := _program("nice")):
        command = [program, b"-n", b"%d" % nice, b"--", *command]
    return command


def find_missing(*, nice: bool, ionice: bool) -> list[str]:
    """Which of the programs that are wanted are not here."""
    wanted = {"nice": nice, "ionice": ionice}
    return [name for name, is_wanted in wanted.items() if is_wanted and _program(name) is None]


class Lifeline:
    """A process that kills a process group when we are gone; for systems without setpriv."""

    def __init__(self, group: int) -> None:
        end, self._pipe = os.pipe()
        try:
            self._watcher = subprocess.Popen(  # noqa: S603 - our own words
                [b"/bin/sh", b"-c", _WATCH, b"sh", b"%d" % group],
                stdin=end,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(end)

    def close(self) -> None:
        """Stop watching: the group ended, its number may soon be somebody else's."""
        self._watcher.kill()
        self._watcher.wait()
        os.close(self._pipe)


def _limits(memory_bytes: int | None, cpu_s: int | None) -> list[bytes]:
    """Not the address space: drivers and allocators reserve far more of it than they ever use."""
    wanted = [b"--data=%d" % memory_bytes] if memory_bytes is not None else []
    wanted += [b"--cpu=%d" % cpu_s] if cpu_s is not None else []
    prlimit = _program("prlimit")
    return [prlimit, b"--core=0", *wanted, b"--"] if prlimit else []


@lru_cache(maxsize=8)
def _program(name: str) -> bytes | None:
    found = shutil.which(name)
    # BusyBox has a setpriv too, one that does not know --pdeathsig.
    if found is None or os.path.basename(os.path.realpath(found)) == "busybox":
        _log.warning("missing", program=name, advice="install util-linux")
        return None
    return os.fsencode(found)

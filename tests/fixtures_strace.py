"""The calls that a program really makes of the kernel, one of which fails or is its last.

By Debian's `strace`: nothing of ours decides what is counted.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from darkstream.errors import DarkstreamError

LOOKS = frozenset(
    {"access", "faccessat", "faccessat2", "fstat", "newfstatat", "statx", "statfs", "fstatfs"}
    | {"read", "readv", "getdents64", "lseek", "getxattr", "fgetxattr", "listxattr", "flistxattr"}
    | {"close", "fcntl", "flock", "dup"}
)
"""What leaves a file system as it is."""
CHANGES = frozenset(
    {"openat", "write", "pwrite64", "ftruncate", "fallocate", "copy_file_range", "sendfile"}
    | {"rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"}
    | {"mkdir", "mkdirat", "rmdir", "fsync", "fdatasync", "ioctl"}
    | {"fchmod", "fchmodat", "fchown", "fchownat", "utimensat"}
    | {"setxattr", "fsetxattr", "removexattr", "fremovexattr"}
)
_MAKES = re.compile(r"O_CREAT|O_TRUNC")
_ANYBODY = ctypes.c_ulong(-1)
_PR_SET_PTRACER = 0x59616D61
_PATIENCE_S = 20.0
_GO = signal.SIGUSR1
_DONE, _REFUSED, _BROKEN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Call:
    """The n-th call of its name, as strace prints it."""

    name: str
    number: int
    text: str

    @property
    def changes(self) -> bool:
        """Whether it may change a file or a name."""
        return self.name in CHANGES and (self.name != "openat" or bool(_MAKES.search(self.text)))


@dataclass(frozen=True, slots=True)
class Traced:
    """What a program called, and how it ended."""

    calls: tuple[Call, ...]
    killed: bool
    refused: bool

    def on(self, top: Path) -> list[Call]:
        """The calls about what is below a directory."""
        return [call for call in self.calls if f"{top}" in call.text]

    @property
    def injected(self) -> bool:
        """Whether a call was made to fail."""
        return any("(INJECTED)" in call.text for call in self.calls)


class Strace:
    """Runs something in a child; `faults` are strace's, such as `fsync:error=EIO:when=2`."""

    def __init__(self, program: str, output: Path) -> None:
        self._program, self._output = program, output

    def run(self, act: Callable[[], object], *faults: str) -> Traced:
        # What the child waits for is a call that is never counted among those it makes.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {_GO})
        child = os.fork()
        if child == 0:
            _act(act)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            said = self._trace(child, faults)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        assert killed or os.waitstatus_to_exitcode(status) in (_DONE, _REFUSED), said
        refused = not killed and os.waitstatus_to_exitcode(status) == _REFUSED
        return Traced(tuple(_calls(self._output.read_text("utf-8", "replace"))), killed, refused)

    def _trace(self, child: int, faults: tuple[str, ...]) -> str:
        """Have the child begin once it is traced; what strace said until its end."""
        words = [self._program, "-y", "-o", str(self._output), "-p", str(child)]
        words += [word for fault in faults for word in ("-e", f"inject={fault}")]
        strace = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        try:
            assert strace.stderr is not None
            line = strace.stderr.readline()
            if "attached" not in line:
                pytest.skip(f"may not trace a process: {line.strip()}")
            os.kill(child, _GO)
            return strace.communicate(timeout=_PATIENCE_S)[1]
        finally:
            strace.kill()
            strace.communicate()


def _act(act: Callable[[], object]) -> None:
    ended = _BROKEN
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY)
        signal.sigwait({_GO})
        act()
        ended = _DONE
    except DarkstreamError:
        ended = _REFUSED
    finally:
        if ended == _BROKEN:
            traceback.print_exc()
        os._exit(ended)


def _calls(text: str) -> list[Call]:
    counts: Counter[str] = Counter()
    found = []
    for line in text.splitlines():
        name, bracket, _ = line.partition("(")
        if bracket and name.isidentifier():
            counts[name] += 1
            found.append(Call(name, counts[name], line))
    return found


@pytest.fixture(scope="session")
def strace(tmp_path_factory: pytest.TempPathFactory) -> Strace:
    """Skips where there is none."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("needs strace: install Debian's package strace")
    return Strace(program, tmp_path_factory.mktemp("strace") / "calls")

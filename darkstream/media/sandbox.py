"""The cage every tool that reads a stranger's file runs in.

Level `bubblewrap`: no network, an empty root with the system read-only, the named files and
directories alone, nothing that outlives its parent (bwrap(1)). Level `rlimits`: limits only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from darkstream.errors import ProcessFailed, SandboxUnavailable
from darkstream.media.process import Limits, run

_SYSTEM = (b"/usr", b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64", b"/etc/ld.so.cache")
_ADVICE = "install bubblewrap (Debian: apt-get install bubblewrap) and allow user namespaces"


@dataclass(frozen=True)
class Sandbox:
    """One machine's cage; `program` is bwrap's path at level `bubblewrap`."""

    level: Literal["bubblewrap", "rlimits"]
    program: bytes | None = None

    @classmethod
    def detect(cls, mode: Literal["auto", "require"] = "auto") -> Sandbox:
        """The best level this machine has, found by trying it once.

        Raises SandboxUnavailable at mode `require` where bubblewrap is missing or cannot start.
        """
        found = shutil.which("bwrap")
        reason = "bubblewrap is not installed"
        if found is not None:
            sandbox = cls("bubblewrap", os.fsencode(found))
            try:
                run(sandbox.wrap([b"true"]), limits=Limits(wall_s=10))
            except ProcessFailed as error:
                reason = f"bubblewrap cannot start here ({error.stderr.strip() or error.code})"
            else:
                return sandbox
        if mode == "require":
            raise SandboxUnavailable(f"the sandbox is required, but {reason}: {_ADVICE}")
        return cls("rlimits")

    def wrap(
        self,
        argv: Iterable[bytes | str],
        *,
        read: Iterable[bytes] = (),
        write: Iterable[bytes] = (),
        devices: Iterable[bytes] = (),
    ) -> list[bytes]:
        """The command inside the cage; `read` and `write` are absolute paths it may use.

        They keep their names inside, so that a command is the same with and without the cage and
        can be pasted into a shell.
        """
        command = [os.fsencode(word) for word in argv]
        if self.program is None:
            return command
        binds: list[bytes] = []
        for option, paths in (
            (b"--ro-bind", [*_existing(_SYSTEM), *_existing([_program_path(command[0])]), *read]),
            (b"--bind", write),
            (b"--dev-bind", devices),
        ):
            for path in paths:
                binds += [option, path, path]
        return [
            self.program,
            *(b"--unshare-all", b"--die-with-parent", b"--new-session", b"--clearenv"),
            # Without a bwrap between us and the tool, its CPU time reaches our accounts.
            b"--as-pid-1",
            *(b"--setenv", b"PATH", b"/usr/bin:/bin", b"--setenv", b"LANG", b"C.UTF-8"),
            *(b"--proc", b"/proc", b"--dev", b"/dev", b"--tmpfs", b"/tmp"),
            *binds,
            *(b"--chdir", b"/", b"--"),
            *command,
        ]


def _existing(paths: Iterable[bytes]) -> list[bytes]:
    return [path for path in paths if os.path.exists(path)]


def _program_path(name: bytes) -> bytes:
    return name if name.startswith(b"/") else b""

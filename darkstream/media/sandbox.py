"""The cage every tool that reads a stranger's file runs in.

Level `bubblewrap`: no network, an empty root with the system read-only, the named files and
directories alone, nothing that outlives its parent (bwrap(1)). Level `rlimits`: limits only.

As root too the tool lives in a user namespace, where root is nobody special; only a source that
such a root could not open is read with the one capability for that, CAP_DAC_READ_SEARCH.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import structlog

from darkstream.errors import ProcessFailed, SandboxUnavailable
from darkstream.media.process import Limits, run

_log = structlog.get_logger(__name__)

_SYSTEM = (
    *(b"/usr", b"/bin", b"/sbin", b"/lib", b"/lib32", b"/lib64"),
    *(b"/etc/ld.so.cache", b"/etc/alternatives", b"/nix/store"),
)
_NAMESPACES = tuple(
    b"--unshare-" + name for name in (b"ipc", b"pid", b"net", b"uts", b"cgroup-try")
)
_READ_ALL = (b"--cap-add", b"CAP_DAC_READ_SEARCH")
_DEVICE_FACTS = (
    *(b"/sys/dev/char", b"/sys/devices", b"/sys/class/drm", b"/sys/bus/pci"),
    *(b"/etc/vulkan", b"/etc/OpenCL", b"/usr/local/nvidia"),
)
"""Where drivers look for what a device is, and where containers have NVIDIA's libraries."""
_DEVICE_VARIABLES = re.compile(rb"(CUDA|NVIDIA|LIBVA|ONEVPL|MFX|VK)_\w+|LD_LIBRARY_PATH")
_ADVICE = "install bubblewrap (Debian: apt-get install bubblewrap) and allow user namespaces"


@dataclass(frozen=True)
class Sandbox:
    """One machine's cage; `program` is bwrap's path at level `bubblewrap`."""

    level: Literal["bubblewrap", "rlimits"]
    program: bytes | None = None

    @classmethod
    def detect(cls, mode: Literal["auto", "require"] = "auto") -> Sandbox:
        """The best level this machine has, found by trying it once a process.

        Raises SandboxUnavailable at mode `require` where bubblewrap is missing or cannot start.
        """
        found = shutil.which("bwrap")
        reason = "bubblewrap is not installed" if found is None else _try(os.fsencode(found))
        if found is not None and reason is None:
            return cls("bubblewrap", os.fsencode(found))
        if mode == "require":
            raise SandboxUnavailable(f"the sandbox is required, but {reason}: {_ADVICE}")
        _log.warning("sandbox_reduced", level="rlimits", reason=reason, advice=_ADVICE)
        return cls("rlimits")

    def wrap(
        self,
        argv: Iterable[bytes | str],
        *,
        read: Iterable[bytes] = (),
        write: Iterable[bytes] = (),
        devices: Iterable[bytes] = (),
        variables: Mapping[bytes, bytes] | None = None,
    ) -> list[bytes]:
        """The command inside the cage; `read` and `write` are absolute paths it may use.

        They keep their names inside, so that a command is the same with and without the cage and
        can be pasted into a shell. `variables`: of its environment.
        """
        command = [os.fsencode(word) for word in argv]
        told = dict(variables or {})
        if self.program is None:
            said = [b"%s=%s" % item for item in told.items()]
            return [b"/usr/bin/env", *said, *command] if said else command
        devices = list(devices)
        facts = _existing(_DEVICE_FACTS) if devices else []
        sources = [*_program_paths(command[0]), *read]
        hidden = os.geteuid() == 0 and any(map(_is_closed_to_others, sources))
        return [
            self.program,
            *(b"--cap-drop", b"ALL"),
            *((*_NAMESPACES, *_READ_ALL) if hidden else (b"--unshare-all",)),
            # Without a bwrap between us and the tool, its CPU time reaches our accounts.
            *(b"--die-with-parent", b"--new-session", b"--as-pid-1"),
            *_environment(told),
            *(b"--proc", b"/proc", b"--dev", b"/dev", b"--tmpfs", b"/tmp"),
            *_binds(b"--ro-bind", [*_existing(_SYSTEM), *sources]),
            *_binds(b"--bind", write),
            *_binds(b"--ro-bind", facts),
            *_binds(b"--dev-bind", devices),
            *(b"--chdir", b"/", b"--"),
            *command,
        ]


@lru_cache(maxsize=8)
def _try(program: bytes) -> str | None:
    """Why this bwrap cannot start here; None: it can."""
    try:
        run(Sandbox("bubblewrap", program).wrap([b"true"]), limits=Limits(wall_s=10))
    except (ProcessFailed, OSError) as error:
        said = error.stderr.strip() or error.code if isinstance(error, ProcessFailed) else error
        return f"bubblewrap cannot start here ({said})"
    return None


def _binds(option: bytes, paths: Iterable[bytes]) -> list[bytes]:
    return [word for path in paths for word in (option, path, path)]


def _environment(variables: Mapping[bytes, bytes]) -> list[bytes]:
    """An empty environment but for these, and what says which device to use."""
    kept = {name: value for name, value in os.environb.items() if _DEVICE_VARIABLES.fullmatch(name)}
    kept |= {b"PATH": b"/usr/bin:/bin", b"LANG": b"C.UTF-8", **variables}
    words = (word for item in kept.items() for word in (b"--setenv", *item))
    return [b"--clearenv", *words]


def _existing(paths: Iterable[bytes]) -> list[bytes]:
    return [path for path in paths if os.path.exists(path)]


def _program_paths(name: bytes) -> list[bytes]:
    """The program itself where it is no part of the system, and its libraries beside it."""
    if not name.startswith(b"/") or name.startswith(b"/usr/"):
        return []
    directory, above = os.path.dirname(name), os.path.dirname(os.path.dirname(name))
    beside = [os.path.join(above, b"lib")] if os.path.basename(directory) == b"bin" else []
    return _existing([name, *beside])


def _is_closed_to_others(path: bytes) -> bool:
    """Whether it is there, and a root without power over other users could not open it."""
    try:
        return not _allows_others(path, stat.S_IROTH) or any(
            not _allows_others(parent, stat.S_IXOTH) for parent in _parents(path)
        )
    except OSError:
        return False  # bwrap will say so


def _allows_others(path: bytes, bit: int) -> bool:
    found = os.stat(path)
    return bool(found.st_mode & (bit << 6 if found.st_uid == 0 else bit))


def _parents(path: bytes) -> Iterator[bytes]:
    while (above := os.path.dirname(path)) != path:
        path = above
        yield path

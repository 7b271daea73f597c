"""The one runner of child processes: capped, watched, and never left behind.

A child dies with its parent, and the signal for that (`PR_SET_PDEATHSIG`) fires when the spawning
*thread* ends: so every child is spawned by one thread that lives as long as the process (prctl(2)).
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import IO

from darkstream.errors import ProcessFailed, ProcessTimeout
from darkstream.observe.cancel import CancelToken

_TICK_S = 0.1
_TERM_GRACE_S = 1.0
_HEAD_LINES = 20
_TAIL_LINES = 60
_LINE_BYTES = 2_000
_FLOOD_LINES = 200_000


@dataclass(frozen=True)
class Limits:
    """What a child may use; None: no limit. Seconds, bytes."""

    wall_s: float | None = None
    no_progress_s: float | None = None
    output_bytes: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class FfmpegProgress:
    """One block of ffmpeg's `-progress`; `out_time` in seconds."""

    frame: int | None = None
    fps: float | None = None
    out_time: Fraction | None = None
    total_size: int | None = None
    speed: float | None = None


@dataclass(frozen=True)
class Completed:
    """A child that ended by itself; times in seconds."""

    argv: tuple[bytes, ...]
    code: int
    stderr: str
    stderr_lines: int
    stdout: bytes
    last_progress: FfmpegProgress | None
    wall_s: float
    cpu_s: float


def run(
    argv: Sequence[bytes | str],
    *,
    limits: Limits | None = None,
    cancel: CancelToken | None = None,
    on_progress: Callable[[FfmpegProgress], None] | None = None,
    on_stderr_line: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    check: bool = True,
) -> Completed:
    """Run a child to its end; its standard output is read as `-progress` where a callback is given.

    Raises ProcessFailed on an exit code other than 0 (unless `check` is false), ProcessTimeout at a
    limit, and what the cancel token was given. However it ends, the child is dead afterwards.
    """
    child = _Child(tuple(map(os.fsencode, argv)), limits or Limits(), on_progress, on_stderr_line)
    child.start(env, tuple(pass_fds))
    try:
        child.watch(cancel)
    finally:
        child.kill()
    done = child.result()
    if check and done.code != 0:
        raise ProcessFailed(
            f"{_name(done.argv)} failed with {_describe_code(done.code)}: "
            f"{_last_line(done.stderr)}\n{shell_quote(done.argv)}",
            argv=done.argv,
            code=done.code,
            stderr=done.stderr,
        )
    return done


def start(
    argv: Sequence[bytes], *, memory_bytes: int | None = None, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a child that goes on by itself and dies with us; its output goes nowhere."""
    command = _guarded(tuple(argv), Limits(memory_bytes=memory_bytes))
    return _spawner().spawn(command, None, tuple(pass_fds), quiet=True)


def shell_quote(argv: Sequence[bytes]) -> str:
    """The command as a person can paste it into a shell."""
    return shlex.join(
        os.fsdecode(word).encode("utf-8", "backslashreplace").decode() for word in argv
    )


def _name(argv: Sequence[bytes]) -> str:
    names = {os.path.basename(word) for word in argv}
    return next(
        (name.decode() for name in (b"ffmpeg", b"ffprobe") if name in names),
        "ffmpeg" if any(b"ffmpeg" in name for name in names) else os.fsdecode(argv[0]),
    )


def _describe_code(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


@dataclass
class _Child:
    argv: tuple[bytes, ...]
    limits: Limits
    on_progress: Callable[[FfmpegProgress], None] | None
    on_stderr_line: Callable[[str], None] | None
    head: list[str] = field(default_factory=list)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    stderr_lines: int = 0
    stdout: bytearray = field(default_factory=bytearray)
    progress: FfmpegProgress | None = None
    progressed: float = 0.0
    code: int | None = None
    cpu_s: float = 0.0

    def start(self, env: Mapping[str, str] | None, pass_fds: tuple[int, ...]) -> None:
        """Spawn from the long-lived thread, then read both pipes and wait in threads."""
        self.begun = self.progressed = time.monotonic()
        command = _guarded(self.argv, self.limits)
        self.process = _spawner().spawn(command, env, pass_fds)
        self.ended = threading.Event()
        readers = (self._read_stdout, self._read_stderr)
        self.readers = [threading.Thread(target=read, daemon=True) for read in readers]
        for reader in self.readers:
            reader.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        _, status, usage = os.wait4(self.process.pid, 0)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.code = os.waitstatus_to_exitcode(status)
        self.process.returncode = self.code
        self.ended.set()

    def _read_stderr(self) -> None:
        for line in _lines(self.process.stderr):
            self.stderr_lines += 1
            if len(self.head) < _HEAD_LINES:
                self.head.append(line)
            else:
                self.tail.append(line)
            if self.on_stderr_line is not None and self.stderr_lines <= _FLOOD_LINES:
                self.on_stderr_line(line)

    def _read_stdout(self) -> None:
        if self.on_progress is None:
            stream = self.process.stdout
            while stream is not None and (block := stream.read(1 << 16)):
                if len(self.stdout) < 64 << 20:
                    self.stdout += block
            return
        values: dict[str, str] = {}
        for line in _lines(self.process.stdout):
            key, _, value = line.partition("=")
            values[key.strip()] = value.strip()
            if key == "progress":
                self._note(parse_progress(values))
                values = {}

    def _note(self, progress: FfmpegProgress) -> None:
        before = self.progress
        marks = (progress.frame, progress.out_time, progress.total_size)
        if before is None or marks != (before.frame, before.out_time, before.total_size):
            self.progressed = time.monotonic()
        self.progress = progress
        if self.on_progress is not None:
            self.on_progress(progress)

    def watch(self, cancel: CancelToken | None) -> None:
        """Wait for the end; raises at a limit or when cancelled."""
        while not self.ended.wait(_TICK_S):
            if cancel is not None:
                cancel.check()
            if broken := self._broken_limit(time.monotonic()):
                self.kill()
                raise ProcessTimeout(
                    f"{_name(self.argv)} was ended: {broken}\n{shell_quote(self.argv)}",
                    argv=self.argv,
                    code=self.code or 0,
                    stderr=self._stderr(),
                )

    def _broken_limit(self, now: float) -> str | None:
        limits, progress = self.limits, self.progress
        if limits.wall_s is not None and now - self.begun > limits.wall_s:
            return f"it ran longer than {limits.wall_s:.0f} s"
        if limits.no_progress_s is not None and now - self.progressed > limits.no_progress_s:
            return f"it made no progress for {limits.no_progress_s:.0f} s"
        if self.stderr_lines > _FLOOD_LINES:
            return f"it printed more than {_FLOOD_LINES} messages"
        size = progress.total_size if progress else None
        if limits.output_bytes is not None and (size or 0) > limits.output_bytes:
            return f"its output grew past {limits.output_bytes} bytes"
        return None

    def kill(self) -> None:
        """TERM, then KILL; returns when the child is dead and its pipes are read."""
        for signum, grace in ((signal.SIGTERM, _TERM_GRACE_S), (signal.SIGKILL, None)):
            if self.ended.is_set():
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signum)
            self.ended.wait(grace)
        for reader in self.readers:
            reader.join(_TERM_GRACE_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None and not any(reader.is_alive() for reader in self.readers):
                stream.close()

    def _stderr(self) -> str:
        hidden = self.stderr_lines - len(self.head) - len(self.tail)
        middle = [f"… {hidden} lines left out …"] if hidden > 0 else []
        return "\n".join((*self.head, *middle, *self.tail))

    def result(self) -> Completed:
        """What the ended child left."""
        return Completed(
            argv=self.argv,
            code=self.code if self.code is not None else -signal.SIGKILL,
            stderr=self._stderr(),
            stderr_lines=self.stderr_lines,
            stdout=bytes(self.stdout),
            last_progress=self.progress,
            wall_s=time.monotonic() - self.begun,
            cpu_s=self.cpu_s,
        )


def _lines(stream: IO[bytes] | None) -> Iterator[str]:
    """Lines of a pipe, cut at a length, with carriage returns as line ends."""
    rest = b""
    while stream is not None and (block := os.read(stream.fileno(), 1 << 16)):
        *lines, rest = (rest + block).replace(b"\r", b"\n").split(b"\n")
        rest = rest[:_LINE_BYTES]
        for line in lines:
            yield line[:_LINE_BYTES].decode("utf-8", "backslashreplace")
    if rest:
        yield rest.decode("utf-8", "backslashreplace")


def parse_progress(values: Mapping[str, str]) -> FfmpegProgress:
    """One `-progress` block; what is `N/A` or missing becomes None."""

    def number(key: str) -> float | None:
        found = re.match(r"\s*(-?[0-9.]+)", values.get(key, ""))
        return float(found.group(1)) if found else None

    frame, size, time_us = number("frame"), number("total_size"), number("out_time_us")
    return FfmpegProgress(
        frame=None if frame is None else int(frame),
        fps=number("fps"),
        out_time=None if time_us is None else Fraction(int(time_us), 1_000_000),
        total_size=None if size is None else int(size),
        speed=number("speed"),
    )


@lru_cache(maxsize=8)
def _program(name: str) -> bytes | None:
    found = shutil.which(name)
    return None if found is None else os.fsencode(found)


def _guarded(argv: tuple[bytes, ...], limits: Limits) -> list[bytes]:
    """The command behind what makes it die with us and keeps its memory in bounds."""
    command = list(argv)
    if limits.memory_bytes is not None and (prlimit := _program("prlimit")):
        command = [prlimit, b"--core=0", b"--as=%d" % limits.memory_bytes, b"--", *command]
    if setpriv := _program("setpriv"):
        command = [setpriv, b"--pdeathsig", b"KILL", b"--", *command]
    return command


_Order = tuple[
    "Future[subprocess.Popen[bytes]]", list[bytes], dict[str, str] | None, tuple[int, ...], bool
]


class _Spawner:
    """The thread that outlives every child it starts."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="spawner", daemon=True).start()

    def _serve(self) -> None:
        while True:
            future, command, env, fds, quiet = self._orders.get()
            output = subprocess.DEVNULL if quiet else subprocess.PIPE
            try:
                future.set_result(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        env=env,
                        pass_fds=fds,
                    )
                )
            except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
                future.set_exception(error)

    def spawn(
        self,
        command: list[bytes],
        env: Mapping[str, str] | None,
        fds: tuple[int, ...],
        quiet: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start a child; raises OSError."""
        future: Future[subprocess.Popen[bytes]] = Future()
        self._orders.put((future, command, None if env is None else dict(env), fds, quiet))
        return future.result()


_lock = threading.Lock()
_current: _Spawner | None = None


def _spawner() -> _Spawner:
    """This process's spawner: a forked child has no threads and makes its own."""
    global _current  # noqa: PLW0603 - one thread a process, made on first use
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = _Spawner()
        return _current

"""The one runner of child processes: capped, watched, and never left behind.

A child dies with its parent: by `PR_SET_PDEATHSIG` where setpriv(1) is, else by a watcher that
holds a pipe to us. The signal fires when the spawning *thread* ends, so every child is spawned by
one thread that lives as long as the process (prctl(2)). A child leads a process group of its own:
Ctrl-C in a terminal is ours to decide on (ffmpeg would end early on it, as if it had failed), and
one signal reaches all that it may have started.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from fractions import Fraction
from typing import IO

from darkstream.errors import OutputTooLarge, ProcessFailed, ProcessKilled, ProcessTimeout
from darkstream.media.lifeline import IoTurn, Lifeline, guard, stand_back
from darkstream.media.usage import add_missing, tree_seconds
from darkstream.observe.cancel import CancelToken

_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""How a killed child ends: itself, or the cage around it."""
_TICK_S = 0.1
_TERM_GRACE_S = 1.0
_HEAD_LINES = 20
_TAIL_LINES = 60
_LINE_BYTES = 2_000
_FLOOD_LINES = 200_000
_STDOUT_BYTES = 64 << 20
_KEPT_VARIABLES = re.compile(
    r"PATH|LANG|LC_\w+|TMPDIR|(LD|DYLD)_LIBRARY_PATH|(CUDA|NVIDIA|LIBVA|ONEVPL|MFX)_\w+"
)
"""What a media tool may know of our environment: where libraries and devices are, no secrets."""


@dataclass(frozen=True)
class Limits:
    """What a child may use; None: no limit. Seconds, bytes; `cpu_s` is summed over its threads.

    `nice` is added to our own niceness, `ionice` is its turn at the disk. `scope` are words before
    the command that put it into a control group (cgroup.py).
    """

    wall_s: float | None = None
    no_progress_s: float | None = None
    output_bytes: int | None = None
    memory_bytes: int | None = None
    cpu_s: int | None = None
    nice: int = 0
    ionice: IoTurn | None = None
    scope: tuple[bytes, ...] = ()


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
    """A child that ended by itself; times in seconds.

    `stderr` is its first and last lines, `stderr_lines` how many there were; `stdout` is empty
    where it was read as progress.
    """

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

    `env` is its whole environment; None: ours without what could be a secret. Raises ProcessFailed
    on an exit code other than 0 (unless `check` is false), ProcessKilled where somebody else killed
    it, ProcessTimeout at a limit, OutputTooLarge at that of the output, OSError where it cannot
    start, and what the cancel token was given. However it ends, the child is dead then.
    """
    if cancel is not None:
        cancel.check()
    child = _Child(tuple(map(os.fsencode, argv)), limits or Limits(), on_progress, on_stderr_line)
    try:
        _spawner().order(child.begin, lambda: child.start(env, tuple(pass_fds)))
        child.begin.result()
        child.watch(cancel)
    finally:
        child.kill()
    done = child.result()
    if done.code in _KILLED:
        raise ProcessKilled(
            f"{_name(done.argv)} was killed from outside, as when memory runs out\n"
            f"{shell_quote(done.argv)}",
            argv=done.argv,
            code=done.code,
            stderr=done.stderr,
        )
    if check and done.code != 0:
        raise ProcessFailed(
            f"{_name(done.argv)} failed with {_describe_code(done.code)}: "
            f"{_last_line(done.stderr)}\n{shell_quote(done.argv)}",
            argv=done.argv,
            code=done.code,
            stderr=done.stderr,
        )
    return done


class Servant:
    """A child that goes on by itself until `end`, and dies with us; its output goes nowhere."""

    def __init__(
        self,
        argv: Sequence[bytes],
        *,
        memory_bytes: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        command, exposed = guard(argv, memory_bytes=memory_bytes, cpu_s=None)
        begin: Future[None] = Future()
        _spawner().order(begin, lambda: self._start(command, tuple(pass_fds), exposed))
        begin.result()

    def _start(self, command: list[bytes], pass_fds: tuple[int, ...], exposed: bool) -> None:
        self._process = _popen(command, subprocess.DEVNULL, None, pass_fds)
        self._lifeline = Lifeline(self._process.pid) if exposed else None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def end(self, grace_s: float = 0.0) -> int:
        """Kill it, if it still runs after a grace; returns its exit code (negative: the signal)."""
        try:
            code = self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._lifeline is not None:
            self._lifeline.close()
        return code


def shell_quote(argv: Sequence[bytes]) -> str:
    """The command as a person can paste it into a shell: one line, each byte as it was."""
    return " ".join(map(_quote, argv))


def _quote(word: bytes) -> str:
    with contextlib.suppress(UnicodeDecodeError):
        if (text := word.decode()).isprintable():
            return shlex.quote(text)
    plain = range(0x20, 0x7F)
    shown = (chr(b) if b in plain and b not in b"'\\" else f"\\x{b:02x}" for b in word)
    return f"$'{''.join(shown)}'"  # as bash, zsh and ksh read it


def _name(argv: Sequence[bytes]) -> str:
    names = {os.path.basename(word) for word in argv}
    return next(
        (name.decode() for name in (b"ffmpeg", b"ffprobe") if name in names),
        "ffmpeg" if any(b"ffmpeg" in name for name in names) else os.fsdecode(argv[0]),
    )


def _describe_code(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    known = {one.value for one in signal.Signals}
    return f"signal {signal.Signals(-code).name if -code in known else -code}"


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


@dataclass
class _Child:
    argv: tuple[bytes, ...]
    limits: Limits
    on_progress: Callable[[FfmpegProgress], None] | None
    on_stderr_line: Callable[[str], None] | None
    begin: Future[None] = field(default_factory=Future)
    ended: threading.Event = field(default_factory=threading.Event)
    reaping: threading.Lock = field(default_factory=threading.Lock)
    head: list[str] = field(default_factory=list)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    stderr_lines: int = 0
    stdout: bytearray = field(default_factory=bytearray)
    progress: FfmpegProgress | None = None
    progressed: float = 0.0
    code: int | None = None
    cpu_s: float = 0.0
    failure: Exception | None = None

    def start(self, env: Mapping[str, str] | None, pass_fds: tuple[int, ...]) -> None:
        """Start the child and the threads that read and reap it; runs in the spawner's thread."""
        self.begun = self.progressed = time.monotonic()
        limits = self.limits
        modest = stand_back([*limits.scope, *self.argv], limits.nice, limits.ionice)
        command, exposed = guard(modest, memory_bytes=limits.memory_bytes, cpu_s=limits.cpu_s)
        self.process = process = _popen(command, subprocess.PIPE, env, pass_fds)
        try:
            self.lifeline = Lifeline(process.pid) if exposed else None
            jobs = ((self._read_stdout, process.stdout), (self._read_stderr, process.stderr))
            self.readers = [
                threading.Thread(target=self._read, args=job, daemon=True) for job in jobs
            ]
            for thread in (*self.readers, threading.Thread(target=self._reap, daemon=True)):
                thread.start()
        except BaseException:
            process.kill()
            raise

    def _reap(self) -> None:
        """Wait for the child; once it is being reaped, its number is no longer signalled."""
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        # Until it is reaped its number is its own: nothing it left in its group outlives it.
        _signal_group(self.process.pid, signal.SIGKILL)
        with self.reaping:
            _, status, usage = os.wait4(self.process.pid, 0)
            told_s = usage.ru_utime + usage.ru_stime
            self.cpu_s = max(told_s, self.cpu_s)
            add_missing(self.cpu_s - told_s)
            self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
            self.ended.set()

    def _read(self, read: Callable[[IO[bytes]], None], stream: IO[bytes]) -> None:
        try:
            read(stream)
        except Exception as error:  # noqa: BLE001 - a callback's: raised in the thread that waits
            self.failure = error

    def _read_stderr(self, stream: IO[bytes]) -> None:
        for line in _lines(stream):
            self.stderr_lines += 1
            if len(self.head) < _HEAD_LINES:
                self.head.append(line)
            else:
                self.tail.append(line)
            if self.on_stderr_line is not None and self.stderr_lines <= _FLOOD_LINES:
                self.on_stderr_line(line)

    def _read_stdout(self, stream: IO[bytes]) -> None:
        if self.on_progress is None:
            while block := stream.read(1 << 16):
                self.stdout += block[: _STDOUT_BYTES - len(self.stdout)]
            return
        values: dict[str, str] = {}
        for line in _lines(stream):
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
        """Wait for the end; raises at a limit, when cancelled, and what a callback raised."""
        while not self.ended.wait(_TICK_S):
            if cancel is not None:
                cancel.check()
            if self.failure is not None:
                raise self.failure
            if broken := self._broken_limit(time.monotonic()):
                kind, why = broken
                self.kill()
                raise kind(
                    f"{_name(self.argv)} was ended: {why}\n{shell_quote(self.argv)}",
                    argv=self.argv,
                    code=self.code or -signal.SIGKILL,
                    stderr=self._stderr(),
                )

    def _broken_limit(self, now: float) -> tuple[type[ProcessTimeout], str] | None:
        limits, progress = self.limits, self.progress
        if limits.wall_s is not None and now - self.begun > limits.wall_s:
            return ProcessTimeout, f"it ran longer than {limits.wall_s:.0f} s"
        if limits.no_progress_s is not None and now - self.progressed > limits.no_progress_s:
            return ProcessTimeout, f"it made no progress for {limits.no_progress_s:.0f} s"
        if self.stderr_lines > _FLOOD_LINES:
            return ProcessTimeout, f"it printed more than {_FLOOD_LINES} messages"
        size = progress.total_size if progress else None
        if limits.output_bytes is not None and (size or 0) > limits.output_bytes:
            return OutputTooLarge, f"its output grew past {limits.output_bytes} bytes"
        return None

    def kill(self) -> None:
        """TERM, then KILL, to all of its group; returns when it is dead and its pipes are read."""
        if self.begin.cancel() or self.begin.exception() is not None:
            return
        for signum, grace in ((signal.SIGTERM, _TERM_GRACE_S), (signal.SIGKILL, None)):
            with self.reaping:
                if not self.ended.is_set():
                    self.cpu_s = max(self.cpu_s, tree_seconds(self.process.pid))
                    _signal_group(self.process.pid, signum)
            self.ended.wait(grace)
        self._drain()
        if self.lifeline is not None:
            self.lifeline.close()

    def _drain(self) -> None:
        """Read the pipes to their end, unless one who left the group still holds them."""
        for reader, stream in zip(
            self.readers, (self.process.stdout, self.process.stderr), strict=True
        ):
            reader.join(_TERM_GRACE_S)
            if stream is not None and not reader.is_alive():
                stream.close()

    def _stderr(self) -> str:
        hidden = self.stderr_lines - len(self.head) - len(self.tail)
        middle = [f"… {hidden} lines left out …"] if hidden > 0 else []
        return "\n".join((*self.head, *middle, *self.tail))

    def result(self) -> Completed:
        """What the ended child left; raises what a callback raised on its last lines."""
        if self.failure is not None:
            raise self.failure
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


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines of a pipe, cut at a length, with carriage returns as line ends."""
    rest = b""
    while block := os.read(stream.fileno(), 1 << 16):
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


def _signal_group(group: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signum)


def _popen(
    command: Sequence[bytes], output: int, env: Mapping[str, str] | None, fds: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if _KEPT_VARIABLES.fullmatch(name)}
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=kept if env is None else dict(env),
        pass_fds=fds,
        process_group=0,
    )


class _Spawner:
    """The thread that outlives every child it starts."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._orders: queue.SimpleQueue[tuple[Future[None], Callable[[], None]]]
        self._orders = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="spawner", daemon=True).start()

    def _serve(self) -> None:
        while True:
            begin, start = self._orders.get()
            if not begin.set_running_or_notify_cancel():
                continue
            try:
                start()
            except BaseException as error:  # noqa: BLE001 - handed to the thread that asked
                begin.set_exception(error)
            else:
                begin.set_result(None)

    def order(self, begin: Future[None], start: Callable[[], None]) -> None:
        """Have `start` called by the thread; `begin` then has its end or its exception."""
        self._orders.put((begin, start))


_lock = threading.Lock()
_current: _Spawner | None = None


def _spawner() -> _Spawner:
    """This process's spawner: a forked child has no threads and makes its own."""
    global _current  # noqa: PLW0603 - one thread a process, made on first use
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = _Spawner()
        return _current

"""The one runner of child processes, on children that misbehave."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_processes import gone, written_pid

from darkstream.errors import Cancelled, OutputTooLarge, ProcessFailed, ProcessTimeout
from darkstream.media import lifeline
from darkstream.media.cgroup import find_systemd, scope_words
from darkstream.media.process import Completed, FfmpegProgress, Limits, Servant, run, shell_quote
from darkstream.media.sandbox import Sandbox
from darkstream.observe.cancel import CancelToken

PYTHON = (sys.executable, "-S", "-c")
STUBBORN = (
    "import os, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
    "while True: pass\n"
)


def test_a_failure_carries_what_a_person_needs() -> None:
    words = ["sh", "-c", "echo first >&2; echo 'no such codec' >&2; exit 7", "it's", "a b", "$HOME"]
    with pytest.raises(ProcessFailed) as told:
        run(words)
    error = told.value
    assert (error.code, error.stderr) == (7, "first\nno such codec")
    first, command = str(error).split("\n")
    assert first == "sh failed with exit code 7: no such codec"
    assert shlex.split(command) == words
    assert error.argv == tuple(word.encode() for word in words)


@pytest.mark.parametrize(
    "word",
    [b"plain", b"it's a b $HOME", "café".encode(), b"caf\xe9 $x'\\", b"a\nb\x1b[31m",
     "\u202egpj.exe".encode(), b""],
)  # fmt: skip
def test_a_command_can_be_pasted_whatever_is_in_it(word: bytes) -> None:
    quoted = shell_quote([b"printf", b"%s", word])
    assert quoted.isprintable()
    done = subprocess.run(["bash", "-c", quoted], capture_output=True, check=True)
    assert done.stdout == word


@pytest.mark.parametrize(
    ("number", "said"), [(9, "killed from outside"), (11, "signal SIGSEGV"), (40, "signal 40")]
)
def test_an_end_by_a_signal_is_named(number: int, said: str) -> None:
    with pytest.raises(ProcessFailed, match=said):
        run(["sh", "-c", f"kill -{number} $$"])


def test_a_code_may_be_asked_for() -> None:
    assert run(["sh", "-c", "exit 3"], check=False).code == 3


def test_a_program_that_is_not_there() -> None:
    with pytest.raises((ProcessFailed, OSError), match="no-such-program"):
        run(["no-such-program"])


def test_a_child_knows_no_secrets_and_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKSTREAM_NOTIFY__WEBHOOK_SECRET", "whsec_hidden")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    done = run(["sh", "-c", "env; cat; ls -l /proc/self/fd/0"])
    assert b"hidden" not in done.stdout
    assert b"PATH=" in done.stdout
    assert b"/dev/null" in done.stdout
    assert run(["env"], env={"ONLY": "this"}).stdout == b"ONLY=this\n"


def test_a_flood_of_messages_is_ended_and_kept_short() -> None:
    seen: list[str] = []
    with pytest.raises(ProcessTimeout, match="printed more than 200000 messages") as told:
        run(["sh", "-c", "yes oops >&2"], limits=Limits(wall_s=60), on_stderr_line=seen.append)
    lines = told.value.stderr.splitlines()
    assert len(lines) < 100
    assert any("lines left out" in line for line in lines)
    assert len(seen) <= 200_000


def test_a_line_without_an_end_takes_no_memory() -> None:
    with pytest.raises(ProcessTimeout, match="longer than 1 s") as told:
        run(["sh", "-c", "cat /dev/zero >&2"], limits=Limits(wall_s=1))
    assert len(told.value.stderr) < 100_000


def test_output_is_cut() -> None:
    done = run(["sh", "-c", "head -c 100000000 /dev/zero"])
    assert len(done.stdout) == 64 << 20


def test_a_spinner_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ProcessTimeout, match="ran longer than 2 s"):
        run([*PYTHON, STUBBORN, str(tmp_path / "pid")], limits=Limits(wall_s=2))
    assert time.monotonic() - began < 10
    assert gone(written_pid(tmp_path / "pid"), 0.1)


BLOCK = (
    "frame={0}\\nfps=25.0\\nout_time_us={0}000\\ntotal_size={1}\\nspeed=1.5x\\nprogress=continue\\n"
)


def _blocks(*numbers: int, size: str = "N/A", pause: float = 0.4) -> str:
    return "; ".join(f"printf '{BLOCK.format(n, size)}'; sleep {pause}" for n in numbers)


def test_no_progress_is_an_end_and_progress_is_not() -> None:
    seen: list[FfmpegProgress] = []
    limits = Limits(no_progress_s=1.0)
    run(["sh", "-c", _blocks(1, 2, 3, 4, 5)], limits=limits, on_progress=seen.append)
    assert [one.frame for one in seen] == [1, 2, 3, 4, 5]
    with pytest.raises(ProcessTimeout, match="made no progress for 1 s"):
        run(["sh", "-c", _blocks(*[7] * 20)], limits=limits, on_progress=seen.append)


def test_an_output_that_grows_too_large_is_an_end() -> None:
    limits = Limits(output_bytes=1000)
    with pytest.raises(OutputTooLarge, match="grew past 1000 bytes"):
        run(["sh", "-c", _blocks(1, 2, 3, size="1001")], limits=limits, on_progress=print)
    run(["sh", "-c", _blocks(1, size="1000")], limits=limits, on_progress=print)


def test_progress_arrives_whole_however_it_is_cut() -> None:
    seen: list[FfmpegProgress] = []
    script = "; ".join(
        f"printf '{part}'; sleep 0.1"
        for part in ("fra", "me=12\\nfps=2", "5.00\\nout_time_us=1500000\\ntotal_size=N/A\\r",
                     "speed= 2.5x\\nprogress=e", "nd\\n", "frame=13")
    )  # fmt: skip
    done = run(["sh", "-c", script], on_progress=seen.append)
    whole = FfmpegProgress(frame=12, fps=25.0, out_time=Fraction(3, 2), total_size=None, speed=2.5)
    assert seen == [whole]
    assert done.last_progress == whole
    assert done.stdout == b""


def test_a_callback_that_fails_ends_the_child(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; {_blocks(1)}; sleep 300"

    def fail(_: FfmpegProgress) -> None:
        raise KeyError("codec")

    with pytest.raises(KeyError):
        run(["sh", "-c", script], on_progress=fail)
    assert gone(written_pid(tmp_path / "pid"), 0.1)


def test_cancel_ends_a_child_and_all_it_started(tmp_path: Path) -> None:
    cancel = CancelToken()
    script = f"sleep 300 & echo $! > {tmp_path}/pid; wait"
    threading.Timer(1.0, cancel.cancel, [Cancelled("by the user")]).start()
    began = time.monotonic()
    with pytest.raises(Cancelled, match="by the user"):
        run(["sh", "-c", script], cancel=cancel)
    assert time.monotonic() - began < 5
    assert gone(written_pid(tmp_path / "pid"), 0.1)
    with pytest.raises(Cancelled):
        run(["sh", "-c", f"touch {tmp_path}/never"], cancel=cancel)
    assert not (tmp_path / "never").exists()


def test_nothing_outlives_a_child_that_ended_by_itself(tmp_path: Path) -> None:
    script = f"sleep 300 >/dev/null 2>&1 & echo $! > {tmp_path}/pid"
    assert run(["sh", "-c", script]).code == 0
    assert gone(written_pid(tmp_path / "pid"), 1.0)


def test_limits_are_set() -> None:
    done = run(["cat", "/proc/self/limits"], limits=Limits(memory_bytes=1 << 30, cpu_s=77))
    limits = {line[:25].strip(): line[25:].split()[0] for line in done.stdout.decode().splitlines()}
    assert limits["Max data size"] == str(1 << 30)
    assert limits["Max cpu time"] == "77"
    assert limits["Max core file size"] == "0"


def test_a_child_cannot_take_more_memory_than_it_may() -> None:
    with pytest.raises(ProcessFailed, match="MemoryError"):
        run([*PYTHON, "bytearray(300 << 20)"], limits=Limits(memory_bytes=200 << 20))


def test_costs_are_counted() -> None:
    done = run([*PYTHON, "sum(range(20_000_000))"])
    assert 0.05 < done.cpu_s <= done.wall_s + 0.5


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _children() -> list[str]:
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread of another test that just ended
            found += (task / "children").read_text("ascii").split()
    return found


def test_many_runs_leave_neither_zombies_nor_files_nor_threads() -> None:
    run(["true"])
    files, threads, children = _open_files(), threading.active_count(), set(_children())
    for number in range(60):
        run(["sh", "-c", f"exit {number % 2}"], check=False, on_progress=print)
    assert set(_children()) <= children
    assert _open_files() <= files
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= threads


@pytest.fixture(params=["setpriv", "lifeline"])
def without_setpriv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A PATH with all programs, or one without setpriv: then a watcher holds a pipe to us."""
    if request.param == "setpriv":
        yield os.environ["PATH"]
        return
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "sleep", "prlimit", "cat"):
        (programs / name).symlink_to(shutil.which(name) or name)
    yield str(programs)


PARENT = (
    "import sys\n"
    "from darkstream.media.process import run, Limits\n"
    "run(['sh', '-c', 'echo $$ > ' + sys.argv[1] + '; sleep 300'], limits=Limits(wall_s=300))\n"
)


def test_a_child_dies_with_its_parent(without_setpriv: str, tmp_path: Path) -> None:
    """kill -9 of the process that runs it."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "pid")],
        env={**os.environ, "PATH": without_setpriv},
        stderr=subprocess.DEVNULL,
    )
    try:
        child = written_pid(tmp_path / "pid")
        assert not gone(child, 0.3)
        parent.kill()
        parent.wait()
        assert gone(child, 3.0)
    finally:
        parent.kill()
        parent.wait()


def test_a_watcher_leaves_with_its_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifeline, "_program", lambda _name: None)
    before = set(_children())
    assert run(["sh", "-c", "echo done"]).stdout == b"done\n"
    assert set(_children()) <= before


def test_a_missing_program_is_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    lifeline._program.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", str(tmp_path))
            assert lifeline.guard([b"x"], memory_bytes=1, cpu_s=1) == ([b"x"], True)
    finally:
        lifeline._program.cache_clear()


def test_a_servant_outlives_the_thread_that_asked_for_it_and_ends_when_told() -> None:
    servants: list[Servant] = []
    thread = threading.Thread(target=lambda: servants.append(Servant([b"sleep", b"300"])))
    thread.start()
    thread.join()
    (servant,) = servants
    assert not gone(servant.pid, 0.5)
    assert servant.end() == -signal.SIGKILL
    assert gone(servant.pid, 0.1)
    assert Servant([b"sh", b"-c", b"exit 5"]).end(grace_s=5.0) == 5


def test_a_forked_process_runs_children_of_its_own() -> None:
    """A flow process is a fork: the threads of its parent are not there."""
    run(["true"])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            done: Completed = run(["sh", "-c", "echo forked"], limits=Limits(wall_s=10))
            code = 0 if done.stdout == b"forked\n" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_child_lets_others_go_first() -> None:
    limits = Limits(nice=7, ionice="lowest", memory_bytes=1 << 30)
    told = run(["sh", "-c", "cat /proc/self/stat; ionice"], limits=limits).stdout.decode()
    niceness = int(told.splitlines()[0].rpartition(")")[2].split()[16])
    assert niceness == os.nice(0) + 7
    assert told.splitlines()[1] == "best-effort: prio 7"
    assert run(["ionice"], limits=Limits(ionice="idle")).stdout == b"idle\n"


def test_a_caged_child_lets_others_go_first_too() -> None:
    sandbox = Sandbox.detect()
    argv = sandbox.wrap(["cat", "/proc/self/stat"])
    told = run(argv, limits=Limits(nice=5)).stdout.decode()
    assert int(told.rpartition(")")[2].split()[16]) == os.nice(0) + 5


_SYSTEMD = """#!/bin/sh
echo "$@" >> {log}
[ "$XDG_RUNTIME_DIR" = /run/bus ] || exit 1
while [ "$1" != -- ] && [ "$1" != true ]; do shift; done
[ "$1" = -- ] && shift
exec "$@"
"""
"""As systemd-run --scope does it: it replaces itself by the command."""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in for systemd-run, and what it was told."""
    program, log = tmp_path / "bin" / "systemd-run", tmp_path / "told"
    program.parent.mkdir()
    program.write_text(_SYSTEMD.format(log=log), "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/bus")
    find_systemd.cache_clear()
    yield log
    find_systemd.cache_clear()


def test_a_child_has_a_control_group_where_systemd_gives_one(systemd: Path) -> None:
    limits = Limits(scope=scope_words(1.5, 1 << 30))
    done = run(["sh", "-c", "echo bus=$XDG_RUNTIME_DIR $$ $PPID"], limits=limits)
    bus, pid, parent = done.stdout.decode().split()
    assert (bus, int(parent)) == ("bus=", os.getpid()), "it is our child, and sees no bus"
    assert int(pid) > 0
    assert "-p CPUQuota=150% -p MemoryMax=1073741824" in systemd.read_text("utf-8")


def test_without_systemd_nothing_is_put_before_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_systemd.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert scope_words(1.5, 1 << 30) == ()
    assert find_systemd()[2] == "there is no systemd-run here"
    find_systemd.cache_clear()


def test_a_systemd_that_refuses_is_told(systemd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nobody")
    assert scope_words(1.5, 1 << 30) == ()
    assert "gives no control group" in find_systemd()[2]

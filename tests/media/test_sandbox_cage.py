"""What a tool in the cage can see and do; and what happens where there is no cage."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fixtures_processes import gone
from structlog.testing import capture_logs

from darkstream.errors import Cancelled, ProcessFailed, ProcessTimeout, SandboxUnavailable
from darkstream.media.process import Limits, run
from darkstream.media.sandbox import Sandbox
from darkstream.media.usage import spent_seconds
from darkstream.observe.cancel import CancelToken

Caged = Callable[..., str]


@pytest.fixture(scope="module")
def cage() -> Sandbox:
    try:
        return Sandbox.detect("require")
    except SandboxUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def caged(cage: Sandbox) -> Caged:
    """Runs a line of shell in the cage."""

    def shell(
        line: str, *words: bytes, read: Sequence[bytes] = (), write: Sequence[bytes] = ()
    ) -> str:
        argv = cage.wrap([b"bash", b"-c", line.encode(), b"bash", *words], read=read, write=write)
        return run(argv, limits=Limits(wall_s=20)).stdout.decode(errors="backslashreplace")

    return shell


def test_one_input_and_one_output_are_all_there_is(caged: Caged, tmp_path: Path) -> None:
    library, out = tmp_path / "library", tmp_path / "work"
    library.mkdir()
    out.mkdir()
    source = library / "film.mkv"
    source.write_bytes(b"a film")
    (library / "secret.txt").write_text("secret")
    (tmp_path / "key").write_text("secret")
    files = {"read": [os.fsencode(source)], "write": [os.fsencode(out)]}
    seen = caged(f"cat {source}; cd {tmp_path}; find . | sort", **files)
    assert seen == "a film.\n./library\n./library/film.mkv\n./work\n"
    assert caged("ls /home /root /var /etc 2>/dev/null; true", **files).split() == [
        "/etc:", "alternatives", "ld.so.cache",
    ]  # fmt: skip
    said = caged(
        f"for name in {source} {library}/new /usr/new /new; do "
        "(echo x > $name) 2>/dev/null && echo wrote $name; done; "
        f"echo x > {out}/film.mp4; rm -f {source} 2>/dev/null; true",
        **files,
    )
    assert "wrote /usr" not in said and str(source) not in said
    assert source.read_bytes() == b"a film"
    assert sorted(os.listdir(library)) == ["film.mkv", "secret.txt"]
    assert not Path("/new").exists()
    assert os.listdir(out) == ["film.mp4"]


@pytest.mark.parametrize("name", [b"caf\xe9.mkv", b"a b'c$d\n.mkv", b"x" * 251 + b".mkv"])
def test_any_name_can_be_shown(caged: Caged, tmp_path: Path, name: bytes) -> None:
    source = os.path.join(os.fsencode(tmp_path), name)
    Path(os.fsdecode(source)).write_bytes(b"here")
    assert caged('cat "$1"', source, read=[source]) == "here"


def test_a_source_behind_a_link_keeps_its_name(caged: Caged, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "film.mkv").write_bytes(b"here")
    (tmp_path / "link").symlink_to("real")
    source = os.fsencode(tmp_path / "link" / "film.mkv")
    assert caged('cat "$1"', source, read=[source]) == "here"


def test_there_is_no_network(caged: Caged) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        subprocess.run(["bash", "-c", line], check=True)  # outside it can be reached
        with pytest.raises(ProcessFailed, match=r"refused|unreachable"):
            caged(line)
    with pytest.raises(ProcessFailed, match=r"unreachable|resolution"):
        caged("exec 3<>/dev/tcp/192.0.2.1/80")
    assert caged("tail -n +3 /proc/net/dev | cut -d: -f1").split() == ["lo"]


def test_the_environment_is_empty_but_for_devices(
    caged: Caged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKSTREAM_NOTIFY__WEBHOOK_SECRET", "hidden")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    names = {line.split("=")[0] for line in caged("env").splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "LANG", "CUDA_VISIBLE_DEVICES"}


def test_no_other_process_can_be_seen_or_signalled(caged: Caged) -> None:
    pids = caged("echo /proc/[0-9]*").split()
    assert len(pids) <= 3
    assert caged(f"kill -0 {os.getpid()} 2>/dev/null || echo nobody") == "nobody\n"


def test_root_in_the_cage_is_nobody_special(caged: Caged) -> None:
    powers = caged("grep CapEff /proc/self/status").split()[1]
    assert int(powers, 16) == 0
    assert caged("mount -t tmpfs none /tmp 2>/dev/null || echo refused") == "refused\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may open what is closed to it by mode")
def test_a_closed_source_is_read_by_root_all_the_same(caged: Caged, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    source = closed / "film.mkv"
    source.write_bytes(b"here")
    os.chown(source, 65534, 65534)
    source.chmod(0o600)
    os.chown(closed, 65534, 65534)
    closed.chmod(0o700)
    assert caged(f"cat {source}", read=[os.fsencode(source)]) == "here"
    said = caged(f"(echo x > {source}) 2>/dev/null || echo kept", read=[os.fsencode(source)])
    assert said == "kept\n"
    assert source.read_bytes() == b"here"


def test_limits_hold_in_the_cage(cage: Sandbox) -> None:
    argv = cage.wrap([b"cat", b"/proc/self/limits"])
    done = run(argv, limits=Limits(memory_bytes=1 << 30, cpu_s=60))
    rows = {line[:25].strip(): line[25:].split()[0] for line in done.stdout.decode().splitlines()}
    assert rows["Max data size"] == str(1 << 30)
    assert rows["Max cpu time"] == "60"
    assert rows["Max core file size"] == "0"


def test_the_costs_of_what_is_in_the_cage_are_ours(cage: Sandbox) -> None:
    line = b"i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
    assert run(cage.wrap([b"bash", b"-c", line])).cpu_s > 0.1


@pytest.mark.parametrize("line", ["while :; do :; done", "trap '' TERM; while :; do :; done"])
@pytest.mark.parametrize("caged", [True, False])
def test_the_costs_of_what_we_end_are_ours(cage: Sandbox, line: str, caged: bool) -> None:
    argv = [b"bash", b"-c", line.encode()]
    token = CancelToken()
    timer = threading.Timer(1.5, token.cancel, [Cancelled("enough")])
    before = spent_seconds()
    timer.start()
    with pytest.raises(Cancelled):
        run(cage.wrap(argv) if caged else argv, cancel=token)
    cancelled = spent_seconds()
    with pytest.raises(ProcessTimeout):
        run(cage.wrap(argv) if caged else argv, limits=Limits(wall_s=1.5))
    # Other tests may use the cores too; a child that gets a fifth of one is counted all the same.
    assert 0.3 < cancelled - before < 4
    assert 0.3 < spent_seconds() - cancelled < 4


PARENT = """
import os, sys
from darkstream.media.process import Limits, run
from darkstream.media.sandbox import Sandbox
line = b"trap '' TERM; while :; do :; done"
cage = Sandbox.detect("require")
argv = cage.wrap([b"bash", b"-c", line, os.fsencode(sys.argv[1])])
run(argv, limits=Limits(wall_s=300))
"""


def _caged_pids(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == b"bash" and os.fsencode(mark) in words:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_in_the_cage_dies_with_the_one_outside(
    cage: Sandbox, tmp_path: Path, end: signal.Signals
) -> None:
    """It ignores SIGTERM, as a decoder that spins does."""
    mark = str(tmp_path)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, mark])
    try:
        (pid,) = _wait(lambda: _caged_pids(mark))
        parent.send_signal(end)
        parent.wait()
        assert gone(pid)
    finally:
        parent.kill()
        parent.wait()


def _wait(look: Callable[[], list[int]]) -> list[int]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it never started")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bwrap that may not make namespaces, as where unprivileged ones are off."""
    program = tmp_path / "bwrap"
    said = "bwrap: setting up uid map: Permission denied"
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@pytest.fixture
def absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    ("state", "said"),
    [("broken", "cannot start here (bwrap: setting up uid map"), ("absent", "not installed")],
)
def test_without_a_cage_the_level_is_told_or_the_work_refused(
    request: pytest.FixtureRequest, state: str, said: str
) -> None:
    request.getfixturevalue(state)
    with pytest.raises(SandboxUnavailable) as refused:
        Sandbox.detect("require")
    assert said in str(refused.value)
    assert "apt-get install bubblewrap" in str(refused.value)
    with capture_logs() as logs:
        sandbox = Sandbox.detect("auto")
    assert sandbox.level == "rlimits"
    (line,) = logs
    assert (line["event"], line["level"]) == ("sandbox_reduced", "rlimits")
    assert said in line["reason"]
    assert sandbox.wrap(["cat", b"/x"], read=[b"/x"]) == [b"cat", b"/x"]

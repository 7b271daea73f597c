"""A whole DarkStream as a user starts it: own home and port, real processes, nothing in-process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures_prefect import free_port
from fixtures_server import wait_until
from fixtures_worker import alive, descendants

from darkstream.catalog import Catalog
from darkstream.client.api import Client
from darkstream.errors import ServerUnreachable
from darkstream.media.binary import find_ffmpeg
from darkstream.model.job import Job, JobStatus
from darkstream.model.library import Scan
from darkstream.settings import MediaSettings, Settings

Record = Callable[[str, object], None]

STOPPED_STEP = "Finished in state Cancelled("
"""Prefect says at ERROR how every task ended that did not complete."""
START_S = 120.0
JOB_S = 90.0
CLOSE_PARTS_S = 5.0
_PROGRAMS = Path(sys.executable).parent
_PRESET = """
name: {name}
video: {{codec: h264, speed: {speed}}}
"""
_ERROR = re.compile(r'"level": ?"(error|critical)"')


class Program:
    """One command in the background, in a session of its own as in a terminal of its own."""

    def __init__(self, argv: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        self._seen = 0
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=log.parent,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """What it and its children have written."""
        return self._log.read_text("utf-8", "replace")

    def new_errors(self) -> list[str]:
        """Lines at ERROR since the last time."""
        text = self.log
        new, self._seen = text[self._seen :], len(text)
        return [line for line in new.splitlines() if _ERROR.search(line)]

    def wait_log(self, text: str, seconds: float = START_S) -> None:
        """Wait until it wrote something; fails at once when it ended without."""

        def written() -> bool:
            ended = self.process.poll() is not None
            assert text in self.log or not ended, f"it ended without {text!r}:\n{self.log}"
            return text in self.log

        wait_until(written, f"{text!r} in\n{self.log[-4000:]}", seconds)

    def child(self, role: str) -> int:
        """The process id of `darkstream <role>` below it."""
        words = [b"darkstream", role.encode()]
        return wait_until(
            lambda: next((p for p in children(self.pid) if command(p)[-2:] == words), None), role
        )

    def type_interrupt(self) -> None:
        """What Ctrl-C in its terminal does: SIGINT to the process group in the foreground."""
        os.killpg(self.pid, signal.SIGINT)

    def end(self, how: Callable[[], None] | None = None, within_s: float = 30.0) -> float:
        """SIGTERM (or `how`), and the seconds until it was gone."""
        begun = time.monotonic()
        (how or self.process.terminate)()
        self.process.wait(within_s)
        return time.monotonic() - begun


def command(pid: int) -> list[bytes]:
    """The argv of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """The processes it started itself."""
    return [each for each in descendants(pid) if parent(each) == pid]


def parent(pid: int) -> int:
    """Who started it; 0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def is_ffmpeg(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8").startswith("ffmpeg")
    except OSError:
        return False


class Machine:
    """One user's machine: a home, a library `films`, a destination `out`, and two presets.

    `slow` and `slower` are `web` with an encoder that takes its time.
    """

    def __init__(self, root: Path, template: Path, proofs: Path, **variables: str) -> None:
        self.root = root
        self.home, self.films, self.out = root / "home", root / "films", root / "out"
        for directory in (self.home / "prefect", self.films, self.out, root / "presets"):
            directory.mkdir(parents=True)
        shutil.copy(template / "prefect" / "prefect.db", self.home / "prefect" / "prefect.db")
        (self.home / "capabilities").symlink_to(proofs)
        for name, speed in (("slow", "slower"), ("slower", "placebo")):
            text = _PRESET.format(name=name, speed=speed)
            (root / "presets" / f"{name}.yaml").write_text(text, "utf-8")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = ("PREFECT_", "DARKSTREAM_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(own)},
            "DARKSTREAM_HOME": str(self.home),
            "DARKSTREAM_PRESETS": str(root / "presets"),
            "DARKSTREAM_SERVER__PORT": str(self.port),
            "DARKSTREAM_WORKER__NAME": "machine",
            "DARKSTREAM_WORKER__SLOTS": "2",
            "DARKSTREAM_LIBRARY__SETTLE_S": "0",
            "DARKSTREAM_LOG_FORMAT": "json",
            **variables,
        }
        self.client = Client(self.url)
        self._sources: dict[Path, str] = {}
        self._programs = 0

    # What a user types

    def start(self, *words: str) -> Program:
        """`darkstream …` in the background."""
        self._programs += 1
        log = self.root / f"{words[0]}-{self._programs}.log"
        return Program([str(_PROGRAMS / "darkstream"), *words], self.environment, log)

    def up(self) -> Program:
        """`darkstream up`, ready."""
        program = self.start("up")
        program.wait_log("Ready.")
        return program

    def type(self, *words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """`darkstream …` to its end."""
        return self._run([str(_PROGRAMS / "darkstream"), *words], self.environment, seconds)

    def prefect(
        self, *words: str, seconds: float = 120.0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`prefect …` against this machine's server, to its end."""
        argv = [str(_PROGRAMS / "prefect"), "--no-prompt", *words]
        return self._run(argv, self.prefect_environment, seconds, cwd)

    @property
    def prefect_environment(self) -> dict[str, str]:
        """What a user of Prefect's own commands sets: a home, and what `up` tells to export."""
        own = {
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_UI_URL": f"{self.url}/prefect",
            "PREFECT_HOME": str(self.root / "prefect"),
        }
        return {**self.environment, **own}

    def _run(
        self,
        argv: list[str],
        environment: dict[str, str],
        seconds: float,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            env=environment,
            cwd=cwd or self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    # Films and jobs

    def film(self, clip: Path, name: str) -> Path:
        """A film of its own content, and with it a job that nothing can be reused for."""
        target = self.films / name
        title = f"title={hashlib.sha256(os.fsencode(target)).hexdigest()}"
        _ffmpeg("-i", str(clip), "-c", "copy", "-metadata", title, f"file:{target}")
        self._sources[target] = _digest(target)
        return target

    def forget(self, source: Path) -> None:
        """The test removed it."""
        del self._sources[source]

    def convert(self, source: Path, preset: str = "slow", *options: str) -> int:
        """`darkstream convert --detach`; the job's number."""
        done = self.type(
            *("convert", str(source), "--preset", preset, "--to", str(self.out), "--detach"),
            *options,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split()[1])

    def job(self, number: int) -> Job:
        return patiently(lambda: self.client.job(number))

    def wait_end(self, number: int, seconds: float = JOB_S) -> Job:
        """The job, once it ended."""

        def ended() -> Job | None:
            job = self.job(number)
            return job if job.status.ended else None

        found: Job = wait_until(ended, f"the end of job {number}", seconds)
        return found

    def wait_scan(self, number: int, seconds: float = JOB_S) -> Scan:
        """The scan, once it and its jobs ended."""

        def ended() -> Scan | None:
            scan = patiently(lambda: self.client.scan(number))
            over = scan.status not in {"queued", "running"} and scan.jobs_ended >= scan.jobs
            return scan if over else None

        found: Scan = wait_until(ended, f"the end of scan {number}", seconds)
        return found

    def wait_encode(self, number: int, source: Path, *, seconds: float = JOB_S) -> int:
        """The ffmpeg that encodes a job, once it has made pictures."""

        def encoding() -> int | None:
            job = self.job(number)
            assert not job.status.ended, f"job {number} is {job.status}: {job.reason}"
            progress = job.progress
            if progress is None or progress.step != "encode" or not progress.frame:
                return None
            return next(iter(self.ffmpegs(source)), None)

        found: int = wait_until(encoding, f"the encode of job {number}", seconds)
        return found

    # Processes

    def processes(self) -> dict[int, str]:
        """All that works for this home, by its environment or its command; zombies left out."""
        mark = str(self.home).encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            pid = int(entry.name)
            try:
                told = mark in (entry / "environ").read_bytes() or mark in b"\0".join(command(pid))
            except OSError:
                continue
            if told and alive(pid):
                found[pid] = os.fsdecode(b" ".join(command(pid)))[:200]
        return found

    def ffmpegs(self, source: Path | None = None) -> list[int]:
        """The ffmpeg processes of this home, or only those that read one source."""
        mark = os.fsencode(str(source)) if source else b""
        return [
            pid for pid in self.processes() if is_ffmpeg(pid) and mark in b"\0".join(command(pid))
        ]

    def flow_of(self, ffmpeg: int) -> int:
        """The flow process that an ffmpeg belongs to."""
        pid = parent(ffmpeg)
        while b"bwrap" in b"".join(command(pid)[:1]):
            pid = parent(pid)
        return pid

    def clear(self) -> None:
        """End all that is left of it."""
        self.client.close()
        deadline = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)

    # What must hold

    def published(self) -> list[str]:
        """Every file at the destination, hidden ones too."""
        return sorted(
            str(path.relative_to(self.out)) for path in self.out.rglob("*") if path.is_file()
        )

    def leftovers(self) -> list[str]:
        """Part files, and what is in the work directory."""
        found = (row for top in (self.out, self.films) for row in os.walk(top))
        parts = [f"{top}/{name}" for top, _, names in found for name in names if ".part" in name]
        return sorted([*parts, *map(str, (self.home / "work").glob("*"))])

    def reap(self) -> None:
        """Remove what only the reaper may, which waits a day: work that a killed process left."""
        for left in (self.home / "work").glob("*"):
            shutil.rmtree(left)

    def check(self) -> None:
        """DESIGN's invariants: jobs, sources, outputs, leftovers, processes."""
        settings = Settings(home=self.home)
        catalog = Catalog(settings.catalog_url, lease=settings.lease)
        try:
            assert catalog.check() == []
        finally:
            catalog.close()
        for source, digest in self._sources.items():
            assert _digest(source) == digest, f"{source} was changed"
        wait_until(lambda: not self.leftovers(), f"no leftovers: {self.leftovers()}", CLOSE_PARTS_S)
        assert not self.ffmpegs(), "an ffmpeg is left"

    def stop_jobs(self) -> None:
        """Cancel all that a failed test left unfinished."""
        for status in (JobStatus.queued, JobStatus.dispatched, JobStatus.running):
            for job in patiently(lambda status=status: self.client.jobs(status=status)):
                patiently(lambda job=job: self.client.cancel_job(job.id))

    def flow_run(self, identifier: str) -> dict[str, Any]:
        """What Prefect's API says of a flow run."""
        import httpx

        def ask() -> dict[str, Any] | None:
            try:
                answer = httpx.get(f"{self.url}/api/flow_runs/{identifier}", trust_env=False)
            except httpx.TransportError:
                return None
            return dict(json.loads(answer.text)) if answer.is_success else None

        found: dict[str, Any] = wait_until(ask, f"flow run {identifier}")
        return found

    def wait_flow_run(self, identifier: str, state: str, seconds: float = 30.0) -> None:
        """Wait until Prefect says a flow run is so."""

        def told() -> bool:
            return self.flow_run(identifier)["state_type"] == state

        wait_until(told, f"{state} of {identifier}", seconds)


def patiently(ask: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Ask again while the server is away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except ServerUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def system_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Clips by how long the preset `slow` takes: `blink` a second, `short` some, `long` minutes."""
    directory = tmp_path_factory.mktemp("system-clips")
    made = {}
    for name, size, seconds in (("blink", "128x96", 2), ("short", "640x360", 20)):
        picture = ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25", "-t", str(seconds))
        made[name] = directory / f"{name}.avi"
        _ffmpeg(*picture, "-c:v", "mpeg4", "-q:v", "20", str(made[name]))
    made["long"] = directory / "long.avi"
    _ffmpeg("-stream_loop", "20", "-i", str(made["short"]), "-c", "copy", str(made["long"]))
    return made


def _ffmpeg(*words: str) -> None:
    program = str(find_ffmpeg(MediaSettings()))
    subprocess.run([program, "-nostdin", "-v", "error", "-y", *words], check=True)


@pytest.fixture(scope="session")
def make_machine(
    prefect_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Machine]]:
    """Makes machines; whatever still runs on one at the end is ended."""
    proofs = tmp_path_factory.getbasetemp() / "capabilities"
    proofs.mkdir(exist_ok=True)
    made: list[Machine] = []

    def make(**variables: str) -> Machine:
        root = tmp_path_factory.mktemp("machine")
        made.append(Machine(root, prefect_template, proofs, **variables))
        return made[-1]

    yield make
    for machine in made:
        machine.clear()


@pytest.fixture
def machine(make_machine: Callable[..., Machine]) -> Iterator[Machine]:
    """A machine of the test's own, on which nothing runs yet."""
    own = make_machine()
    yield own
    own.clear()


class Shared:
    """A machine with `up` for all tests that leave it running."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.program: Program | None = None

    def ready(self) -> Program:
        """`up`, started again where a test broke it."""
        if self.program is None or self.program.process.poll() is not None:
            self.program = self.machine.up()
        return self.program


@pytest.fixture(scope="session")
def shared_machine(make_machine: Callable[..., Machine]) -> Iterator[Shared]:
    """The machine behind `up`; a webhook goes to a port where nobody listens unless a test does."""
    hook = f"http://127.0.0.1:{free_port()}/hook"
    secret = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0cw=="
    machine = make_machine(
        DARKSTREAM_NOTIFY__WEBHOOK_URL=hook, DARKSTREAM_NOTIFY__WEBHOOK_SECRET=secret
    )
    yield Shared(machine)
    machine.clear()


class Up:
    """A machine on which `darkstream up` runs."""

    def __init__(self, machine: Machine, program: Program) -> None:
        self.machine = machine
        self.program = program
        self.expected: tuple[str, ...] = ()

    def expect(self, *texts: str) -> None:
        """Lines at ERROR that hold one of these are part of the test."""
        self.expected = texts


@pytest.fixture
def up(shared_machine: Shared) -> Iterator[Up]:
    """`darkstream up`, shared; after the test the invariants are checked and the log is read."""
    machine = shared_machine.machine
    running = Up(machine, shared_machine.ready())
    running.program.new_errors()
    yield running
    try:
        machine.check()
        errors = running.program.new_errors()
        assert not [e for e in errors if not any(text in e for text in running.expected)], errors
    finally:
        if running.program.process.poll() is None:
            machine.stop_jobs()

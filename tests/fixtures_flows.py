"""Our flows on a real Prefect and a real server of ours, with clips made by ffmpeg."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from darkstream.client.api import Client
from darkstream.media.binary import find_ffmpeg
from darkstream.model.base import FencingToken, JobId
from darkstream.model.job import Claim, Job
from darkstream.model.preset import Preset
from darkstream.model.wire import SubmitJob
from darkstream.settings import MediaSettings, Settings
from darkstream.stages.attempt import Attempt
from darkstream.stages.toolbox import Toolbox

if TYPE_CHECKING:
    from fixtures_prefect import PrefectServer
    from fixtures_server import RunningServer
    from prefect.client.schemas.objects import State, TaskRun

_RECORDED_S = 1.5
"""Prefect records the tasks of a run within so long of each other."""
_PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25")
_SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
_OLD = ("-c:v", "mpeg4", "-q:v", "4", "-c:a", "libmp3lame")
_NEW = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-c:a", "aac")


def _when(run: TaskRun) -> Any:
    return run.expected_start_time


def make_attempt(number: int = 1, *, heartbeat_s: float = 1.0) -> Attempt:
    """The n-th attempt at job 7, token 3; nothing is opened."""
    claim = Claim(
        job=JobId(7),
        token=FencingToken(3),
        attempt=number,
        source=b"/films/a.avi",
        relative=b"a.avi",
        destination=b"/out",
        preset=Preset(name="web"),
        heartbeat_s=heartbeat_s,
        lease_s=30.0,
    )
    return Attempt(claim, Toolbox(Settings(), flow_run="run"))


def make_clip(path: Path, *options: str, seconds: float = 2.0) -> Path:
    """A clip of a test picture and a tone; `options` say how it is coded."""
    argv = [str(find_ffmpeg(MediaSettings())), "-nostdin", "-v", "error", "-y"]
    subprocess.run([*argv, *_PICTURE, *_SOUND, "-t", str(seconds), *options, str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def flow_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips to be converted, remuxed, skipped and rejected by the preset `web`."""
    directory = tmp_path_factory.mktemp("clips")
    make_clip(directory / "old.avi", *_OLD)
    make_clip(directory / "inside.mkv", *_NEW)
    make_clip(directory / "fits.mp4", *_NEW, "-movflags", "+faststart")
    (directory / "noise.mp4").write_bytes(os.urandom(50_000))
    return directory


class _AllRun(dict[str, str]):
    """Says of every flow run that it is running: those of these tests are not the fake's own."""

    def __contains__(self, _run: object) -> bool:
        return True

    def __missing__(self, _run: str) -> str:
        return "RUNNING"


@dataclass
class Field:
    """Where flows are tried: a library, a destination, a server and a Prefect."""

    library: Path
    destination: Path
    home: Path
    server: RunningServer
    client: Client
    prefect: PrefectServer
    seen: int = 0
    """Dispatches that were run."""

    def add(self, clip: Path, name: str | None = None) -> Path:
        """Put a copy of a clip into the library."""
        target = self.library / (name or clip.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(clip, target))

    def convert(
        self, source: Path, preset: str | Preset = "web", destination: Path | None = None
    ) -> Job:
        """Convert one file by the flow, in this process; the job as the server knows it then."""
        request = SubmitJob(
            source=str(source), preset=preset, destination=str(destination or self.destination)
        )
        job = self.client.submit_job(request)
        self.work_off()
        return self.client.job(job.id)

    def work_off(self, seconds: float = 60.0) -> list[State[Any]]:
        """Run the flow for every dispatch until no job waits; how the flow runs ended."""
        from fixtures_server import wait_until

        states: list[State[Any]] = []

        def worked() -> bool:
            states.extend(self.run_dispatches())
            return all(job.status.ended for job in self.client.jobs())

        wait_until(worked, "the end of all jobs", seconds)
        return states

    def run_dispatches(self) -> list[State[Any]]:
        """Run the flow for the dispatches made since the last time."""
        from flows.convert import convert
        from flows.encode_chunks import encode_chunks

        new = self.server.dispatcher.orders[self.seen :]
        self.seen += len(new)
        return [
            (convert if order.film is None else encode_chunks)(dispatch=order.id, return_state=True)
            for order in new
        ]

    def published(self) -> list[str]:
        """Every file at the destination, hidden ones too."""
        found = (path for path in self.destination.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.destination)) for path in found)

    def leftovers(self) -> list[Path]:
        """Part files, and what is in the work directory."""
        parts = list(self.destination.rglob("*.part"))
        return parts + list((self.home / "work").glob("*"))

    def task_runs(self, flow_run: str) -> list[TaskRun]:
        """What Prefect knows of the tasks of a flow run, once it knows the end of them all.

        It records what it is told in the background, in order: it knows of no more to come.
        """
        from fixtures_server import wait_until
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)]))

        seen: list[tuple[int, float]] = []

        def read() -> list[TaskRun] | None:
            with get_client(sync_client=True) as prefect:
                runs = prefect.read_task_runs(flow_run_filter=chosen)
            now = time.monotonic()
            if not seen or seen[-1][0] != len(runs):
                seen.append((len(runs), now))
            ended = runs and all(run.state and run.state.is_final() for run in runs)
            quiet = now - seen[-1][1] > _RECORDED_S
            return sorted(runs, key=_when) if ended and quiet else None

        found: list[TaskRun] = wait_until(read, "the task runs")
        return found


@contextmanager
def laid_out(
    shared_prefect: PrefectServer,
    tmp_path: Path,
    proofs: Path,
    monkeypatch: pytest.MonkeyPatch,
    **changes: Any,
) -> Iterator[Field]:
    """A fresh server with an empty library; files count as complete at once.

    `changes` are settings of the server, `proofs` where what ffmpeg was proved to do is kept.
    """
    from fixtures_server import node_report, run_server
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_LOCAL_STORAGE_PATH,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    home = tmp_path / "home"
    proofs.mkdir(exist_ok=True)
    home.mkdir()
    (home / "capabilities").symlink_to(proofs)
    for name in ("library", "converted"):
        (tmp_path / name).mkdir()
    with (
        run_server(home, library={"settle_s": 0.0}, **changes) as server,
        Client(server.url) as client,
    ):
        client.report_node("here", node_report())
        monkeypatch.setenv("DARKSTREAM_HOME", str(home))
        monkeypatch.setenv("DARKSTREAM_SERVER__URL", server.url)
        monkeypatch.setenv("DARKSTREAM_LIBRARY__SETTLE_S", "0")
        server.dispatcher.states_of = _AllRun()
        with temporary_settings(
            {
                PREFECT_API_URL: shared_prefect.api_url,
                PREFECT_LOCAL_STORAGE_PATH: tmp_path / "results",
                PREFECT_LOGGING_TO_API_ENABLED: False,
            }
        ):
            yield Field(
                tmp_path / "library",
                tmp_path / "converted",
                home,
                server,
                client,
                shared_prefect,
            )


@pytest.fixture
def field(
    shared_prefect: PrefectServer,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Field]:
    """Where flows are tried, with the settings as they come."""
    proofs = tmp_path_factory.getbasetemp() / "capabilities"
    with laid_out(shared_prefect, tmp_path, proofs, monkeypatch) as made:
        yield made

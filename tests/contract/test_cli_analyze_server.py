"""`darkstream analyze --server`: the same words, of what a worker found."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fixtures_planning import Clips
from fixtures_server import RunningServer, wait_until

from darkstream.cli import follow
from darkstream.cli.main import main
from darkstream.client.api import Client
from darkstream.model.analyses import AnalysisEnd, AnalysisResults, AnalysisRun, AnalysisWorker
from darkstream.model.analysis import Analysis
from darkstream.observe.cancel import CancelToken
from darkstream.stages.analyses import do_analysis
from darkstream.stages.toolbox import Toolbox

Run = tuple[int, str, str]
Work = Callable[[AnalysisRun, AnalysisWorker], None]


class Shell:
    """Runs `darkstream analyze --server` as a shell would, while a worker does its part."""

    def __init__(
        self, server: RunningServer, client: Client, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._server = server
        self._client = client
        self._capsys = capsys

    def __call__(self, *args: str | os.PathLike[str] | bytes, work: Work | None = None) -> Run:
        with self._working(work or self._do):
            code = self.type(*args)
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def type(self, *args: str | os.PathLike[str] | bytes) -> int:
        """The exit code alone; nobody works."""
        with pytest.raises(SystemExit) as ended:
            main(["analyze", "--server", *map(os.fsdecode, args)])
        return int(str(ended.value.code))

    @contextmanager
    def _working(self, work: Work) -> Iterator[None]:
        def run() -> None:
            asked = self._server.dispatcher.analyses
            one = wait_until(lambda: asked, "an analysis").pop()
            runs = self._server.dispatcher.runs.items()
            flow_run = next(run for key, run in runs if key.endswith(f"-{one.id}-0"))
            work(one, AnalysisWorker(node="den", flow_run=flow_run))

        thread = threading.Thread(target=run)
        thread.start()
        yield
        thread.join()

    def _do(self, one: AnalysisRun, worker: AnalysisWorker) -> None:
        with Toolbox(self._server.settings, flow_run=worker.flow_run) as tools:
            do_analysis(tools, one.id, CancelToken())


@pytest.fixture
def analyze(
    server: RunningServer,
    client: Client,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    monkeypatch.setenv("DARKSTREAM_SERVER__URL", server.url)
    monkeypatch.setenv("DARKSTREAM_HOME", str(server.settings.home))
    return Shell(server, client, capsys)


@pytest.fixture
def folder(clips: Clips, tmp_path: Path) -> Path:
    """A film, and text with a film's name."""
    film = clips.make(
        "asked.mkv", *("-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=1"), *("-c:v", "libx264")
    )
    library = tmp_path / "library"
    library.mkdir()
    shutil.copy(film, library / "film.mkv")
    (library / "text.mp4").write_text("This is no film at all.\n")
    return library


def test_the_words_are_those_of_an_analysis_here(
    analyze: Shell, client: Client, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("--json", "--plain", "--level=quick"):
        code, out, err = analyze(form, folder)
        assert (code, err) == (0, "")
        with pytest.raises(SystemExit):
            main(["analyze", form, str(folder)])
        assert out == capsys.readouterr().out
    newest = client.analyses()[0]
    assert (newest.status, newest.level, newest.paths) == ("done", "quick", (str(folder),))


def test_what_the_worker_does_not_see_ends_with_3(analyze: Shell, folder: Path) -> None:
    code, out, _ = analyze("--headers", "--json", "/not/there.mkv", folder / "film.mkv")
    lost, film = (Analysis.model_validate_json(line) for line in out.splitlines())
    assert code == 3
    assert (lost.status, lost.reason) == ("failed", "/not/there.mkv is gone")
    assert (film.status, film.picture) == ("done", None)


def test_a_name_that_is_no_text_and_a_relative_one_arrive(
    analyze: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = os.path.join(os.fsencode(folder), b"\xff.mkv")
    shutil.copy(folder / "film.mkv", exact)
    monkeypatch.chdir(folder)
    code, out, _ = analyze("--headers", "--json", exact, "film.mkv")
    assert code == 0
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["done", "done"]
    assert str(folder / "film.mkv") in out


def test_one_that_is_not_completed_shows_what_there_is_and_says_why(
    analyze: Shell, client: Client
) -> None:
    def fail(one: AnalysisRun, worker: AnalysisWorker) -> None:
        client.analysis_order(one.id, worker)
        found = (Analysis(source="/in/a.mkv", status="rejected", reason="it is text"),)
        client.add_analysis_results(one.id, AnalysisResults(**dict(worker), first=0, results=found))
        client.finish_analysis(one.id, AnalysisEnd(**dict(worker), reason="no ffmpeg is here"))

    for form in ("--json", "--headers"):
        code, out, err = analyze(form, "/in", work=fail)
        assert code == 1
        assert "a.mkv" in out
        assert err == "Error: the analysis was not completed: no ffmpeg is here\n"

    def fail_at_once(one: AnalysisRun, worker: AnalysisWorker) -> None:
        client.analysis_order(one.id, worker)
        client.finish_analysis(one.id, AnalysisEnd(**dict(worker), reason="no ffmpeg is here"))

    assert analyze("/in", work=fail_at_once)[:2] == (1, "")


def test_one_that_is_cancelled_in_prefect_is_told(analyze: Shell, server: RunningServer) -> None:
    def cancel(_one: AnalysisRun, worker: AnalysisWorker) -> None:
        server.dispatcher.states_of[worker.flow_run] = "CANCELLED"

    code, _, err = analyze("/in", work=cancel)
    assert code == 1
    assert err == "Error: the analysis was cancelled: its flow run was cancelled in Prefect\n"


def test_whoever_does_not_wait_wants_it_no_more(
    analyze: Shell, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        assert len(client.analyses()) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(follow, "follow_analysis", interrupt)
    assert analyze.type("/in") == 130
    assert client.analyses() == []


def test_what_cannot_be_asked_is_refused(analyze: Shell, client: Client) -> None:
    assert analyze.type(*["/in"] * 501) == 2
    assert analyze.type("/films/.darkstream-originals/17-ab") == 2
    assert client.analyses() == []

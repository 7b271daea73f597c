"""Runs in one home, and whose server they use; no server is started."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from darkstream.cli import run, session
from darkstream.cli.main import cli, main
from darkstream.cli.supervisor import Supervisor
from darkstream.errors import ProcessFailed
from darkstream.settings import Settings


class _Servers:
    """Stands for the servers that runs start."""

    def __init__(self) -> None:
        self.up = 0
        self.most = 0
        self.started = 0

    @contextmanager
    def embedded(self, _settings: Settings, _jobs: int | None) -> Iterator[tuple[str, str]]:
        self.started += 1
        self.up += 1
        self.most = max(self.most, self.up)
        yield "client", "supervisor"
        self.up -= 1


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> _Servers:
    made = _Servers()
    monkeypatch.setattr(run, "_embedded", made.embedded)
    monkeypatch.setattr(run, "_POLL_S", 0.01)
    monkeypatch.setattr(session, "answers", lambda _client: made.up > 0)
    return made


def test_a_run_waits_for_another_that_has_a_server_of_its_own(
    servers: _Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(home=tmp_path / "home")
    over = threading.Event()
    used: list[object] = []

    def second() -> None:
        with run._server(settings, None) as (_, supervisor):
            used.append(supervisor)
        over.set()

    thread = threading.Thread(target=second)
    with run._server(settings, None):
        thread.start()
        assert not over.wait(0.3), "it used a server that ends with the first run"
    assert over.wait(10)
    thread.join()
    assert used == ["supervisor"]
    assert (servers.started, servers.most) == (2, 1)
    assert capsys.readouterr().err.count("Waiting for another 'darkstream run'") == 1


def test_an_error_of_a_run_names_the_log_and_stays_what_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(_supervisor: Supervisor) -> None:
        raise ProcessFailed("ffmpeg failed", argv=[b"ffmpeg"], code=7, stderr="said")

    def command(**_options: object) -> None:
        with run._embedded(Settings(home=tmp_path), None):
            pytest.fail("it did not start")

    monkeypatch.setattr(Supervisor, "stop_on_signals", lambda _supervisor: None)
    monkeypatch.setattr(Supervisor, "start", fail)
    monkeypatch.setattr(cli, "main", command)
    with pytest.raises(ProcessFailed) as told:
        command()
    assert (told.value.code, told.value.stderr) == (7, "said")
    with pytest.raises(SystemExit) as ended:
        main(["--debug", "run"])
    assert ended.value.code == 1
    traced = capsys.readouterr().err
    assert "Traceback" in traced and "ffmpeg failed" in traced and "run.log" in traced
    with pytest.raises(SystemExit) as ended:
        main(["run"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said == f"Error: ffmpeg failed (details: {tmp_path / 'run.log'})\n"


def test_runs_share_the_server_of_up(servers: _Servers, tmp_path: Path) -> None:
    servers.up = 1
    settings = Settings(home=tmp_path / "home")
    with run._server(settings, None) as (_, first), run._server(settings, None) as (_, second):
        assert (first, second) == (None, None)
    assert servers.started == 0

"""The commands against a real server of ours; Prefect is the fake that runs nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fixtures_server import RunningServer, node_report, wait_until

from darkstream.cli.main import main
from darkstream.client.api import Client
from darkstream.model.job import Job, Outcome
from darkstream.model.wire import ClaimRequest, Commit, Release

Run = tuple[int, str, str]


class Shell:
    """Runs commands as a shell would: exit code, stdout, stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str | bytes) -> Run:
        with pytest.raises(SystemExit) as ended:
            main([os.fsdecode(arg) for arg in args])
        said = self._capsys.readouterr()
        return int(str(ended.value.code)), said.out, said.err


@pytest.fixture
def shell(
    server: RunningServer,
    client: Client,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    """A shell whose settings name the server; a node with one CPU encoder has reported."""
    monkeypatch.setenv("DARKSTREAM_SERVER__URL", server.url)
    monkeypatch.setenv("DARKSTREAM_HOME", str(server.settings.home))
    client.report_node("here", node_report())
    return Shell(capsys)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A file that looks like one to the commands, which never open it."""
    path = tmp_path / "films" / "a.mkv"
    path.parent.mkdir()
    path.write_bytes(b"film")
    return path


def work(server: RunningServer, client: Client, outcome: Outcome | None) -> Job:
    """Do as a worker would with the next job: claim it, and end it where an outcome is given."""
    order = wait_until(lambda: server.dispatcher.orders, "a dispatch").pop()
    claim = client.claim(order.id, ClaimRequest(node="here", flow_run="run"))
    assert claim is not None
    if outcome is None:
        return client.job(claim.job)
    return client.commit(claim.job, Commit(token=claim.token, outcome=outcome))


DONE = Outcome(status="done", decision="remux", reason="all streams fit", log="said ffmpeg")


def test_a_job_from_submission_to_its_log(
    shell: Shell, server: RunningServer, client: Client, film: Path
) -> None:
    code, out, _ = shell("convert", str(film), "--preset", "web", "--detach")
    assert (code, out) == (0, "job 1 is queued; 'darkstream show 1' shows it\n")
    work(server, client, DONE)
    _, out, _ = shell("show", "1")
    assert "status:      done" in out and "reason:      all streams fit" in out
    assert json.loads(shell("show", "1", "--json")[1])["id"] == 1
    assert "said ffmpeg" in shell("logs", "1")[1]
    _, out, _ = shell("jobs", "--status", "done")
    assert "a.mkv" in out and "all streams fit" in out
    assert [json.loads(line)["id"] for line in shell("jobs", "--json")[1].splitlines()] == [1]
    assert shell("retry", "1")[1] == "job 1: queued\n"
    assert shell("cancel", "1")[1] == "job 1: cancelled\n"


def test_convert_waits_and_says_what_came_out(
    shell: Shell, server: RunningServer, client: Client, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Outcome(status="failed", decision="convert", reason="no space left on /out")
    monkeypatch.setattr("darkstream.cli.follow.time.sleep", lambda _: work(server, client, failed))
    code, out, _ = shell("convert", str(film), "--preset", "web", "--priority", "90")
    assert code == 3
    assert "reason:      no space left on /out" in out
    assert "queue:       cpu/urgent, priority 90" in out


def test_a_running_job_is_asked_to_end(
    shell: Shell, server: RunningServer, client: Client, film: Path
) -> None:
    shell("convert", str(film), "--preset", "web", "--detach")
    work(server, client, None)
    assert shell("cancel", "1")[1] == "job 1: asked to end; it does within seconds\n"


def test_interrupting_the_wait_leaves_the_job_and_says_so(
    shell: Shell, client: Client, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("darkstream.cli.follow.time.sleep", interrupt)
    code, _, err = shell("convert", str(film), "--preset", "web")
    assert code == 130
    assert "job 1 goes on; 'darkstream cancel 1' ends it" in err
    assert not client.job(1).status.ended


def test_a_job_of_tonight_is_not_waited_for(shell: Shell, film: Path) -> None:
    code, out, _ = shell("convert", str(film), "--preset", "web", "--at", "2099-01-01T22:30")
    assert (code, out) == (0, "job 1 is queued; 'darkstream show 1' shows it\n")
    assert "not before:  2099-01-01" in shell("show", "1")[1]


def test_names_that_are_not_text_go_both_ways(shell: Shell, client: Client, film: Path) -> None:
    odd = os.fsencode(film.parent) + b"/bad\xff.mkv"
    Path(os.fsdecode(odd)).write_bytes(b"film")
    to = os.fsencode(film.parent) + b"/to\xff"
    code, _, _ = shell("convert", odd, "--preset", "web", "--to", to, "--detach")
    assert code == 0
    job = client.job(1)
    assert job.source.endswith("bad\\xff.mkv") and job.destination.endswith("to\\xff")
    assert "bad\\xff.mkv" in shell("jobs")[1]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("show", "9"), 2, "there is no job 9"),
        (("cancel", "9"), 2, "there is no job 9"),
        (("retry", "9"), 2, "there is no job 9"),
        (("logs", "9"), 2, "there is no job 9"),
        (("scan", "none"), 2, "none"),
        (("convert", "/nowhere.mkv", "--preset", "web"), 2, "/nowhere.mkv is not a file"),
        (("library", "add", "x"), 2, "give ROOT, --preset and --to"),
        (("library", "add", "x", "/nowhere", "--preset", "web", "--to", "/o"), 2, "is not a dir"),
        (("library", "remove", "x"), 2, "x"),
        (("presets", "wbe"), 2, "web"),
        (("jobs", "--status", "odd"), 2, "'queued', 'dispatched'"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    shell: Shell, args: tuple[str, ...], code: int, said: str
) -> None:
    ended, out, err = shell(*args)
    assert (ended, out) == (code, "")
    assert err.startswith("Error: ") and said in err
    assert len(err.splitlines()) == 1


def test_a_preset_that_is_misspelt_names_the_nearest(shell: Shell, film: Path) -> None:
    code, _, err = shell("convert", str(film), "--preset", "archiv")
    assert code == 2 and "archive" in err


def test_libraries_come_and_go(shell: Shell, film: Path, tmp_path: Path) -> None:
    code, out, _ = shell(
        *("library", "add", "films", str(film.parent), "--preset", "web"),
        *("--to", str(tmp_path / "out"), "--schedule", "0 3 * * *", "--exclude", "*.avi"),
    )
    assert code == 0 and out.startswith("library films: ")
    assert "0 3 * * *" in shell("library", "list")[1]
    listed = json.loads(shell("library", "list", "--json")[1])
    assert listed["exclude"] == ["*.avi"]
    again = shell("library", "add", "films", str(film.parent), "--preset", "web", "--to", "/o")
    assert again[0] == 2 and "'replace' changes it" in again[2]
    assert "forgotten" in shell("library", "remove", "films")[1]
    assert "films" not in shell("library", "list")[1]


def test_a_detached_scan_says_its_number(shell: Shell, film: Path, tmp_path: Path) -> None:
    to = str(tmp_path / "out")
    shell("library", "add", "films", str(film.parent), "--preset", "web", "--to", to)
    assert shell("scan", "films", "--detach")[1] == "scan 1 of films started\n"


def test_presets_are_listed_and_printed(shell: Shell) -> None:
    assert "abr" in shell("presets")[1]
    assert "codec: h264" in shell("presets", "web")[1]
    assert json.loads(shell("presets", "--schema")[1])["title"] == "Preset"


def test_the_doctor_names_server_and_workers(shell: Shell) -> None:
    code, out, _ = shell("doctor")
    assert "encoders proved: libx264 (h264)" in out
    assert "sandbox: " in out and "workers: here" in out
    assert code == (0 if "BAD" not in out else 1)


def test_a_job_that_is_given_back_says_why_it_waits(
    shell: Shell, server: RunningServer, client: Client, film: Path
) -> None:
    shell("convert", str(film), "--preset", "web", "--detach")
    order = wait_until(lambda: server.dispatcher.orders, "a dispatch").pop()
    claim = client.claim(order.id, ClaimRequest(node="here", flow_run="run"))
    assert claim is not None
    client.release(claim.job, Release(token=claim.token, reason="still being written"))
    assert "reason:      still being written" in shell("show", "1")[1]

"""The commands against a real server of ours; Prefect is the fake that runs nothing."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from fixtures_server import RunningServer, node_report, wait_until

from darkstream.cli.main import main
from darkstream.cli.node import describe_state
from darkstream.client.api import Client
from darkstream.media import cgroup, lifeline
from darkstream.model.base import JobId
from darkstream.model.job import Job, Outcome, Progress
from darkstream.model.node import Hours, parse_windows
from darkstream.model.wire import ClaimRequest, Commit, Heartbeat, LeaseReport, Release

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


def test_a_wait_for_a_job_that_was_cancelled_is_no_success(
    shell: Shell, client: Client, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkstream.cli.follow.time.sleep", lambda _: client.cancel_job(JobId(1)))
    code, out, err = shell("convert", str(film), "--preset", "web")
    assert (code, err) == (1, "Error: job 1 was cancelled; 'darkstream retry 1' queues it again\n")
    assert "status:      cancelled" in out


def test_a_rejected_file_is_no_failure_and_says_why(
    shell: Shell, server: RunningServer, client: Client, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Outcome(status="rejected", decision="reject", reason="it holds no video")
    monkeypatch.setattr("darkstream.cli.follow.time.sleep", lambda _: work(server, client, refused))
    code, _, err = shell("convert", str(film), "--preset", "web")
    assert (code, err) == (0, f"{film} was rejected, nothing was converted: it holds no video\n")


def test_a_running_job_shows_how_far_it_is_and_a_waiting_one_until_when(
    shell: Shell, server: RunningServer, client: Client, film: Path
) -> None:
    shell("convert", str(film), "--preset", "web", "--at", "2020-01-01T22:30")
    assert "not before:  2020-01-01" in shell("show", "1")[1]
    order = wait_until(lambda: server.dispatcher.orders, "a dispatch").pop()
    claim = client.claim(order.id, ClaimRequest(node="here", flow_run="run"))
    assert claim is not None
    progress = Progress(step="encode", done=0.25, speed=1.5, eta_s=90.4)
    lease = LeaseReport(job=claim.job, token=claim.token, progress=progress)
    client.beat(Heartbeat(node="here", leases=(lease,)))
    _, out, _ = shell("show", "1")
    assert "progress:    encode, 25%, 1.5 times as fast as it plays, about 0:01:30 left\n" in out
    assert "node:        here\n" in out and "not before" not in out
    client.commit(claim.job, Commit(token=claim.token, outcome=DONE))
    _, out, _ = shell("show", "1")
    assert "progress" not in out and "not before" not in out


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
        (("preset", "show", "wbe"), 2, "web"),
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
    assert "abr" in shell("preset", "list")[1]
    assert "codec: h264" in shell("preset", "show", "web")[1]
    assert json.loads(shell("preset", "schema")[1])["title"] == "Preset"


def test_a_preset_is_made_checked_saved_and_forgotten(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    change = ("--set", "video.quality=30", "--set", "video.max_height=720")
    code, out, _ = shell("preset", "new", "tiny", *change, "--to", str(path))
    assert code == 0 and str(path) in out
    assert "quality: 30" in path.read_text() and "extends: web" in path.read_text()
    again = shell("preset", "new", "tiny", "--to", str(path))
    assert again[0] == 2 and "is there already" in again[2]
    assert shell("preset", "validate", str(path))[1] == f"{path}: good\n"
    assert shell("preset", "import", str(path))[0] == 0
    assert shell("preset", "import", str(path))[0] == 2
    assert shell("preset", "import", str(path), "--replace")[0] == 0
    assert "saved" in shell("preset", "list")[1]
    assert shell("preset", "show", "tiny", "--source")[1] == path.read_text()
    assert "quality: 31" in shell("preset", "show", "tiny", "--set", "video.quality=31")[1]
    rows = shell("preset", "diff", "web", "tiny")[1].splitlines()
    assert [row.split() for row in rows[-2:]] == [
        ["video.quality", "22", "30"],
        ["video.max_height", "1080", "720"],
    ]
    assert shell("preset", "diff", "web", "web")[1] == "They make the same.\n"
    whole = tmp_path / "whole.yaml"
    assert shell("preset", "export", "tiny", "--to", str(whole))[0] == 0
    assert "extends" not in whole.read_text() and "quality: 30" in whole.read_text()
    assert shell("preset", "remove", "tiny")[0] == 0
    assert shell("preset", "show", "tiny")[0] == 2


def test_what_is_wrong_with_presets_is_told_for_each(shell: Shell, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad\nvideo: {quality: low}\n")
    code, out, err = shell("preset", "validate", "web", str(bad), "wbe")
    assert (code, out) == (2, "web: good\n")
    assert "video.quality" in err and "did you mean web" in err
    assert "FILES, or --block" in shell("preset", "import")[2]
    assert "there is no file" in shell("preset", "import", "/nowhere/x.yaml")[2]


def test_a_library_has_fields_of_its_own(
    shell: Shell, server: RunningServer, film: Path, tmp_path: Path
) -> None:
    to = str(tmp_path / "out")
    where = (str(film.parent), "--preset", "web", "--to", to)
    assert shell("library", "add", "films", *where, "--set", "video.quality=17")[0] == 0
    with sqlite3.connect(server.settings.home / "catalog.db") as catalog:
        (text,) = catalog.execute("select preset from libraries").fetchone()
    assert json.loads(text)["video"]["quality"] == 17
    wrong = shell("library", "add", "more", *where, "--set", "video.qualty=17")
    assert wrong[0] == 2 and "no such field" in wrong[2]


def test_your_presets_are_listed_with_what_is_wrong_with_them(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("DARKSTREAM_PRESETS", str(tmp_path))
    code, out, err = shell("preset", "list")
    assert (code, err) == (0, "")
    assert "broken.yaml: cannot be read" in "".join(out.split("\n")) and "abr" in out
    for wanted in ("broken", str(broken)):
        code, _, err = shell("preset", "show", wanted)
        assert code == 2 and err.startswith(f"Error: {broken}: cannot be read: ")


def test_the_doctor_names_server_and_workers(shell: Shell) -> None:
    code, out, _ = shell("doctor")
    assert "encoders proved: libx264 (h264)" in out
    assert "libx265 (Dolby Vision and HDR10+), libsvtav1 (Dolby Vision)" in out
    assert "sandbox: " in out and "workers: here" in out
    assert code == (0 if "BAD" not in out else 1)


def test_the_doctor_tells_the_limits_of_ffmpeg(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "ok   limits of ffmpeg: none but its memory" in shell("doctor")[1]
    monkeypatch.setenv("DARKSTREAM_WORKER__NICE", "10")
    monkeypatch.setenv("DARKSTREAM_WORKER__IONICE", "idle")
    monkeypatch.setenv("DARKSTREAM_WORKER__THREADS", "4")
    assert "ok   limits of ffmpeg: niceness 10, disk idle, 4 threads\n" in shell("doctor")[1]
    monkeypatch.setenv("DARKSTREAM_WORKER__CPUS", "1.5")
    monkeypatch.setattr(cgroup, "find_systemd", lambda: (None, "--user", "systemd is away"))
    monkeypatch.setattr(lifeline, "find_missing", lambda **_wanted: ["ionice"])
    code, out, _ = shell("doctor")
    told = "4 threads, 1.5 cores; there is no ionice here; systemd is away"
    assert (code, f"BAD  limits of ffmpeg: niceness 10, disk idle, {told}" in out) == (1, True)


def test_the_doctor_misses_a_directory_of_keys(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv("DARKSTREAM_KEYS__DIRECTORY", str(keys))
    code, out, _ = shell("doctor")
    assert code == 1
    assert f"BAD  keys: the directory of keys {keys} (DARKSTREAM_KEYS__DIRECTORY) is not" in out
    keys.mkdir()
    assert f"ok   keys: in {keys}" in shell("doctor")[1]


def test_a_job_that_is_given_back_says_why_it_waits(
    shell: Shell, server: RunningServer, client: Client, film: Path
) -> None:
    shell("convert", str(film), "--preset", "web", "--detach")
    order = wait_until(lambda: server.dispatcher.orders, "a dispatch").pop()
    claim = client.claim(order.id, ClaimRequest(node="here", flow_run="run"))
    assert claim is not None
    client.release(claim.job, Release(token=claim.token, reason="still being written"))
    assert "reason:      still being written" in shell("show", "1")[1]


def test_a_job_after_another_says_for_which_it_waits(
    shell: Shell, server: RunningServer, client: Client, film: Path
) -> None:
    shell("convert", str(film), "--preset", "web", "--detach")
    wish = ("convert", str(film), "--preset", "web", "--after", "1")
    assert shell(*wish, "--detach")[0] == 0
    assert shell(*wish, "--after", "2", "--if-failed", "go-on", "--detach")[0] == 0
    shown = shell("show", "2")[1]
    assert "after:       job 1; cancelled if one fails" in shown
    assert "reason:      waits for job 1\n" in shown
    shown = shell("show", "3")[1]
    assert "after:       job 1, 2; begins also if one fails" in shown
    assert "waits for job 1 and 2" in shell("jobs")[1]
    code, _, err = shell(*wish[:-1], "9")
    assert (code, err) == (
        2,
        "Error: there is no job 9 to come after; 'darkstream jobs' lists them\n",
    )
    work(server, client, Outcome(status="failed", decision="convert", reason="broken"))
    assert "reason:      job 1, which it waited for, failed\n" in shell("show", "2")[1]
    code, out, err = shell(*wish, "--detach")
    assert code == 1
    assert "status:      cancelled" in out
    assert "job 4 was cancelled, as job 1, which it waited for, failed" in err


def test_a_batch_of_a_folder_and_a_file_is_followed_as_one(
    shell: Shell,
    server: RunningServer,
    client: Client,
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inner = film.parent / "inner"
    inner.mkdir()
    (inner / "b.mov").write_bytes(b"more")
    (inner / "notes.txt").write_bytes(b"no film")
    (inner / "link.mkv").symlink_to(film)
    (film.parent / ".hidden.mkv").write_bytes(b"hidden")
    alone = tmp_path / "c.avi"
    alone.write_bytes(b"alone")
    wish = ("--preset", "web", "--to", str(film.parent / "out"))
    code, out, err = shell("batch", "add", "trip", str(film.parent), str(alone), str(film), *wish)
    assert (code, out) == (
        0,
        "batch trip: 3 added, 1 left out, 3 in all; 'darkstream batch wait trip' waits for its "
        "end\n",
    )
    assert "inner/link.mkv is left out: a link to" in err
    jobs = client.jobs(batch="trip")
    assert {job.source for job in jobs} == {str(film), str(inner / "b.mov"), str(alone)}
    outcomes = [
        Outcome(status="done", decision="convert", reason="x", source_bytes=1000, output_bytes=250),
        Outcome(status="failed", decision="convert", reason="broken"),
        Outcome(status="skipped", decision="skip", reason="fits"),
    ]

    def work_on(_seconds: float) -> None:
        for order in server.dispatcher.orders:
            claim = client.claim(order.id, ClaimRequest(node="here", flow_run=f"{order.id}"))
            if claim is not None:
                commit = Commit(token=claim.token, outcome=outcomes.pop(0))
                client.commit(claim.job, commit)

    monkeypatch.setattr("darkstream.cli.follow.time.sleep", work_on)
    code, out, _ = shell("batch", "wait", "trip")
    assert code == 3
    assert "status:      failed\n" in out
    assert "jobs:        3: 1 done, 1 failed, 1 skipped\n" in out
    assert "sizes:       1.0 KB became 250 B (75% saved)\n" in out
    assert shell("batch", "retry", "trip")[1].endswith(", 1 done, 1 skipped\n")
    assert shell("batch", "cancel", "trip")[1] == "batch trip: cancelled\n"
    code, _, err = shell("batch", "wait", "trip")
    assert (code, "'darkstream batch retry trip'" in err) == (1, True)
    assert json.loads(shell("batch", "show", "trip", "--json")[1])["counts"]["cancelled"] == 1
    assert "done:        100%" in shell("batch", "show", "trip")[1]
    assert "trip" in shell("batch", "list")[1]
    assert json.loads(shell("batch", "list", "--json")[1])["name"] == "trip"
    assert len(shell("jobs", "--batch", "trip", "--json")[1].splitlines()) == 3
    assert "batch:       trip\n" in shell("show", str(jobs[0].id))[1]


def test_a_batch_without_files_is_none(
    shell: Shell, client: Client, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for paths, words in (
        ((), "name at least one file or folder"),
        ((str(empty),), "there is no video in"),
        ((str(empty / "gone"),), "is neither a file nor a folder"),
    ):
        code, _, err = shell("batch", "add", "trip", *paths, "--preset", "web")
        assert (code, words in err) == (2, True)
    monkeypatch.setattr("darkstream.model.wire.MOST_FILES", 0)
    code, _, err = shell("batch", "add", "trip", str(film), "--preset", "web")
    assert (code, "make a library of the folder" in err) == (2, True)
    code, _, err = shell("batch", "show", "trip")
    assert (code, err) == (
        2,
        "Error: there is no batch 'trip'; 'darkstream batch list' lists them\n",
    )
    assert client.batches() == []


def test_nodes_are_listed_rest_and_work_again(shell: Shell, client: Client) -> None:
    code, out, _ = shell("node", "list")
    assert code == 0
    assert re.search(r"here\s+works\s+0 of 2\s+cpu gpu control\s+2\s+always", out)
    assert shell("node", "pause", "here") == (0, "here: paused; 0 jobs running\n", "")
    assert shell("node", "pause", "here", "--hard")[1] == "here: paused (hard); 0 jobs running\n"
    assert shell("node", "drain", "here")[1] == "here: drained; 0 jobs running\n"
    assert json.loads(shell("node", "list", "--json")[1])["pause"] == "drain"
    assert shell("node", "resume", "here")[1] == "here: works; 0 jobs running\n"
    code, _, said = shell("node", "drain", "there")
    assert (code, said.startswith("Error: no node is called 'there'")) == (2, True)


def test_hours_of_nodes_are_told(shell: Shell, client: Client) -> None:
    windows = parse_windows("00:00-23:59, 23:59-24:00")
    report = node_report().model_copy(update={"hours": Hours(windows=windows, zone="UTC")})
    client.report_node("here", report)
    assert "00:00-23:59, 23:59-24:00 UTC" in shell("node", "list")[1]
    node = client.node("here")
    assert describe_state(node) == "works"
    at = datetime(2030, 1, 5, 3, 0).astimezone()
    shut = node.model_copy(update={"rest": "soft", "changes": at})
    assert describe_state(shut) == "outside its hours until Sat 03:00"
    assert describe_state(node.model_copy(update={"changes": at})) == "works until Sat 03:00"
    assert describe_state(node.model_copy(update={"live": False})) == "gone"
    busy = node.model_copy(update={"pause": "drain", "rest": "drain", "running": 1})
    assert describe_state(busy) == "draining"

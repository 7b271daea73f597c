"""The forecast of a library, by the API and the command, with a node that does its jobs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures_catalog import end, hint
from fixtures_server import RunningServer, node_report, wait_until

from darkstream.cli.main import main
from darkstream.client.api import Client
from darkstream.errors import NotFound
from darkstream.model.base import NodeName
from darkstream.model.job import ReportLine
from darkstream.model.library import DirectoryListing, Entry, SampledFile, ScanSummary
from darkstream.model.wire import (
    AddLibrary,
    ClaimRequest,
    Listings,
    SampledFiles,
    ScanKeepAlive,
    ScanLines,
    StartScan,
    SubmitJob,
)
from darkstream.model.work import Work

GB = 1_000_000_000
NODE = NodeName("here")
WORK = Work(encoder="libx264", speed="medium", size="hd", codec="h264", amount=6e9)


@pytest.fixture
def films(client: Client, tmp_path: Path) -> str:
    """A library, and a node with two slots."""
    client.report_node(NODE, node_report())
    root, to = tmp_path / "films", tmp_path / "out"
    root.mkdir()
    request = AddLibrary(name="films", root=str(root), destination=str(to), preset="web")
    return client.add_library(request).name


def scan(client: Client, sizes: dict[bytes, int]) -> None:
    """A scan that finds files of these sizes, all new."""
    number = client.start_scan("films", StartScan()).id
    client.scan_order(number, ScanKeepAlive(node=NODE))
    entries = tuple(Entry(name=name, hint=hint(size)) for name, size in sorted(sizes.items()))
    listing = DirectoryListing(path=b"", digest=str(sizes), entries=entries)
    client.list_directories(number, Listings(directories=(listing,)))
    files = [
        SampledFile(path=name, hint=hint(size), sample=name.decode())
        for name, size in sizes.items()
    ]
    client.add_files(number, SampledFiles(files=tuple(files)))
    summary = ScanSummary(met=len(sizes), ignored=0, unchanged=0, wall_s=0)
    client.finish_scan(number, summary)


def dry_scan(client: Client, *lines: ReportLine) -> int:
    """A dry scan that found such files."""
    number = client.start_scan("films", StartScan(dry_run=True)).id
    client.scan_order(number, ScanKeepAlive(node=NODE))
    client.add_lines(number, ScanLines(lines=lines))
    summary = ScanSummary(met=len(lines), ignored=0, unchanged=0, wall_s=0)
    client.finish_scan(number, summary)
    return number


def line(name: str, decision: str = "convert", **changes: object) -> ReportLine:
    values = {
        "source": name,
        "decision": decision,
        "status": "planned",
        "reason": "because",
        "source_bytes": GB,
        "output_bytes": GB // 4,
        "wall_s": 0,
        "cpu_s": 0,
        "attempts": 0,
        "job": None,
    }
    return ReportLine.model_validate(values | changes)


def work_off(server: RunningServer, client: Client, *, wall_s: float, share: float) -> None:
    """Do all that waits, each in so many seconds."""

    def work() -> bool:
        for order in list(server.dispatcher.orders):
            while held := client.claim(order.id, ClaimRequest(node=NODE, flow_run=f"{order.id}")):
                size = client.job(held.job).source_bytes or 0
                outcome = {"wall_s": wall_s, "output_bytes": int(size * share)}
                client.commit(held.job, end(held, source_bytes=size, **outcome))
            client.end_dispatch(order.id)
        return all(job.status.ended for job in client.jobs())

    wait_until(work, "all jobs")


def test_a_forecast_knows_what_like_files_took(
    server: RunningServer, client: Client, films: str
) -> None:
    first = {f"{n}.mkv".encode(): GB for n in range(6)}
    scan(client, first)
    guess = client.forecast(films)
    assert (guess.files, guess.guessed, guess.new_files) == (6, 6, 0)
    assert guess.saved_bytes is None
    assert any("guesses" in note for note in guess.notes)
    work_off(server, client, wall_s=1800.5, share=0.4)
    done = client.forecast(films)
    assert (done.files, done.work_hours.likely) == (0, 0)
    client.pause_node(NODE, "soft")  # so that nothing begins meanwhile
    scan(client, first | {f"new-{n}.mkv".encode(): 2 * GB for n in range(4)})
    client.resume_node(NODE)
    known = client.forecast(films)
    assert (known.files, known.guessed, known.source_bytes) == (4, 0, 8 * GB)
    assert known.work_hours.likely == pytest.approx(4.0, rel=0.01)
    assert known.saved_bytes is not None
    assert known.saved_bytes.likely == pytest.approx(8 * GB * 0.6)
    assert known.finish is not None
    hours = (known.finish.likely - known.at).total_seconds() / 3600
    assert hours == pytest.approx(2.0, rel=0.01), "two slots, four jobs of an hour"


def test_files_of_a_dry_scan_are_counted_by_their_plans(client: Client, films: str) -> None:
    number = dry_scan(
        client,
        line("a.mkv", work=WORK),
        line("b.mkv", "remux", output_bytes=GB, work={**WORK.model_dump(), "encoder": "copy"}),
        line("c.mkv", "skip", output_bytes=0),
        line("d.mkv", "convert", status="failed", output_bytes=0),
    )
    found = client.forecast(films)
    assert (found.files, found.new_files, found.scan) == (2, 2, number)
    assert found.saved_bytes is not None
    assert found.saved_bytes.likely == GB - GB // 4
    assert found.work_hours.likely * 3600 == pytest.approx(100.5 + 120.5, rel=0.01)


def test_jobs_of_others_count_where_they_go_first(client: Client, films: str) -> None:
    client.report_node(NODE, node_report(slots=1))
    dry_scan(client, line("a.mkv", work=WORK))
    alone = client.forecast(films)
    other = SubmitJob(source="/other.mkv", preset="web", destination="/o", source_bytes=50 * GB)
    client.submit_job(other)
    behind = client.forecast(films)
    assert alone.finish is not None and behind.finish is not None
    assert behind.files == alone.files == 1
    assert behind.finish.likely - behind.at > 10 * (alone.finish.likely - alone.at)


def test_without_machines_there_is_no_end(client: Client, films: str) -> None:
    dry_scan(client, line("a.mkv", work=WORK))
    client.pause_node(NODE, "drain")
    paused = client.forecast(films)
    assert (paused.finish, paused.nodes) == (None, ())
    assert "here is paused, and not counted on until it is resumed" in paused.notes
    with pytest.raises(NotFound):
        client.forecast("gone")


def test_the_command_says_it_in_words_and_as_json(
    server: RunningServer,
    client: Client,
    films: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DARKSTREAM_SERVER__URL", server.url)
    monkeypatch.setenv("DARKSTREAM_HOME", str(server.settings.home))

    def say(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["forecast", films, "--no-scan", *words])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "to do:    0 files (0 B)\n" in say()
    assert "new ones are found by a dry scan" in say()
    dry_scan(client, line("a.mkv", work=WORK))
    told = say()
    assert "to do:    1 files (1.0 GB), 1 of them new\n" in told
    assert "machines: here\n" in told
    assert "saved:    about 750.0 MB (between 625.0 MB and 833.3 MB)\n" in told
    assert "finished: about " in told
    assert json.loads(say("--json"))["new_files"] == 1

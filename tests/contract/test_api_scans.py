from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from fixtures_server import RunningServer, node_report, wait_until

from darkstream.cli.tables import write_report
from darkstream.client.api import Client
from darkstream.errors import Conflict, NotFound, UnknownPreset, UsageError
from darkstream.model.base import NodeName, ScanId
from darkstream.model.job import Outcome, ReportLine
from darkstream.model.library import (
    DirectoryListing,
    Entry,
    Library,
    SampledFile,
    ScanSummary,
)
from darkstream.model.preset import Preset, VideoRule
from darkstream.model.replacement import InPlace
from darkstream.model.source import ChangeHint
from darkstream.model.wire import (
    AddLibrary,
    ClaimRequest,
    Commit,
    Listings,
    SampledFiles,
    ScanKeepAlive,
    ScanLines,
    StartScan,
)
from darkstream.stages.report import line_of

_NODE = NodeName("den")
_ALIVE = ScanKeepAlive(node=_NODE, flow_run="walk-1")
_HINT = ChangeHint(size=100, mtime_ns=1, ctime_ns=2, inode=3)


def _add(client: Client, **more: object) -> Library:
    body = {"name": "movies", "root": "/videos", "destination": "/out", "preset": "web", **more}
    return client.add_library(AddLibrary.model_validate(body))


def _walk(client: Client, name: bytes = b"a.mkv") -> ScanId:
    scan = client.start_scan("movies", StartScan()).id
    client.scan_order(scan, _ALIVE)
    listing = DirectoryListing(path=b"", digest="d", entries=(Entry(name=name, hint=_HINT),))
    (candidate,) = client.list_directories(scan, Listings(directories=(listing,)))
    assert candidate.path == name
    sampled = SampledFile(path=name, hint=_HINT, sample="s")
    assert client.add_files(scan, SampledFiles(files=(sampled,))) == ()
    client.finish_scan(scan, ScanSummary(met=1, ignored=0, unchanged=0, wall_s=0.1))
    return scan


def test_a_library_is_added_listed_changed_and_removed(client: Client) -> None:
    added = _add(client, schedule=" 0  3 * * * ")
    assert (added.root, added.schedule) == (b"/videos", "0 3 * * *")
    with pytest.raises(Conflict):
        _add(client)
    assert _add(client, replace=True, exclude=["extras/**"]).exclude == ("extras/**",)
    assert [library.name for library in client.libraries()] == ["movies"]
    client.remove_library("movies")
    with pytest.raises(NotFound):
        client.library("movies")


def test_a_root_that_is_not_utf8_arrives_exactly(client: Client) -> None:
    exact = base64.urlsafe_b64encode(b"/vid\xffeos").decode()
    assert _add(client, root="?", root_b64=exact).root == b"/vid\xffeos"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"root": "videos"}, "root must be an absolute path"),
        ({"destination": "out"}, "destination must be an absolute path"),
        ({"root": "/films/.darkstream-originals/17-ab"}, "originals are kept until their time"),
        ({"destination": "/"}, "never a source"),
        ({"schedule": "every night"}, "0 3 \\* \\* \\*"),
        ({"schedule": "99 3 * * *"}, "0 3 \\* \\* \\*"),
        ({"schedule": "R R * * *"}, "0 3 \\* \\* \\*"),
        ({"schedule": "0 0 31 2 *"}, "never comes"),
        ({"include": []}, "include is empty"),
        ({"include": ["*.mkv", " "]}, "matches nothing"),
        ({"include": ["/videos/*"]}, "matches nothing"),
        ({"exclude": ["[a-"]}, "not closed"),
    ],
)
def test_a_library_that_cannot_be_is_refused(
    client: Client, changes: dict[str, object], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        _add(client, **changes)


@pytest.mark.parametrize("where", ["/m/films", "/m/films/Series", "/m", "/m/x/../films/"])
def test_where_originals_are_replaced_no_other_results_go(client: Client, where: str) -> None:
    """Whichever of the two libraries comes first."""
    mine = AddLibrary(name="mine", root="/m/films", preset="web", in_place=InPlace())
    mobile = AddLibrary(name="mobile", root="/raw", destination=where, preset="mobile")
    client.add_library(mine)
    with pytest.raises(UsageError, match="overlaps with the library 'mine'"):
        client.add_library(mobile)
    client.remove_library("mine")
    client.add_library(mobile)
    with pytest.raises(UsageError, match="results of the library 'mobile' go to"):
        client.add_library(mine)
    client.add_library(mobile.model_copy(update={"destination": "/m/films2", "replace": True}))
    client.add_library(mine)
    client.add_library(mine.model_copy(update={"replace": True}))


def test_a_film_is_replaced_by_one_library_only(client: Client) -> None:
    mine = AddLibrary(name="mine", root="/films", preset="web", in_place=InPlace())
    client.add_library(mine)
    with pytest.raises(UsageError, match="overlaps with the library 'mine'"):
        client.add_library(mine.model_copy(update={"name": "series", "root": "/films/Series"}))
    client.add_library(mine.model_copy(update={"name": "series", "root": "/filmsets"}))
    other = AddLibrary(name="mobile", root="/films", destination="/out", preset="mobile")
    assert client.add_library(other).name == "mobile"


def test_a_place_has_one_name(client: Client) -> None:
    added = _add(client, root="/videos/./", destination="/out//films/")
    assert (added.root, added.destination) == (b"/videos", b"/out/films")


def test_an_unknown_preset_is_refused_with_the_nearest(client: Client) -> None:
    with pytest.raises(UnknownPreset, match="archive"):
        _add(client, preset="archiv")


def test_schedules_reach_prefect_at_once(server: RunningServer, client: Client) -> None:
    _add(client, schedule="0 3 * * *")
    expected = [("movies", "0 3 * * *")]
    wait_until(lambda: server.dispatcher.schedules == expected, "the schedule")
    client.remove_library("movies")
    wait_until(lambda: server.dispatcher.schedules == [], "its removal")


def test_a_scan_makes_a_job_and_a_rescan_none(server: RunningServer, client: Client) -> None:
    client.report_node(_NODE, node_report())
    _add(client)
    scan = _walk(client)
    wait_until(lambda: server.dispatcher.orders, "a dispatch")
    (job,) = client.jobs(scan=scan)
    assert (job.library, job.source, job.pool) == ("movies", "/videos/a.mkv", "cpu")
    order = server.dispatcher.orders[0]
    claim = client.claim(order.id, ClaimRequest(node=_NODE, flow_run="r"))
    assert claim is not None
    outcome = Outcome(status="rejected", decision="reject", reason="no picture")
    client.commit(job.id, Commit(token=claim.token, outcome=outcome))
    (line,) = client.scan_report(scan)
    assert (line.source, line.status, line.reason) == ("a.mkv", "rejected", "no picture")
    again = client.start_scan("movies", StartScan()).id
    known = client.scan_order(again, _ALIVE)
    assert [directory.digest for directory in known.directories] == ["d"]
    summary = ScanSummary(met=1, ignored=0, unchanged=1, wall_s=0.1)
    client.finish_scan(again, summary)
    assert client.scan(again).jobs == 0
    assert [file.path for file in client.files("movies")] == ["a.mkv"]
    assert [line.status for line in client.scan_report(again)] == ["rejected"]


def test_a_waiting_scan_becomes_a_flow_run_once(server: RunningServer, client: Client) -> None:
    _add(client)
    scan = client.start_scan("movies", StartScan(dry_run=True))
    wait_until(lambda: server.dispatcher.scans, "the scan's flow run")
    with pytest.raises(Conflict):
        client.start_scan("movies", StartScan())
    client.report_node(_NODE, node_report())
    client.scan_order(scan.id, _ALIVE)
    assert [made.id for made in server.dispatcher.scans] == [scan.id]


def test_a_scan_that_a_flow_run_started_needs_no_other(
    server: RunningServer, client: Client
) -> None:
    _add(client)
    scan = client.start_scan("movies", StartScan(flow_run="walk-1"))
    client.scan_order(scan.id, _ALIVE)
    other = client.add_library(AddLibrary(name="other", root="/b", destination="/c", preset="web"))
    client.start_scan(other.name, StartScan())
    wait_until(lambda: server.dispatcher.scans, "the other scan's flow run")
    assert [made.library for made in server.dispatcher.scans] == ["other"]


def test_a_cancelled_scan_tells_its_worker_to_stop(client: Client) -> None:
    _add(client)
    scan = client.start_scan("movies", StartScan()).id
    client.scan_order(scan, _ALIVE)
    assert client.keep_scan(scan, _ALIVE)
    assert client.cancel_scan(scan).status == "cancelled"
    assert not client.keep_scan(scan, _ALIVE)


def test_a_failed_scan_says_why(client: Client) -> None:
    _add(client)
    scan = client.start_scan("movies", StartScan()).id
    client.scan_order(scan, _ALIVE)
    client.fail_scan(scan, "the root is gone")
    assert (client.scan(scan).status, client.scan(scan).reason) == ("failed", "the root is gone")


def test_lines_without_jobs_are_in_the_report_in_path_order(client: Client) -> None:
    _add(client)
    scan = client.start_scan("movies", StartScan()).id
    client.scan_order(scan, _ALIVE)
    lines = tuple(
        ReportLine(
            source=name,
            decision="skip",
            status="skipped",
            reason="a directory",
            source_bytes=0,
            output_bytes=0,
            wall_s=0,
            cpu_s=0,
            attempts=0,
            job=None,
        )
        for name in ("z.mp4", "b.mp4", "ü.mp4")
    )
    client.add_lines(scan, ScanLines(lines=lines))
    client.finish_scan(scan, ScanSummary(met=0, ignored=3, unchanged=0, wall_s=0.1))
    assert [line.source for line in client.scan_report(scan)] == ["b.mp4", "z.mp4", "ü.mp4"]


def test_a_line_of_the_report_has_the_keys_that_the_readme_names(
    server: RunningServer, client: Client, tmp_path: Path
) -> None:
    client.report_node(_NODE, node_report())
    _add(client)
    scan = client.start_scan("movies", StartScan()).id
    client.scan_order(scan, _ALIVE)
    client.add_lines(scan, ScanLines(lines=(line_of(b"a\xff.mp4", 0, "skip", "skipped", "?"),)))
    names = (b"c.mkv", b"a\xfe.mkv", b"a.mkv")
    sampled = tuple(
        SampledFile(path=name, hint=_HINT.model_copy(update={"inode": n}), sample=f"s{n}")
        for n, name in enumerate(names)
    )
    client.add_files(scan, SampledFiles(files=sampled))
    client.finish_scan(scan, ScanSummary(met=3, ignored=1, unchanged=0, wall_s=0.1))
    for job in client.jobs(scan=scan):
        client.cancel_job(job.id)
    write_report(client.scan_report(scan), str(tmp_path / "report.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_bytes().splitlines()]
    keys = [
        *("source", "decision", "status", "reason", "findings", "outputs", "source_bytes"),
        *("output_bytes", "wall_s", "cpu_s", "attempts", "job"),
    ]
    exact = [keys[0], "source_b64", *keys[1:]]
    assert [list(line) for line in lines] == [keys, exact, exact, keys]
    paths = [base64.b64decode(line.get("source_b64", "")).decode("latin-1") for line in lines]
    assert paths == ["", "a\xfe.mkv", "a\xff.mp4", ""]
    assert [lines[0]["source"], lines[3]["source"]] == ["a.mkv", "c.mkv"]
    assert [line["status"] for line in lines] == ["cancelled", "cancelled", "skipped", "cancelled"]


def test_a_library_that_demands_a_gpu_nobody_proved_is_not_scanned(client: Client) -> None:
    needs = Preset(name="fast", video=VideoRule(hardware="require"))
    _add(client, preset=needs.model_dump(mode="json"))
    client.report_node(_NODE, node_report())
    with pytest.raises(Conflict, match="hardware"):
        client.start_scan("movies", StartScan())


def test_what_is_not_there_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound):
        client.scan(99)
    with pytest.raises(NotFound):
        list(client.scan_report(99))
    with pytest.raises(NotFound, match="no library 'a b'"):
        client.start_scan("a b", StartScan())
    for name in ("a/b", ""):
        with pytest.raises(NotFound, match="slash"):
            client.start_scan(name, StartScan())

from __future__ import annotations

import base64

import pytest
from fixtures_server import RunningServer, node_report, wait_until

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

"""What scans make of what they meet: new, changed, renamed, copied, gone."""

from __future__ import annotations

import pytest
from fixtures_catalog import (
    beat,
    claim,
    dispatch,
    end,
    hint,
    library,
    start,
    walk,
    work_all,
)
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import JobId
from darkstream.model.job import JobStatus, OutputFile
from darkstream.model.library import DirectoryListing, Entry, SampledFile, ScanSummary
from darkstream.model.preset import Preset
from darkstream.model.wire import (
    FileToPublish,
    Listings,
    SampledFiles,
    ScanKeepAlive,
    StartScan,
    TargetRequest,
)

ONE = {b"a.mkv": (1, "s1")}
CONTENT = "c" * 64


def test_a_rescan_asks_only_for_what_changed(catalog: Catalog) -> None:
    library(catalog)
    scan, found = walk(catalog, {b"a.mkv": (1, "s1"), b"b.mkv": (2, "s2")})
    assert found == [b"a.mkv", b"b.mkv"]
    assert work_all(catalog) == 2
    assert catalog.scans.get(scan).jobs_ended == 2
    assert [event.type for event in catalog.outbox.due(limit=9)].count("scan.ended") == 1
    assert walk(catalog, {b"a.mkv": (1, "s1"), b"b.mkv": (2, "s2")})[1] == []
    scan, found = walk(catalog, {b"a.mkv": (1, "s1"), b"b.mkv": (3, "s3")})
    assert found == [b"b.mkv"]
    assert work_all(catalog) == 1
    lines = list(catalog.scans.report(scan))
    assert [(line.source, line.status) for line in lines] == [("a.mkv", "done"), ("b.mkv", "done")]


def test_a_renamed_file_is_recognised_and_a_changed_wish_is_not_forgotten(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, {b"a.mkv": (1, "s1")})
    assert work_all(catalog, "c" * 64) == 1
    walk(catalog, {b"z.mkv": (1, "s1")}, content="c" * 64)
    assert work_all(catalog) == 0
    assert [one.path for one in catalog.libraries.files("films", after=None, limit=9)] == ["z.mkv"]
    library(catalog, preset=Preset(name="mobile"))
    walk(catalog, {b"z.mkv": (1, "s1")})
    assert work_all(catalog) == 1


def test_a_touched_file_of_the_same_sample_makes_no_job(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, {b"a.mkv": (1, "s1")})
    work_all(catalog)
    scan = catalog.scans.start("films", StartScan()).id
    catalog.scans.order(scan, ScanKeepAlive(node="node"))  # type: ignore[arg-type]
    touched = hint(1).model_copy(update={"mtime_ns": 99})
    listing = DirectoryListing(path=b"", digest="x", entries=(Entry(name=b"a.mkv", hint=touched),))
    (found,) = catalog.scans.list_directories(scan, Listings(directories=(listing,)))
    assert found.sample == "s1"
    file = SampledFile(path=b"a.mkv", hint=touched, sample="s1")
    assert catalog.scans.add_files(scan, SampledFiles(files=(file,)), pool="cpu") == ()
    assert catalog.scans.get(scan).jobs == 0


def test_a_silent_scan_is_walked_again_and_one_runs_at_a_time(catalog: Catalog) -> None:
    library(catalog)
    scan = catalog.scans.start("films", StartScan()).id
    with pytest.raises(Conflict, match="already"):
        catalog.scans.start("films", StartScan())
    alive = ScanKeepAlive(node="node")  # type: ignore[arg-type]
    catalog.scans.order(scan, alive)
    assert catalog.scans.alive(scan, alive)
    for _ in range(3):
        with catalog.database.write() as connection:
            connection.execute(text("UPDATE scans SET seen = 0, status = 'running'"))
        catalog.scans.expire()
    assert catalog.scans.get(scan).status == "failed"
    assert not catalog.scans.alive(scan, alive)
    with pytest.raises(NotFound):
        catalog.scans.start("none", StartScan())


def test_a_starting_server_gives_those_that_walk_one_more_period(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(catalog)
    scan = catalog.scans.start("films", StartScan()).id
    alive = ScanKeepAlive(node="node")  # type: ignore[arg-type]
    catalog.scans.order(scan, alive)
    clock = catalog.database.now
    monkeypatch.setattr(catalog.database, "now", lambda c: clock(c) + 3600.0)
    catalog.leases.extend_all()
    catalog.scans.expire()
    assert (catalog.scans.get(scan).status, catalog.scans.get(scan).attempts) == ("running", 0)
    assert catalog.scans.alive(scan, alive)


def _paths(catalog: Catalog) -> list[str]:
    return [one.path for one in catalog.libraries.files("films", after=None, limit=99)]


def test_a_directory_that_vanished_before_it_was_complete_is_forgotten(catalog: Catalog) -> None:
    library(catalog)
    films = {b"new/a.mkv": (1, "s1"), b"new/growing.mkv": (2, "s2")}
    walk(catalog, films, growing=(b"new/growing.mkv",))
    assert _paths(catalog) == ["new/a.mkv"]
    assert work_all(catalog, CONTENT) == 1
    scan, _ = walk(catalog, {b"moved/a.mkv": (1, "s1")}, CONTENT)
    assert _paths(catalog) == ["moved/a.mkv"]
    assert work_all(catalog) == 0, "it was only moved"
    assert [line.source for line in catalog.scans.report(scan)] == ["moved/a.mkv"]


def test_a_source_that_was_away_is_done_when_it_is_back(catalog: Catalog) -> None:
    """Its disk came and went: nothing about the file is new for the next scan."""
    library(catalog)
    walk(catalog, ONE)
    held = claim(catalog, dispatch(catalog))
    catalog.results.commit(held.job, end(held, "skipped", decision="skip", source_gone=True))
    assert walk(catalog, ONE)[1] == [b"a.mkv"]
    assert work_all(catalog) == 1
    assert walk(catalog, ONE)[1] == []


def test_a_renamed_file_is_done_again_under_its_new_name(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, ONE)
    work_all(catalog, CONTENT)
    walk(catalog, {b"z.mkv": (1, "s1")}, CONTENT)
    (job,) = catalog.jobs.find()
    catalog.jobs.retry(job.id)
    held = claim(catalog, dispatch(catalog))
    assert (held.source, held.relative) == (b"/in/z.mkv", b"z.mkv")
    catalog.results.commit(held.job, end(held))


def test_a_file_that_changes_while_it_is_converted_is_converted_once_more(
    catalog: Catalog,
) -> None:
    library(catalog)
    walk(catalog, ONE)
    held = claim(catalog, dispatch(catalog))
    walk(catalog, {b"a.mkv": (3, "s3")})
    assert beat(catalog, held) == (True, False), "what it makes is not wanted any more"
    catalog.results.commit(held.job, end(held, "cancelled"))
    assert work_all(catalog) == 1


def test_a_file_that_changes_while_it_waits_needs_no_other_job(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, ONE)
    walk(catalog, {b"a.mkv": (3, "s3")})
    assert work_all(catalog) == 1


def test_a_job_that_waits_is_replaced_where_the_wish_changed(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, ONE)
    library(catalog, preset=Preset(name="mobile"))
    walk(catalog, ONE)
    jobs = {job.preset: (job.status, job.reason) for job in catalog.jobs.find()}
    assert jobs["web"][0] == "cancelled"
    assert "newer job" in jobs["web"][1]
    assert jobs["mobile"][0] == "queued"
    work_all(catalog)


def _publish(catalog: Catalog, name: bytes) -> JobId:
    held = claim(catalog, dispatch(catalog))
    file = FileToPublish(candidates=(name,), size=1, blake3=f"bytes of {name!r}")
    catalog.results.reserve_targets(held.job, TargetRequest(token=held.token, files=(file,)))
    output = OutputFile(path=name, size=1, blake3=file.blake3)
    catalog.results.commit(held.job, end(held, outputs=[output], presentation=name))
    return held.job


def _outputs(catalog: Catalog) -> tuple[tuple[bytes, bytes], ...]:
    scan = catalog.scans.start("films", StartScan(check_outputs=True)).id
    order = catalog.scans.order(scan, ScanKeepAlive(node="node"))  # type: ignore[arg-type]
    catalog.scans.cancel(scan)
    return order.outputs


def test_only_outputs_of_the_last_attempt_are_looked_for(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, ONE)
    job = _publish(catalog, b"a.mp4")
    assert _outputs(catalog) == ((b"a.mkv", b"a.mp4"),)
    catalog.jobs.retry(job)
    assert _publish(catalog, b"a.webm") == job
    assert _outputs(catalog) == ((b"a.mkv", b"a.webm"),)


def test_a_lost_output_is_made_again(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, ONE)
    job = _publish(catalog, b"a.mp4")
    scan = catalog.scans.start("films", StartScan(check_outputs=True)).id
    catalog.scans.order(scan, ScanKeepAlive(node="node"))  # type: ignore[arg-type]
    summary = ScanSummary(met=1, ignored=0, unchanged=1, missing_outputs=(b"a.mkv",), wall_s=0)
    catalog.scans.finish(scan, summary)
    assert catalog.jobs.get(job).status is JobStatus.queued
    assert catalog.scans.get(scan).jobs == 1
    work_all(catalog)


def test_what_failed_is_tried_again_where_that_is_asked_for(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, ONE)
    held = claim(catalog, dispatch(catalog))
    catalog.results.commit(held.job, end(held, "failed"))
    scan = catalog.scans.start("films", StartScan(retry_failed=True)).id
    assert catalog.jobs.get(held.job).scan == scan
    catalog.scans.cancel(scan)
    assert catalog.jobs.get(held.job).status is JobStatus.cancelled


def test_a_cancelled_scan_is_done_again_by_the_next(catalog: Catalog) -> None:
    library(catalog)
    scan, _ = walk(catalog, ONE)
    catalog.scans.cancel(scan)
    assert walk(catalog, ONE)[1] == [b"a.mkv"]
    assert work_all(catalog) == 1


def test_a_copy_is_converted_and_a_file_moved_onto_another_keeps_its_end(
    catalog: Catalog,
) -> None:
    library(catalog)
    walk(catalog, ONE)
    work_all(catalog, CONTENT)
    walk(catalog, ONE | {b"copy.mkv": (1, "s1")}, CONTENT)
    assert work_all(catalog, CONTENT) == 1
    walk(catalog, {b"copy.mkv": (1, "s1")}, CONTENT)
    assert work_all(catalog) == 0
    assert _paths(catalog) == ["copy.mkv"]


def test_an_own_output_inside_the_library_is_no_source(catalog: Catalog) -> None:
    library(catalog, destination=b"/in/done")
    walk(catalog, ONE)
    _publish(catalog, b"a.mp4")
    assert walk(catalog, ONE | {b"done/a.mp4": (9, "s9")})[1] == []
    assert start(catalog, "b.mkv").job
    catalog.jobs.cancel(JobId(2))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("scans", "libraries"):
        monkeypatch.setattr(f"darkstream.catalog.{room}.PIECE", 2)


@pytest.mark.usefixtures("small_pieces")
def test_a_renamed_directory_is_recognised_in_pieces(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, {b"old/%d.mkv" % number: (number, "s") for number in range(5)})
    work_all(catalog)
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE files SET content = 'c' || size"))
    scan = catalog.scans.start("films", StartScan()).id
    order = catalog.scans.order(scan, ScanKeepAlive(node="node"))  # type: ignore[arg-type]
    assert [one.path for one in order.directories] == [b"", b"old"]
    entries = tuple(Entry(name=b"%d.mkv" % number, hint=hint(number)) for number in range(5))
    listing = DirectoryListing(path=b"new", digest="new", entries=entries)
    catalog.scans.list_directories(scan, Listings(directories=(listing,)))
    files = tuple(
        SampledFile(path=b"new/%d.mkv" % n, hint=hint(n), sample="s", content=f"c{n}")
        for n in range(5)
    )
    catalog.scans.add_files(scan, SampledFiles(files=files), pool="cpu")
    summary = ScanSummary(met=5, ignored=0, unchanged=0, vanished_directories=(b"old",), wall_s=0)
    catalog.scans.finish(scan, summary)
    catalog.scans.finish(scan, summary)
    assert (catalog.scans.get(scan).status, catalog.scans.get(scan).jobs) == ("done", 0)
    assert _paths(catalog) == [f"new/{number}.mkv" for number in range(5)]


@pytest.mark.usefixtures("small_pieces")
def test_a_large_scan_is_cancelled_and_its_library_forgotten(catalog: Catalog) -> None:
    library(catalog)
    scan, _ = walk(catalog, {b"%d.mkv" % number: (number, "s") for number in range(5)})
    held = claim(catalog, dispatch(catalog))
    assert catalog.scans.cancel(scan).jobs_ended == 4
    assert beat(catalog, held) == (True, False)
    walk(catalog, {b"%d.mkv" % number: (number, "s") for number in range(5)})
    catalog.libraries.remove("films")
    assert beat(catalog, held) == (True, False)
    catalog.results.commit(held.job, end(held, "cancelled"))
    assert {job.status for job in catalog.jobs.find()} == {JobStatus.cancelled}

"""Results that take the place of their originals: scanned, converted, approved, kept, undone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from fixtures_films import (
    MTIME,
    add_library,
    days_pass,
    films,
    only_job,
    put,
    quarantined,
    scan_films,
    set_clock,
    settle_all,
)
from fixtures_flows import Field

from darkstream.errors import (
    Conflict,
    NotFound,
    UsageError,
)
from darkstream.model.replacement import InPlace
from darkstream.model.wire import AddLibrary
from flows.maintain import maintain


def test_a_result_takes_the_place_and_is_never_converted_again(
    field: Field, flow_clips: Path
) -> None:
    original = put(field, flow_clips / "old.avi", "films/a.avi")
    put(field, flow_clips / "old.avi", "films/b.mp4")
    add_library(field)
    first, _ = scan_films(field)
    assert first.jobs == 2
    assert films(field) == ["films/a.mp4", "films/b.mp4"]
    assert quarantined(field) == ["journal", "journal", "original.avi", "original.mp4"]
    found = (field.library / "films/a.mp4").lstat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o640, MTIME)
    assert found.st_nlink == 1
    library = field.client.library("movies")
    assert library.quarantined_bytes == 2 * len(original)

    second, lines = scan_films(field)
    assert (second.met, second.unchanged, second.jobs) == (2, 2, 0)
    assert {name: line.outputs for name, line in lines.items()} == {
        "films/a.mp4": ("films/a.mp4",),
        "films/b.mp4": ("films/b.mp4",),
    }
    add_library(field, replace=True, preset="hevc")
    third, _ = scan_films(field)
    assert third.jobs == 0


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_a_library_that_is_added_again_converts_no_result(
    field: Field, flow_clips: Path, name: str
) -> None:
    before = put(field, flow_clips / "old.avi", name)
    add_library(field)
    scan_films(field)
    field.client.remove_library("movies")
    add_library(field, preset="hevc")
    again, lines = scan_films(field)
    assert again.jobs == 0 and {line.status for line in lines.values()} == {"done"}
    assert films(field) == ["a.mp4"]
    field.client.undo_job(only_job(field).id)
    settle_all(field)
    last, _ = scan_films(field)
    assert last.jobs == 0 and (field.library / name).read_bytes() == before


def test_undone_the_original_is_back_and_is_left_alone(field: Field, flow_clips: Path) -> None:
    before = put(field, flow_clips / "old.avi", "a.avi")
    inode = (field.library / "a.avi").lstat().st_ino
    add_library(field)
    scan, _ = scan_films(field)
    job = only_job(field)
    assert job.replacement is not None and job.replacement.state == "placed"
    with pytest.raises(Conflict, match="'undo' it first"):
        field.client.retry_job(job.id)
    with pytest.raises(Conflict, match="in place already"):
        field.client.approve_job(job.id)
    assert field.client.undo_scan(scan.id) == (job.id,)
    assert field.client.job(job.id).replacement.requested == "undo"  # type: ignore[union-attr]
    assert settle_all(field).startswith("1 done, 0 could")
    restored = (field.library / "a.avi").lstat()
    assert (field.library / "a.avi").read_bytes() == before
    assert (stat.S_IMODE(restored.st_mode), restored.st_mtime_ns) == (0o640, MTIME)
    assert restored.st_ino == inode
    assert films(field) == ["a.avi"] and quarantined(field) == []
    undone = field.client.job(job.id)
    assert undone.replacement is not None and undone.replacement.state == "undone"
    assert undone.outputs == () and undone.status == "done"
    with pytest.raises(Conflict, match="put back already"):
        field.client.undo_job(job.id)

    again, lines = scan_films(field)
    assert again.jobs == 0 and list(lines) == ["a.avi"]
    field.client.retry_job(job.id)
    field.work_off()
    assert films(field) == ["a.mp4"]


def test_a_result_waits_until_it_is_approved_or_thrown_away(field: Field, flow_clips: Path) -> None:
    before = {
        name: put(field, flow_clips / "old.avi", name) for name in ("a.avi", "b.mp4", "c.avi")
    }
    add_library(field, approve="ask")
    scan_films(field)
    assert films(field) == ["a.avi", "b.mp4", "c.avi"]
    jobs = {Path(job.source).name: job for job in field.client.jobs(replacement="pending")}
    assert len(jobs) == 3
    for job in jobs.values():
        assert job.status == "done"
        assert (field.library / job.outputs[0]).is_file()
        what = job.replacement
        assert what is not None and what.evidence is not None, "also of a result that was reused"
        assert what.evidence.metric == "vmaf" and what.evidence.mean is not None
        assert what.evidence.mean > 60 and what.evidence.note == ""
        assert what.clip is not None and Path(what.clip).stat().st_size > 1000
    assert field.client.library("movies").waiting == 3
    with pytest.raises(Conflict, match="not in place"):
        field.client.undo_job(jobs["a.avi"].id)
    field.client.keep_job(jobs["a.avi"].id)
    settle_all(field)
    assert set(field.client.approve_all("movies")) == {jobs["b.mp4"].id, jobs["c.avi"].id}
    settle_all(field)
    assert films(field) == ["a.avi", "b.mp4", "c.mp4"]
    assert quarantined(field) == ["journal", "journal", "original.avi", "original.mp4"]
    assert field.client.library("movies").waiting == 0 and field.leftovers() == []
    assert (field.library / "a.avi").read_bytes() == before["a.avi"]
    assert (field.library / "b.mp4").read_bytes() != before["b.mp4"]
    approved = field.client.job(jobs["c.avi"].id)
    assert approved.outputs == ("c.mp4",)
    assert approved.replacement is not None and approved.replacement.state == "placed"
    assert approved.replacement.clip is None

    again, _ = scan_films(field)
    assert again.jobs == 0
    for name in ("b.mp4", "c.avi"):
        field.client.undo_job(jobs[name].id)
    settle_all(field)
    assert {name: (field.library / name).read_bytes() for name in films(field)} == before


def test_an_original_that_changed_while_its_result_waited_is_kept(
    field: Field, flow_clips: Path
) -> None:
    put(field, flow_clips / "old.avi", "a.avi")
    add_library(field, approve="ask")
    scan_films(field)
    job = only_job(field)
    edited = put(field, flow_clips / "inside.mkv", "a.avi")
    field.client.approve_job(job.id)
    assert "changed since" in settle_all(field)
    assert (field.library / "a.avi").read_bytes() == edited and quarantined(field) == []
    kept = field.client.job(job.id)
    assert kept.replacement is not None
    assert kept.replacement.state == "kept" and "changed since" in kept.replacement.error
    again, _ = scan_films(field)
    assert again.jobs == 1


def test_a_result_that_was_changed_since_is_only_undone_by_force(
    field: Field, flow_clips: Path
) -> None:
    before = put(field, flow_clips / "old.avi", "a.mp4")
    add_library(field)
    scan_films(field)
    job = only_job(field)
    (field.library / "a.mp4").write_bytes(b"tagged")
    field.client.undo_job(job.id)
    assert "--force" in settle_all(field)
    refused = field.client.job(job.id).replacement
    assert refused is not None and refused.requested is None and "--force" in refused.error
    field.client.undo_job(job.id, force=True)
    settle_all(field)
    assert (field.library / "a.mp4").read_bytes() == before


def test_originals_expire_and_then_cannot_be_put_back(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(field, flow_clips / "old.avi", "a.avi")
    add_library(field, keep_originals_days=2)
    scan_films(field)
    job = only_job(field)
    assert maintain(return_state=True).is_completed()
    assert quarantined(field) == ["journal", "original.avi"]
    days_pass(field, monkeypatch, 3)
    assert maintain(return_state=True).is_completed()
    assert quarantined(field) == [] and films(field) == ["a.mp4"]
    with pytest.raises(Conflict, match=r"kept until \d{4}-\d\d-\d\d and is gone"):
        field.client.undo_job(job.id)


def test_a_clock_that_jumps_takes_no_original(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(field, flow_clips / "old.avi", "a.avi")
    add_library(field, keep_originals_days=2)
    scan_films(field)
    for days in (400, -800, 900):
        set_clock(monkeypatch, days)
        assert settle_all(field).startswith("0 done, 0 could")
    job = only_job(field)
    assert job.replacement is not None and job.replacement.state == "placed"
    field.client.undo_job(job.id)
    settle_all(field)
    assert (field.library / "a.avi").read_bytes() == before


def test_shared_files_are_left_alone_until_they_are_not(field: Field, flow_clips: Path) -> None:
    path = field.add(flow_clips / "old.avi", "a.avi")
    seed = field.library.parent / "seed.avi"
    os.link(path, seed)
    reading = field.add(flow_clips / "inside.mkv", "b.mkv")
    add_library(field)
    _, planned = scan_films(field, dry_run=True)
    assert planned["a.avi"].decision == "skip" and "2 names" in planned["a.avi"].reason
    with reading.open("rb"):
        _, lines = scan_films(field)
    assert {name: line.status for name, line in lines.items()} == {
        "a.avi": "skipped",
        "b.mkv": "skipped",
    }
    assert "2 names" in lines["a.avi"].reason and "open" in lines["b.mkv"].reason
    assert films(field) == ["a.avi", "b.mkv"]
    again, _ = scan_films(field)
    assert again.jobs == 1 and films(field) == ["a.avi", "b.mp4"]
    seed.unlink()
    last, _ = scan_films(field)
    assert last.jobs == 1 and films(field) == ["a.mp4", "b.mp4"]


def test_a_strangers_file_keeps_its_name(field: Field, flow_clips: Path) -> None:
    field.add(flow_clips / "old.avi", "a.avi")
    (field.library / "a.mp4").write_bytes(b"")
    (field.library / "a.mp4").chmod(0)
    add_library(field)
    scan_films(field)
    assert films(field) == ["a.avi.mp4", "a.mp4"]
    assert (field.library / "a.mp4").stat().st_size == 0


def test_copies_get_results_of_their_own(field: Field, flow_clips: Path) -> None:
    for name in ("a.avi", "b.avi"):
        put(field, flow_clips / "old.avi", name)
    add_library(field)
    scan_films(field)
    assert films(field) == ["a.mp4", "b.mp4"]
    assert all((field.library / name).lstat().st_nlink == 1 for name in films(field))


def test_a_name_that_is_no_text(field: Field, flow_clips: Path) -> None:
    name = os.fsdecode(b"caf\xe9.avi")
    before = put(field, flow_clips / "old.avi", name)
    add_library(field)
    scan_films(field)
    assert films(field) == [os.fsdecode(b"caf\xe9.mp4")]
    field.client.undo_job(only_job(field).id)
    settle_all(field)
    assert films(field) == [name] and (field.library / name).read_bytes() == before


def test_what_cannot_be_asked_for_is_refused(field: Field) -> None:
    with pytest.raises(NotFound):
        field.client.undo_job(99)
    with pytest.raises(NotFound):
        field.client.undo_scan(99)
    with pytest.raises(NotFound):
        field.client.approve_all("nowhere")
    with pytest.raises(UsageError, match="single files"):
        add_library(field, preset="abr")
    with pytest.raises(UsageError, match="no other destination"):
        field.client.add_library(
            AddLibrary(name="movies", root="/a", destination="/b", preset="web", in_place=InPlace())
        )
    assert field.client.keep_all() == ()

"""The flow `scan-library`: what becomes a job, what becomes a line, and what is not looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import Field
from fixtures_library import count_opens

from darkstream.model.job import ReportLine
from darkstream.model.library import Scan
from darkstream.model.wire import AddLibrary, StartScan
from flows.scan_library import scan_library


def _add_library(field: Field, **more: Any) -> None:
    values = {"destination": str(field.destination), "preset": "web"} | more
    field.client.add_library(AddLibrary(name="movies", root=str(field.library), **values))


def _scan(field: Field, *, dry_run: bool = False) -> tuple[Scan, dict[str, ReportLine]]:
    scan = field.client.start_scan("movies", StartScan(dry_run=dry_run, check_outputs=True))
    state = scan_library(scan=scan.id, return_state=True)
    assert state.is_completed(), state.message
    lines = {line.source: line for line in field.client.scan_report(scan.id)}
    return field.client.scan(scan.id), lines


def test_new_files_become_jobs_and_a_second_look_finds_nothing(
    field: Field, flow_clips: Path
) -> None:
    field.add(flow_clips / "old.avi", "films/old.avi")
    field.add(flow_clips / "noise.mp4")
    (field.library / "notes.txt").write_text("no film")
    _add_library(field)
    with count_opens(field.library) as opened:
        first, _ = _scan(field)
    assert (first.met, first.jobs) == (2, 2)
    assert sorted(opened) == [b"noise.mp4", b"old.avi"]
    field.work_off()
    assert field.published() == ["films/old.mp4"]

    with count_opens(field.library) as opened:
        second, lines = _scan(field)
    assert opened == []
    assert (second.met, second.unchanged, second.jobs) == (2, 2, 0)
    assert {name: line.status for name, line in lines.items()} == {
        "films/old.avi": "done",
        "noise.mp4": "rejected",
    }


def test_a_renamed_file_is_recognised_and_a_changed_one_done_again(
    field: Field, flow_clips: Path
) -> None:
    field.add(flow_clips / "old.avi", "a.avi")
    field.add(flow_clips / "inside.mkv", "b.mkv")
    _add_library(field)
    _scan(field)
    field.work_off()
    (field.library / "a.avi").rename(field.library / "renamed.avi")
    field.add(flow_clips / "old.avi", "b.mkv")
    again, _ = _scan(field)
    assert again.jobs == 1
    field.work_off()
    newest = max(field.client.jobs(), key=lambda job: job.id)
    assert os.path.basename(newest.source) == "b.mkv"
    assert newest.status == "done", newest.reason


def test_results_beside_the_originals_are_no_sources_and_replace_none(
    field: Field, flow_clips: Path
) -> None:
    before = {
        name: field.add(flow_clips / "old.avi", name).read_bytes()
        for name in ("films/a.avi", "films/b.mp4")
    }
    _add_library(field, destination=str(field.library))
    _scan(field)
    field.work_off()
    films = sorted(path.name for path in (field.library / "films").iterdir())
    assert films == ["a.avi", "a.mp4", "b.mp4", "b.mp4.mp4"]
    assert {name: (field.library / name).read_bytes() for name in before} == before

    again, lines = _scan(field)
    assert again.jobs == 0
    assert {name: line.outputs for name, line in lines.items()} == {
        "films/a.avi": ("films/a.mp4",),
        "films/b.mp4": ("films/b.mp4.mp4",),
    }
    last, _ = _scan(field)
    assert (last.jobs, last.unchanged) == (0, last.met)


def test_an_output_that_is_gone_is_made_again(field: Field, flow_clips: Path) -> None:
    field.add(flow_clips / "inside.mkv")
    _add_library(field)
    _scan(field)
    field.work_off()
    (field.destination / "inside.mp4").unlink()
    _scan(field)
    field.work_off()
    assert field.published() == ["inside.mp4"]


def test_a_dry_run_plans_and_makes_no_job(field: Field, flow_clips: Path) -> None:
    for name in ("old.avi", "inside.mkv", "fits.mp4", "noise.mp4"):
        field.add(flow_clips / name)
    _add_library(field)
    scan, lines = _scan(field, dry_run=True)
    assert scan.jobs == 0 and field.client.jobs() == []
    planned = {name: (line.decision, line.status) for name, line in lines.items()}
    assert planned == {
        "fits.mp4": ("skip", "planned"),
        "inside.mkv": ("remux", "planned"),
        "noise.mp4": ("reject", "planned"),
        "old.avi": ("convert", "planned"),
    }
    assert lines["old.avi"].output_bytes > 0 and lines["old.avi"].source_bytes > 0
    assert all(line.reason for line in lines.values())
    assert field.published() == []
    # A dry run is forgotten: the next scan still finds everything.
    assert _scan(field)[0].jobs == 4


def test_what_is_no_file_is_a_line_of_the_report(field: Field, flow_clips: Path) -> None:
    field.add(flow_clips / "old.avi")
    (field.library / "folder.mp4").mkdir()
    os.mkfifo(field.library / "pipe.mp4")
    (field.library / "loop.mp4").symlink_to("loop.mp4")
    (field.library / "link.avi").symlink_to("old.avi")
    _add_library(field)
    scan, lines = _scan(field)
    assert scan.jobs == 1
    odd = {name: line.status for name, line in lines.items() if name != "old.avi"}
    assert odd == dict.fromkeys(["folder.mp4", "link.avi", "loop.mp4", "pipe.mp4"], "skipped")
    assert all(lines[name].reason for name in odd)


def test_a_file_being_written_is_left_for_the_next_scan(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = field.add(flow_clips / "old.avi")
    _add_library(field)

    from darkstream.stages import candidates

    settle = candidates.settle

    def grow(*arguments: Any) -> Any:
        with path.open("ab") as file:
            file.write(b"more")
        return settle(*arguments)

    monkeypatch.setattr(candidates, "settle", grow)
    scan, lines = _scan(field)
    assert scan.jobs == 0
    assert "still being written" in lines["old.avi"].reason
    monkeypatch.setattr(candidates, "settle", settle)
    assert _scan(field)[0].jobs == 1


def test_a_library_that_is_not_there_fails_the_scan(field: Field) -> None:
    _add_library(field)
    field.library.rmdir()
    scan = field.client.start_scan("movies", StartScan())
    state = scan_library(scan=scan.id, return_state=True)
    assert state.is_failed()
    assert str(field.library) in (state.message or "")
    ended = field.client.scan(scan.id)
    assert ended.status == "failed" and str(field.library) in ended.reason


def test_a_scan_by_name_starts_itself(field: Field, flow_clips: Path) -> None:
    field.add(flow_clips / "inside.mkv")
    _add_library(field)
    assert scan_library(library="movies", return_state=True).is_completed()
    assert len(field.client.jobs()) == 1
    state = scan_library(library="series", return_state=True)
    assert state.is_failed() and "series" in (state.message or "")


def test_a_cancelled_scan_stops(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from darkstream.library.settling import settle as real
    from darkstream.stages import candidates

    field.add(flow_clips / "old.avi")
    _add_library(field)
    scan = field.client.start_scan("movies", StartScan())

    def wait_for_it(files: Any, _seconds: float, cancel: Any) -> Any:
        field.client.cancel_scan(scan.id)
        return real([(path, hint) for path, hint in files], 3600.0, cancel)

    monkeypatch.setattr(candidates, "settle", wait_for_it)
    state = scan_library(scan=scan.id, return_state=True)
    assert state.is_cancelled()
    assert state.message == "the scan is over: it was cancelled, or given to another"
    assert field.client.scan(scan.id).status == "cancelled"
    (run,) = field.task_runs(str(state.state_details.flow_run_id))
    assert run.state is not None
    assert run.state.is_cancelled()

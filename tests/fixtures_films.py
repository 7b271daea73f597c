"""A library whose results replace its films: scanned and settled by the real flows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fixtures_flows import Field

from darkstream.catalog import keeping
from darkstream.catalog.database import Database
from darkstream.model.job import Job, ReportLine
from darkstream.model.library import Scan
from darkstream.model.replacement import InPlace
from darkstream.model.wire import AddLibrary, StartScan
from flows.scan_library import scan_library
from flows.settle import settle

HIDDEN = ".darkstream-originals"
MTIME = 1_600_000_000_000_000_000


def add_library(field: Field, *, replace: bool = False, preset: str = "web", **rule: Any) -> None:
    field.client.add_library(
        AddLibrary(
            name="movies",
            root=str(field.library),
            preset=preset,
            in_place=InPlace.model_validate(rule),
            replace=replace,
        )
    )


def scan_films(field: Field, *, dry_run: bool = False) -> tuple[Scan, dict[str, ReportLine]]:
    scan = field.client.start_scan("movies", StartScan(dry_run=dry_run, check_outputs=True))
    state = scan_library(scan=scan.id, return_state=True)
    assert state.is_completed(), state.message
    field.work_off()
    lines = {line.source: line for line in field.client.scan_report(scan.id)}
    return field.client.scan(scan.id), lines


def settle_all(field: Field) -> str:
    state = settle(return_state=True)
    assert state.is_completed(), state.message
    return state.message or ""


def films(field: Field) -> list[str]:
    return sorted(
        str(path.relative_to(field.library))
        for path in field.library.rglob("*")
        if path.is_file() and HIDDEN not in path.parts
    )


def quarantined(field: Field) -> list[str]:
    """What is kept there, without what says whose it is and who is at it."""
    top, about = field.library / HIDDEN, ("lock", "id")
    return sorted(path.name for path in top.rglob("*") if path.is_file() and path.name not in about)


def put(field: Field, clip: Path, name: str) -> bytes:
    path = field.add(clip, name)
    path.chmod(0o640)
    os.utime(path, ns=(MTIME, MTIME))
    return path.read_bytes()


def only_job(field: Field) -> Job:
    (job,) = field.client.jobs()
    return job


def days_pass(field: Field, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """The machine runs for so long."""
    boot, steady = keeping.steady_clock()
    later = boot, steady + days * 86_400
    monkeypatch.setattr(keeping, "steady_clock", lambda: later)
    set_clock(monkeypatch, days)


def set_clock(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    real = Database.now
    monkeypatch.setattr(Database, "now", lambda self, one: real(self, one) + days * 86_400)

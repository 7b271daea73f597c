"""The flow `maintain`: what crashes left is cleared away, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from fixtures_flows import Field

from darkstream.model.wire import AddLibrary
from flows.maintain import maintain


def _age(path: Path, hours: float) -> None:
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


def test_old_leftovers_go_and_young_ones_stay(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    field.client.add_library(
        AddLibrary(
            name="movies", root=str(field.library), destination=str(field.destination), preset="web"
        )
    )
    results = field.home.parent / "results"
    work = field.home / "work"
    old, young = (field.destination / f".darkstream-1-{n}-0.part" for n in (1, 2))
    film = field.destination / "film.mp4"
    for path in (old, young, film):
        path.write_bytes(b"x")
    for directory in (results, work, work / "old", work / "young"):
        directory.mkdir(exist_ok=True)
    for name in ("darkstream-probe-1", "darkstream-probe-2", "another-flows"):
        (results / name).write_text("{}")
    for path, hours in (
        (results / "darkstream-probe-1", 24 * 31),
        (results / "another-flows", 24 * 31),
    ):
        _age(path, hours)

    # The change time of a file cannot be set back, so the clock goes forward instead.
    now = time.time()
    young_since = now + 25 * 3600
    from darkstream.storage import parts

    monkeypatch.setattr(parts.time, "time", lambda: young_since)
    for path in (young, work / "young"):
        os.utime(path, (young_since, young_since))

    state = maintain(return_state=True)
    assert state.is_completed(), state.message
    assert not old.exists() and young.exists() and film.exists()
    assert sorted(path.name for path in work.iterdir()) == ["young"]
    assert sorted(path.name for path in results.iterdir()) == [
        "another-flows",
        "darkstream-probe-2",
    ]

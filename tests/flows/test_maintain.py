"""The flow `maintain`: what crashes left is cleared away, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from fixtures_flows import Field
from fixtures_server import wait_until

from darkstream.media.encode import mark_verified
from darkstream.model.base import NodeName
from darkstream.model.encoded import Encoded
from darkstream.model.wire import AddLibrary, ClaimRequest, SubmitJob
from darkstream.storage import parts
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
    for directory in (results, work, work / "old", work / "young", work / "verified"):
        directory.mkdir(exist_ok=True)
    _verify(work / "verified")
    for name in ("darkstream-probe-1", "darkstream-probe-2", "another-flows"):
        (results / name).write_text("{}")
    for path, hours in (
        (results / "darkstream-probe-1", 24 * 31),
        (results / "another-flows", 24 * 31),
    ):
        _age(path, hours)

    hours_pass = _clock(monkeypatch)
    hours_pass(7)
    for path in (young, work / "young"):
        os.utime(path, (parts.time.time(), parts.time.time()))

    state = maintain(return_state=True)
    assert state.is_completed(), state.message
    assert not old.exists() and young.exists() and film.exists()
    assert sorted(path.name for path in work.iterdir()) == ["verified", "young"]
    assert sorted(path.name for path in results.iterdir()) == [
        "another-flows",
        "darkstream-probe-2",
    ]
    hours_pass(25)
    assert maintain(return_state=True).is_completed()
    assert list(work.iterdir()) == []


def test_what_single_jobs_left_beside_their_destination_goes_too(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = field.library / "film.mkv"
    source.write_bytes(b"x")
    request = SubmitJob(source=str(source), preset="web", destination=str(field.destination))
    job = field.client.submit_job(request).id
    wait_until(lambda: field.server.dispatcher.orders, "its dispatch")
    dispatch = field.server.dispatcher.orders[0].id
    claim = field.client.claim(dispatch, ClaimRequest(node=NodeName("here"), flow_run="run"))
    assert claim is not None and claim.job == job
    (field.destination / "Series").mkdir()
    name = f".darkstream-{job}-{claim.token}-0.part"
    left, elsewhere = field.destination / name, field.destination / "Series" / name
    for path in (left, elsewhere):
        path.write_bytes(b"x")
    assert maintain(return_state=True).is_completed()
    assert left.exists(), "its attempt may be alive"
    _clock(monkeypatch)(7)
    assert maintain(return_state=True).is_completed()
    assert not left.exists()
    assert elsewhere.exists(), "only its own directory is looked through"


def _verify(directory: Path) -> None:
    (directory / "film.mp4").write_bytes(b"x")
    encoded = Encoded(
        directory=os.fsencode(directory),
        main=b"film.mp4",
        frames=(1,),
        source=(),
        decode_errors=0,
        findings=(),
        command="ffmpeg",
        log="",
        wall_s=1,
        cpu_s=1,
    )
    mark_verified(encoded, encoded.directory)


def _clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The change time of a file cannot be set back, so the reaper's clock goes forward instead."""
    real = time.time

    def set_forward(hours: float) -> None:
        monkeypatch.setattr(parts, "time", SimpleNamespace(time=lambda: real() + hours * 3600))

    return set_forward

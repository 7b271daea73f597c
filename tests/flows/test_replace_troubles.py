"""Workers that die, fail or are too late while results take the place of their originals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fixtures_films import (
    add_library,
    films,
    only_job,
    put,
    quarantined,
    scan_films,
    settle_all,
)
from fixtures_flows import Field

from darkstream.client.api import Client
from darkstream.errors import (
    Cancelled,
    LeaseLost,
    StorageError,
    UsageError,
)
from darkstream.model.job import Job
from darkstream.model.replacement import Replacement
from darkstream.model.wire import AddLibrary
from darkstream.storage.replace import Replacing
from flows.settle import settle


@pytest.mark.parametrize("step", ["hold", "_do", "place"])
def test_a_worker_that_dies_at_the_exchange_is_followed_by_one_that_goes_on(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = put(field, flow_clips / "old.avi", "a.avi")
    add_library(field)
    calls = _die_after(monkeypatch, step)
    scan_films(field)
    assert films(field) == ["a.mp4"]
    job = only_job(field)
    assert job.status == "done" and "earlier attempt" in job.reason
    assert job.attempts == 2 and calls
    again, _ = scan_films(field)
    assert again.jobs == 0
    field.client.undo_job(job.id)
    settle_all(field)
    assert (field.library / "a.avi").read_bytes() == before
    assert films(field) == ["a.avi"] and quarantined(field) == []


def _die_after(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Leave at once after the first call of a method, and tell nobody, as who is dead does."""
    real = getattr(Replacing, name)
    calls: list[str] = []

    def dying(self: Replacing, *args: Any) -> Any:
        answer = real(self, *args)
        calls.append(name)
        if len(calls) == 1:
            self._cancel.cancel(LeaseLost("it died"))
            self._cancel.check()
        return answer

    monkeypatch.setattr(Replacing, name, dying)
    return calls


def test_a_library_that_wishes_it_no_more_gets_its_originals_back_from_a_dead_worker(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(field, flow_clips / "old.avi", "a.avi")
    add_library(field)
    real, calls = Replacing._do, []

    def dying(self: Replacing, *args: Any) -> None:
        real(self, *args)
        if not calls:
            calls.append(args)
            field.client.add_library(
                AddLibrary(
                    name="movies",
                    root=str(field.library),
                    destination=str(field.destination),
                    preset="web",
                    replace=True,
                )
            )
            self._cancel.cancel(LeaseLost("it died"))
            self._cancel.check()

    monkeypatch.setattr(Replacing, "_do", dying)
    scan_films(field)
    assert calls and films(field) == ["a.avi", "a.mp4"]
    assert (field.library / "a.avi").read_bytes() == before
    assert quarantined(field) == []


def _fail_at_the_exchange(field: Field, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that fails once its first change is done; nobody has settled that yet."""
    real = Replacing._do

    def failing(self: Replacing, *args: Any) -> None:
        real(self, *args)
        raise StorageError("the disk fails")

    with monkeypatch.context() as patch:
        patch.setattr(Replacing, "_do", failing)
        scan_films(field)
    return only_job(field)


def test_what_a_failed_job_left_at_the_exchange_is_taken_back(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(field, flow_clips / "old.avi", "a.avi")
    add_library(field)
    job = _fail_at_the_exchange(field, monkeypatch)
    assert job.status == "failed" and "the disk fails" in job.reason
    assert field.server.dispatcher.settles or settle_all(field)
    settle_all(field)
    assert films(field) == ["a.avi"] and quarantined(field) == []
    assert (field.library / "a.avi").read_bytes() == before
    assert field.client.job(job.id).replacement is None
    field.client.retry_job(job.id)
    field.work_off()
    assert films(field) == ["a.mp4"]


def test_a_result_that_a_failed_job_left_and_somebody_changed_is_undone_by_force(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(field, flow_clips / "old.avi", "a.mp4")
    add_library(field)
    job = _fail_at_the_exchange(field, monkeypatch)
    (field.library / "a.mp4").write_bytes(b"tagged")
    assert "--force" in settle_all(field)
    assert (field.library / "a.mp4").read_bytes() == b"tagged"
    field.client.undo_job(job.id, force=True)
    assert settle_all(field).startswith("1 done, 0 could")
    assert (field.library / "a.mp4").read_bytes() == before and quarantined(field) == []
    undone = field.client.job(job.id).replacement
    assert undone is not None and undone.state == "undone"
    field.client.retry_job(job.id)
    field.work_off()
    assert (field.library / "a.mp4").read_bytes() != before


def test_an_order_from_before_a_job_was_tried_again_takes_nothing_back(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(field, flow_clips / "old.avi", "a.avi")
    add_library(field)
    job = _fail_at_the_exchange(field, monkeypatch)
    late = field.client.replacement_orders()
    assert [order.action for order in late] == ["abandon"]
    field.client.retry_job(job.id)
    field.work_off()
    assert films(field) == ["a.mp4"]
    answers = iter([late])
    real = Client.replacement_orders
    monkeypatch.setattr(
        Client, "replacement_orders", lambda self: next(answers, None) or real(self)
    )
    assert settle_all(field).startswith("0 done, 0 could")
    assert films(field) == ["a.mp4"] and quarantined(field) == ["journal", "original.avi"]


def test_what_was_asked_for_is_done_once_though_its_worker_died_before_it_said_so(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(field, flow_clips / "old.avi", "a.avi")
    add_library(field, approve="ask")
    scan_films(field)
    job = only_job(field)
    for ask, there in (
        (field.client.approve_job, ["a.mp4"]),
        (field.client.undo_job, ["a.avi"]),
    ):
        ask(job.id)
        with monkeypatch.context() as patch:
            patch.setattr("darkstream.client.api.Client.settle_replacement", _refuse)
            assert settle(return_state=True).is_failed()
        assert films(field) == there
        assert "1 done" in settle_all(field)
        assert films(field) == there
    assert (field.library / "a.avi").read_bytes() == before
    again, _ = scan_films(field)
    assert again.jobs == 0


def _refuse(*_: object) -> None:
    raise UsageError("it died")


def test_cancelled_at_the_exchange_everything_is_as_it_was(
    field: Field, flow_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = put(field, flow_clips / "old.avi", "a.avi")
    add_library(field)
    real = Replacing.hold

    def held(self: Replacing, what: Replacement) -> Any:
        self._cancel.cancel(Cancelled("somebody cancelled it"))
        return real(self, what)

    monkeypatch.setattr(Replacing, "hold", held)
    scan_films(field)
    assert only_job(field).status == "cancelled"
    assert (field.library / "a.avi").read_bytes() == before
    assert films(field) == ["a.avi"] and quarantined(field) == []

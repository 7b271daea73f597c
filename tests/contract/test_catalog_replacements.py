"""Replaced originals in both databases: what may be asked for, what is due, what is known again."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from fixtures_catalog import end, hint, library, walk, work_all
from fixtures_in_place import (
    NEW,
    OLD,
    RESULT_BYTES,
    claim_one,
    commit,
    in_place,
    replaced,
    report,
    what_of,
)
from sqlalchemy import update

from darkstream.catalog import Catalog, keeping
from darkstream.catalog.database import Database
from darkstream.catalog.schema import jobs
from darkstream.errors import Conflict
from darkstream.model.base import JobId
from darkstream.model.job import JobStatus
from darkstream.model.replacement import FileNow, InPlace, ReplacementState
from darkstream.model.wire import ReplacementEnd


def test_all_does_not_overrule_what_was_asked_for_of_one(catalog: Catalog) -> None:
    in_place(catalog, approve="ask")
    kept = replaced(catalog, waits=True)
    catalog.replacements.request(kept, "keep")
    assert catalog.replacements.request_waiting("approve", "films") == []
    assert [order.action for order in catalog.replacements.orders()] == ["keep"]
    assert catalog.replacements.request_waiting("keep", None) == [kept]
    with pytest.raises(Conflict, match="keep was asked for"):
        catalog.replacements.request(kept, "approve")


DAY_S = 86_400.0


class Clocks:
    """The clock that people can set, and the machine's steady one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.steady, self.boot = 1_700_000_000.0, 5.0, "first"
        monkeypatch.setattr(Database, "now", lambda *_: self.now)
        monkeypatch.setattr(keeping, "steady_clock", lambda: (self.boot, self.steady))

    def pass_days(self, days: float) -> None:
        """The machine runs."""
        self.now += days * DAY_S
        self.steady += days * DAY_S

    def jump_days(self, days: float) -> None:
        """Somebody sets the clock."""
        self.now += days * DAY_S

    def sleep_days(self, days: float) -> None:
        """The machine is off."""
        self.now += days * DAY_S
        self.steady, self.boot = 5.0, f"after {self.now}"


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


def expires_in_days(catalog: Catalog, clocks: Clocks) -> float:
    """What the catalog says of the time that is left, whole days where it is that."""
    (job,) = catalog.jobs.find()
    assert job.replacement is not None and job.replacement.kept_until is not None
    due = {order.action for order in catalog.replacements.orders()}
    left = (job.replacement.kept_until.timestamp() - clocks.now) / DAY_S
    assert due == ({"expire"} if left <= 0 else set())
    return round(left, 3)


def test_an_original_is_kept_for_its_days(catalog: Catalog, clocks: Clocks) -> None:
    in_place(catalog, keep_originals_days=30)
    replaced(catalog)
    for left in (20, 10, 0):
        clocks.pass_days(10)
        catalog.replacements.keep_time()
        assert expires_in_days(catalog, clocks) == left


@pytest.mark.parametrize("days", [3650, 31, -31, -3650])
def test_a_clock_that_is_set_takes_nothing_of_the_time(
    catalog: Catalog, clocks: Clocks, days: float
) -> None:
    in_place(catalog, keep_originals_days=30)
    replaced(catalog)
    clocks.jump_days(days)
    catalog.replacements.keep_time()
    assert expires_in_days(catalog, clocks) == 30
    clocks.pass_days(10)
    clocks.jump_days(-days)
    catalog.replacements.keep_time()
    assert expires_in_days(catalog, clocks) == 20


def test_of_the_time_that_a_machine_was_off_a_day_counts(catalog: Catalog, clocks: Clocks) -> None:
    in_place(catalog, keep_originals_days=30)
    replaced(catalog)
    for days, left in ((0.5, 29.5), (400, 28.5), (-400, 28.5)):
        clocks.sleep_days(days)
        catalog.replacements.keep_time()
        assert expires_in_days(catalog, clocks) == left


@pytest.mark.parametrize("days", [500, -500])
@pytest.mark.parametrize("approved", [True, False])
def test_a_clock_set_just_before_a_result_is_placed_changes_nothing(
    catalog: Catalog, clocks: Clocks, days: float, approved: bool
) -> None:
    in_place(catalog, keep_originals_days=30)
    catalog.replacements.keep_time()
    held = claim_one(catalog)
    report(catalog, held)
    if approved:
        commit(catalog, held, waits=True)
        catalog.replacements.request(held.job, "approve")
    clocks.jump_days(days)
    if approved:
        done = ReplacementEnd(
            action="approve", state=ReplacementState.placed, replacement=what_of(held)
        )
        catalog.replacements.settle(held.job, done)
    else:
        with catalog.database.write() as connection:
            connection.execute(update(jobs).values(lease_until=clocks.now + 60))
        commit(catalog, held)
    catalog.replacements.keep_time()
    assert expires_in_days(catalog, clocks) == 30


def test_where_nobody_counts_the_runs_of_a_machine_this_process_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boot, steady = keeping.steady_clock()
    assert keeping.steady_clock()[0] == boot and keeping.steady_clock()[1] >= steady
    monkeypatch.setattr(keeping, "_BOOT_ID", tmp_path / "none")
    own, steady = keeping.steady_clock()
    assert own != boot and keeping.steady_clock()[0] == own and steady > 0


IN_PLACE = {b"a.mkv": (RESULT_BYTES, "n")}


def test_a_library_added_again_knows_its_results(catalog: Catalog) -> None:
    in_place(catalog)
    job = replaced(catalog)
    walk(catalog, IN_PLACE)
    assert len(catalog.jobs.find()) == 1
    catalog.libraries.remove("films")
    in_place(catalog, keep_originals_days=7)
    scan, candidates = walk(catalog, IN_PLACE, NEW)
    assert candidates == [b"a.mkv"] and [one.id for one in catalog.jobs.find()] == [job]
    assert [line.status for line in catalog.scans.report(scan)] == ["done"]
    assert catalog.libraries.get("films").quarantined_bytes == 1

    catalog.replacements.request(job, "undo")
    back = FileNow(path=b"a.mkv", hint=hint(1), sample="s", content=OLD)
    undone = ReplacementEnd(action="undo", state=ReplacementState.undone, file=back)
    catalog.replacements.settle(job, undone)
    walk(catalog, {b"a.mkv": (1, "s")}, OLD)
    assert len(catalog.jobs.find()) == 1


@pytest.mark.parametrize("size", [1, 2])
def test_a_library_added_again_knows_what_waits(catalog: Catalog, size: int) -> None:
    """Unless the original has changed meanwhile."""
    in_place(catalog, approve="ask")
    job = replaced(catalog, waits=True)
    catalog.libraries.remove("films")
    in_place(catalog, approve="ask")
    walk(catalog, {b"a.mkv": (size, "s")}, OLD)
    assert len(catalog.jobs.find()) == size
    waiting = [job] if size == 1 else []
    assert catalog.replacements.request_waiting("approve", "films") == waiting


def test_a_copy_of_a_result_is_left_alone_wherever_it_lies(catalog: Catalog) -> None:
    in_place(catalog)
    job = replaced(catalog)
    copies = {b"b.mkv": (RESULT_BYTES, "n"), b"c.mkv": (RESULT_BYTES, "another")}
    walk(catalog, IN_PLACE | copies, NEW)
    found = {one.source: one for one in catalog.jobs.find()}
    assert found["/in/b.mkv"].status == found["/in/c.mkv"].status == JobStatus.skipped
    assert f"result of job {job}" in found["/in/b.mkv"].reason
    catalog.libraries.remove("films")
    library(catalog, name="films", root=b"/moved", destination=b"/moved", in_place=InPlace())
    walk(catalog, IN_PLACE, NEW)
    moved = next(one for one in catalog.jobs.find() if one.source == "/moved/a.mkv")
    assert moved.status == JobStatus.skipped and moved.library == "films"


def test_a_result_over_a_known_name_is_known(catalog: Catalog) -> None:
    in_place(catalog)
    replaced(catalog)
    walk(catalog, IN_PLACE | {b"b.mkv": (3, "b")})
    work_all(catalog)
    walk(catalog, IN_PLACE | {b"b.mkv": (RESULT_BYTES, "n")}, NEW)
    newest = catalog.jobs.find()[0]
    assert (newest.source, newest.status) == ("/in/b.mkv", JobStatus.skipped)


def test_other_files_of_a_results_size_are_converted(catalog: Catalog) -> None:
    in_place(catalog)
    replaced(catalog)
    walk(catalog, IN_PLACE | {b"b.mkv": (RESULT_BYTES, "other")}, "d" * 64)
    assert [one.source for one in catalog.jobs.find(status=JobStatus.queued)] == ["/in/b.mkv"]


def test_a_result_in_place_is_a_film_for_other_libraries(catalog: Catalog) -> None:
    in_place(catalog)
    replaced(catalog, target=b"a.mp4")
    library(catalog, name="films", in_place=None)
    walk(catalog, {b"a.mp4": (RESULT_BYTES, "n")}, NEW)
    assert len(catalog.jobs.find()) == 1, "the library's own result is known"
    catalog.libraries.remove("films")
    library(catalog, name="films")
    walk(catalog, {b"a.mp4": (RESULT_BYTES, "n")}, NEW)
    assert [one.source for one in catalog.jobs.find(status=JobStatus.queued)] == ["/in/a.mp4"]


def test_results_of_an_older_schema_are_known(catalog: Catalog) -> None:
    in_place(catalog)
    replaced(catalog)
    with catalog.database.write() as connection:
        config = catalog.database.alembic_config(connection)
        command.downgrade(config, "0008")
        command.upgrade(config, "head")
    catalog.libraries.remove("films")
    in_place(catalog)
    walk(catalog, IN_PLACE, NEW)
    assert len(catalog.jobs.find()) == 1


def failed_at_the_exchange(catalog: Catalog) -> JobId:
    held = claim_one(catalog)
    report(catalog, held)
    catalog.results.commit(held.job, end(held, "failed"))
    return held.job


def actions(catalog: Catalog) -> list[str]:
    return [order.action for order in catalog.replacements.orders()]


@pytest.mark.parametrize("by", ["job", "scan"])
def test_what_cannot_be_abandoned_is_undone_by_force(catalog: Catalog, by: str) -> None:
    """As where somebody changed the result that a failing job left in place."""
    in_place(catalog)
    job = failed_at_the_exchange(catalog)
    refused = ReplacementEnd(action="abandon", error="it was changed: --force")
    catalog.replacements.settle(job, refused)
    assert actions(catalog) == ["abandon"]
    scan = catalog.jobs.get(job).scan
    assert scan is not None
    if by == "job":
        catalog.replacements.request(job, "undo", force=True)
    else:
        assert catalog.replacements.request_scan(scan, force=True) == [job]
    (order,) = catalog.replacements.orders()
    assert (order.action, order.force) == ("undo", True)
    catalog.replacements.settle(job, refused)
    assert actions(catalog) == ["undo"], "that was another order's end"
    done = ReplacementEnd(action="undo", state=ReplacementState.undone)
    catalog.replacements.settle(job, done)
    assert actions(catalog) == []
    undone = catalog.jobs.get(job).replacement
    assert undone is not None and undone.state is ReplacementState.undone


def test_what_an_attempt_is_at_is_not_undone(catalog: Catalog) -> None:
    in_place(catalog)
    held = claim_one(catalog)
    report(catalog, held)
    with pytest.raises(Conflict, match="just being put in place"):
        catalog.replacements.request(held.job, "undo", force=True)
    assert actions(catalog) == []


def test_an_original_that_expired_while_it_was_to_be_undone_is_gone(
    catalog: Catalog, clocks: Clocks
) -> None:
    in_place(catalog, keep_originals_days=1)
    job = replaced(catalog)
    clocks.pass_days(1)
    assert actions(catalog) == ["expire"]
    catalog.replacements.request(job, "undo")
    expired = ReplacementEnd(action="expire", state=ReplacementState.expired)
    catalog.replacements.settle(job, expired)
    assert actions(catalog) == []
    with pytest.raises(Conflict, match="gone for good"):
        catalog.replacements.request(job, "undo")


@pytest.mark.parametrize("renamed", [True, False])
def test_a_job_that_was_undone_converts_its_original_again(catalog: Catalog, renamed: bool) -> None:
    in_place(catalog)
    job = replaced(catalog, target=b"a.mp4")
    if renamed:
        walk(catalog, {b"b.mp4": (RESULT_BYTES, "n")}, content=NEW)
        assert catalog.jobs.get(job).source == "/in/b.mp4"
    catalog.replacements.request(job, "undo")
    back = FileNow(path=b"a.mkv", hint=hint(1), sample="s", content=OLD)
    told = ReplacementEnd(action="undo", state=ReplacementState.undone, file=back)
    catalog.replacements.settle(job, told)
    # The renamed result was left where it is: nobody encodes it again.
    walk(catalog, {b"a.mkv": (1, "s"), b"b.mp4": (RESULT_BYTES, "n")}, content=NEW)
    assert {one.id: (one.source, one.status) for one in catalog.jobs.find()} == {
        job: ("/in/a.mkv", JobStatus.done),
        job + 1: ("/in/b.mp4", JobStatus.skipped),
    }
    assert catalog.jobs.retry(job).source == "/in/a.mkv"


def test_a_job_whose_renamed_original_was_kept_stays_with_it(catalog: Catalog) -> None:
    in_place(catalog, approve="ask")
    job = replaced(catalog, waits=True)
    walk(catalog, {b"b.mkv": (1, "s")}, content=OLD)
    catalog.replacements.request(job, "keep")
    told = ReplacementEnd(action="keep", state=ReplacementState.kept)
    catalog.replacements.settle(job, told)
    assert catalog.jobs.get(job).source == "/in/b.mkv"


def test_orders_that_fail_hold_up_no_others(
    catalog: Catalog, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkstream.catalog.replacements._MOST", 2)
    in_place(catalog, keep_originals_days=1)
    ids = [replaced(catalog, name) for name in (b"a.mkv", b"b.mkv", b"c.mkv", b"d.mkv")]
    clocks.pass_days(2)
    failed = ReplacementEnd(action="expire", error="its disk is away")
    for _ in range(2):
        tried: set[int] = set()
        while left := [one for one in catalog.replacements.orders() if one.job not in tried]:
            tried.add(left[0].job)
            clocks.pass_days(0.01)
            catalog.replacements.settle(left[0].job, failed)
        assert tried == set(ids)

"""Jobs that come after others, on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fixtures_catalog import claim, dispatch, end, silence, submit, work_all
from sqlalchemy.event import listens_for

from darkstream.catalog import Catalog
from darkstream.catalog.batches import BatchEntry, BatchWish
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import DispatchId, JobId, NodeName
from darkstream.model.job import JobStatus
from darkstream.model.preset import Preset
from darkstream.model.wire import Release
from darkstream.settings import LeaseSettings

NODE = NodeName("node")
EXPLAIN = "EXPLAIN QUERY PLAN"
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def work(catalog: Catalog, status: str = "done") -> JobId:
    """Do the next job."""
    number = dispatch(catalog)
    held = claim(catalog, number)
    catalog.results.commit(held.job, end(held, status))
    catalog.dispatches.end(DispatchId(number))
    return held.job


def statuses(catalog: Catalog, *jobs: JobId) -> list[str]:
    return [catalog.jobs.get(job).status.value for job in jobs]


def test_a_job_waits_for_all_it_comes_after(catalog: Catalog) -> None:
    first, second = submit(catalog, "a.mkv"), submit(catalog, "b.mkv")
    last = submit(catalog, "c.mkv", after=(second, first, first), priority=100)
    waiting = catalog.jobs.get(last)
    assert (waiting.status, waiting.after, waiting.waits_for) == (
        JobStatus.queued,
        (first, second),
        (first, second),
    )
    assert work(catalog) == first
    assert catalog.jobs.get(last).waits_for == (second,)
    assert work(catalog, "skipped") == second
    assert catalog.jobs.get(last).waits_for == ()
    assert work(catalog) == last
    assert catalog.jobs.get(last).after == (first, second)


def test_what_waits_is_not_given_to_a_flow_run_that_has_room(catalog: Catalog) -> None:
    first = submit(catalog, "a.mkv")
    claim(catalog, dispatch(catalog))
    waits = submit(catalog, "b.mkv", after=(first,))
    free = submit(catalog, "c.mkv", flow_run="own")
    number = catalog.jobs.dispatch_of_flow_run("own")
    held = claim(catalog, number)
    catalog.results.commit(free, end(held))
    assert catalog.leases.claim(number, NODE, "own", adopt_s=1e6) is None
    catalog.jobs.cancel(waits)


def test_an_end_without_success_stops_the_whole_chain_and_says_why(catalog: Catalog) -> None:
    first = submit(catalog, "a.mkv")
    second = submit(catalog, "b.mkv", after=(first,))
    third = submit(catalog, "c.mkv", after=(second,))
    anyway = submit(catalog, "d.mkv", after=(second,), if_failed="go-on")
    beside = submit(catalog, "e.mkv")
    assert work(catalog, "rejected") == first
    assert statuses(catalog, second, third, anyway, beside) == [
        *("cancelled", "cancelled", "queued", "queued")
    ]
    assert catalog.jobs.get(second).reason == "job 1, which it waited for, was rejected"
    assert catalog.jobs.get(third).reason == (
        "job 2, which it waited for, was cancelled because job 1 was rejected"
    )
    assert catalog.jobs.get(anyway).waits_for == ()
    told = {event.payload["job"] for event in catalog.outbox.due(limit=10)}
    assert told == {first, second, third}


@pytest.mark.parametrize("rule", ["stop", "go-on"])
def test_the_first_failure_stops_though_others_run_and_go_on_waits_for_all(
    catalog: Catalog, rule: str
) -> None:
    first, second = submit(catalog, "a.mkv"), submit(catalog, "b.mkv")
    last = submit(catalog, "c.mkv", after=(first, second), if_failed=rule)
    work(catalog, "failed")
    if rule == "stop":
        assert statuses(catalog, second, last) == ["queued", "cancelled"]
        return
    assert catalog.jobs.get(last).waits_for == (second,)
    work(catalog, "failed")
    assert catalog.jobs.get(last).waits_for == ()


def test_a_cancel_and_a_lost_worker_count_as_failures(catalog: Catalog) -> None:
    first = submit(catalog, "a.mkv")
    second = submit(catalog, "b.mkv", after=(first,))
    catalog.jobs.cancel(first)
    assert catalog.jobs.get(second).reason == "job 1, which it waited for, was cancelled"
    third = submit(catalog, "c.mkv")
    fourth = submit(catalog, "d.mkv", after=(third,))
    for _ in range(2):
        claim(catalog, dispatch(catalog))
        silence(catalog)
        catalog.leases.expire()
    assert statuses(catalog, third, fourth) == ["failed", "cancelled"]


def test_a_release_keeps_the_others_waiting(catalog: Catalog) -> None:
    first = submit(catalog, "a.mkv")
    second = submit(catalog, "b.mkv", after=(first,))
    held = claim(catalog, dispatch(catalog))
    catalog.results.release(first, Release(token=held.token, reason="shutdown"))
    assert catalog.jobs.get(second).waits_for == (first,)


def test_a_job_that_comes_after_one_that_failed_already_is_stopped_at_once(
    catalog: Catalog,
) -> None:
    first = submit(catalog, "a.mkv")
    work(catalog, "failed")
    stopped = submit(catalog, "b.mkv", after=(first,))
    assert statuses(catalog, stopped) == ["cancelled"]
    anyway = submit(catalog, "c.mkv", after=(first,), if_failed="go-on")
    assert work(catalog) == anyway


def test_only_jobs_there_are_can_come_before(catalog: Catalog) -> None:
    job = submit(catalog)
    with pytest.raises(NotFound, match="there is no job 2 to come after"):
        submit(catalog, after=(job, JobId(2)))
    assert len(catalog.jobs.find()) == 1


def test_a_retry_goes_in_order(catalog: Catalog) -> None:
    first = submit(catalog, "a.mkv")
    second = submit(catalog, "b.mkv", after=(first,))
    work(catalog, "failed")
    with pytest.raises(Conflict, match="job 2 waits for job 1, which is failed: retry that one"):
        catalog.jobs.retry(second)
    catalog.jobs.retry(first)
    assert catalog.jobs.retry(second).waits_for == (first,)
    assert [work(catalog), work(catalog)] == [first, second]
    assert statuses(catalog, first, second) == ["done", "done"]


@pytest.mark.parametrize("dispatched", [False, True])
def test_a_retry_holds_those_back_that_have_not_begun(catalog: Catalog, dispatched: bool) -> None:
    first = submit(catalog, "a.mkv")
    second = submit(catalog, "b.mkv", after=(first,))
    work(catalog)
    given = DispatchId(dispatch(catalog)) if dispatched else None
    catalog.jobs.retry(first)
    waiting = catalog.jobs.get(second)
    assert (waiting.status, waiting.waits_for) == ("queued", (first,))
    if given is not None:
        assert catalog.leases.claim(given, NODE, f"run-{given}") is None
    assert [work(catalog), work(catalog)] == [first, second]


def test_what_runs_goes_on_when_a_job_before_it_is_retried(catalog: Catalog) -> None:
    first = submit(catalog, "a.mkv")
    second = submit(catalog, "b.mkv", after=(first,))
    work(catalog)
    held = claim(catalog, dispatch(catalog))
    catalog.jobs.retry(first)
    work(catalog, "failed")
    assert catalog.results.commit(second, end(held)).status == "done"


def test_a_flow_run_s_own_job_may_come_before_others(catalog: Catalog) -> None:
    first = submit(catalog, "a.mkv", flow_run="own")
    second = submit(catalog, "b.mkv", after=(first,))
    number = catalog.jobs.dispatch_of_flow_run("own")
    assert catalog.dispatches.plan(pool="cpu", window=9, batch_seconds=9, live_slots=1) == []
    catalog.dispatches.cancel(number)
    assert statuses(catalog, first, second) == ["cancelled", "cancelled"]


def test_a_long_chain_and_a_wide_fan_end_in_one_transaction(catalog: Catalog) -> None:
    root = submit(catalog, "root.mkv")
    fan = [submit(catalog, f"{number}.mkv", after=(root,)) for number in range(30)]
    chain = [root]
    for number in range(30):
        chain.append(submit(catalog, f"chain-{number}.mkv", after=(chain[-1],)))
    catalog.jobs.cancel(root)
    assert {*statuses(catalog, *fan, *chain)} == {"cancelled"}
    assert catalog.jobs.get(chain[-1]).reason.endswith("because job 1 was cancelled")
    assert work_all(catalog) == 0


@pytest.mark.parametrize("step", ["stop_followers", "let_begin", "announce_batch"])
def test_a_crash_amid_an_end_leaves_all_as_it_was(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    catalog.batches.add(
        "trip", [BatchEntry(b"/in/a", b"a", b"/out", 1)], BatchWish(Preset(name="web"))
    )
    held = claim(catalog, dispatch(catalog))
    stopped = submit(catalog, "b.mkv", after=(held.job,))
    anyway = submit(catalog, "c.mkv", after=(held.job,), if_failed="go-on")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(f"darkstream.catalog.endings.{step}", _die)
        catalog.results.commit(held.job, end(held, "failed"))
    assert statuses(catalog, held.job, stopped, anyway) == ["running", "queued", "queued"]
    assert catalog.jobs.get(anyway).waits_for == (held.job,)
    assert catalog.outbox.due(limit=9) == []
    catalog.results.commit(held.job, end(held, "failed"))
    assert statuses(catalog, held.job, stopped, anyway) == ["failed", "cancelled", "queued"]
    assert catalog.jobs.get(anyway).waits_for == ()
    told = [event.type for event in catalog.outbox.due(limit=9)]
    assert sorted(told) == ["batch.ended", "job.ended", "job.ended"]


def _die(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_the_queue_is_looked_through_by_its_indexes(tmp_path: Path) -> None:
    """Neither all that waits nor all that is less urgent is read or sorted."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}", lease=LeaseSettings())
    catalog.migrate()
    submit(catalog, flow_run="own")
    number = catalog.jobs.dispatch_of_flow_run("own")
    held = claim(catalog, number)
    catalog.results.commit(held.job, end(held))
    submit(catalog, "waits.mkv", after=(submit(catalog, "later.mkv", not_before=LATER),))
    submit(catalog, "long.mkv", source_bytes=1 << 40)
    asked: list[tuple[str, Any]] = []

    @listens_for(catalog.database.engine, "before_cursor_execute")
    def note(*told: Any) -> None:
        asked.append((told[2], told[3]))

    assert catalog.leases.claim(number, NODE, "run", adopt_s=1.0) is None
    catalog.dispatches.plan(pool="cpu", window=9, batch_seconds=9, live_slots=1)
    looks = [(text, values) for text, values in asked if "waits IS 0" in text]
    with catalog.database.read() as connection:
        plans = [
            " ".join(row[3] for row in connection.exec_driver_sql(f"{EXPLAIN} {text}", values))
            for text, values in looks
        ]
    catalog.close()
    assert len(plans) == 7
    assert all(" (status=? AND " in plan and "waits=?" in plan for plan in plans)
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or "SCAN" in plan]

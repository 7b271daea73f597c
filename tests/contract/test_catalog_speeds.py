"""Costs of jobs: from the table, from what was measured, and from their plans."""

from __future__ import annotations

import pytest
from fixtures_catalog import claim, dispatch, end, library, plan_report, start, submit, walk
from sqlalchemy import select

from darkstream.catalog import Catalog
from darkstream.catalog.schema import jobs
from darkstream.model.base import JobId
from darkstream.model.work import Work, WorkClass

WORK = Work(encoder="libx264", speed="medium", size="hd", codec="h264", amount=1e9)
CLASS = WorkClass(encoder="libx264", speed="medium", size="hd")
MB = 1_000_000


def cost(catalog: Catalog, job: JobId) -> float:
    with catalog.database.read() as connection:
        return float(connection.scalar(select(jobs.c.cost_s).where(jobs.c.id == job)) or 0)


def convert(catalog: Catalog, name: str, wall_s: float, **outcome: object) -> JobId:
    """One job of 100 MB from its claim to its end."""
    submit(catalog, name, source_bytes=100 * MB)
    held = claim(catalog, dispatch(catalog))
    key = plan_report(held).key.model_copy(update={"content": name.ljust(64, "c")})
    catalog.results.report_plan(held.job, plan_report(held, work=WORK, key=key))
    catalog.results.commit(held.job, end(held, wall_s=wall_s, **outcome))
    catalog.dispatches.end(catalog.dispatches.unfinished()[0].id)
    return held.job


def test_a_job_costs_what_like_jobs_took(catalog: Catalog) -> None:
    guessed = cost(catalog, submit(catalog, "guess.mkv", source_bytes=100 * MB))
    catalog.jobs.cancel(JobId(1))
    for number in range(5):
        convert(catalog, f"{number}.mkv", wall_s=1000.5)
    measured = cost(catalog, submit(catalog, "measured.mkv", source_bytes=50 * MB))
    assert measured == pytest.approx(500.5)
    assert guessed != pytest.approx(2 * measured, rel=0.5)


def test_a_plan_corrects_the_cost_by_the_speed_of_its_node(catalog: Catalog) -> None:
    convert(catalog, "first.mkv", wall_s=100.5)
    assert catalog.speeds.of_nodes() == {"node": {CLASS: (1e7,)}}
    held = start(catalog, "second.mkv")
    catalog.results.report_plan(held.job, plan_report(held, work=WORK))
    assert cost(catalog, held.job) == pytest.approx(100.5)


def test_a_plan_nobody_can_judge_leaves_the_cost_as_it_was(catalog: Catalog) -> None:
    held = start(catalog)
    before = cost(catalog, held.job)
    catalog.results.report_plan(held.job, plan_report(held))
    assert cost(catalog, held.job) == before
    catalog.results.commit(held.job, end(held, wall_s=9.0, source_bytes=MB))
    assert catalog.speeds.of_nodes() == {}


@pytest.mark.parametrize(
    "outcome", [{"status": "failed"}, {"reused": 1}, {"status": "skipped", "decision": "skip"}]
)
def test_only_work_that_was_done_tells_a_speed(
    catalog: Catalog, outcome: dict[str, object]
) -> None:
    convert(catalog, "a.mkv", wall_s=5.0, **outcome)
    assert catalog.speeds.of_nodes() == {}


def test_an_attempt_that_found_work_done_tells_nothing(catalog: Catalog) -> None:
    job = convert(catalog, "a.mkv", wall_s=100.5)
    catalog.jobs.retry(job)
    held = claim(catalog, dispatch(catalog))
    catalog.results.report_plan(held.job, plan_report(held, work=WORK))
    catalog.results.commit(held.job, end(held, wall_s=0.7))
    assert catalog.speeds.of_nodes() == {"node": {CLASS: (1e7,)}}


def test_a_library_goes_by_its_own_jobs_until_it_is_forgotten(catalog: Catalog) -> None:
    for number in range(3):
        convert(catalog, f"{number}.mkv", wall_s=10.5)
    library(catalog)
    walk(catalog, {b"a.mkv": (100 * MB, "a")})
    job = catalog.jobs.find(library="films")[0].id
    assert cost(catalog, job) == pytest.approx(10.5)
    held = claim(catalog, dispatch(catalog))
    catalog.results.commit(held.job, end(held, wall_s=200.5))
    walk(catalog, {b"a.mkv": (100 * MB, "a"), b"b.mkv": (100 * MB, "b")})
    assert cost(catalog, catalog.jobs.find(library="films")[0].id) == pytest.approx(200.5)
    catalog.libraries.remove("films")
    library(catalog)
    walk(catalog, {b"c.mkv": (100 * MB, "c")})
    assert cost(catalog, catalog.jobs.find(library="films")[0].id) == pytest.approx(10.5)


def test_the_longest_of_a_priority_is_first_and_the_small_share_a_flow_run(
    catalog: Catalog,
) -> None:
    small = [submit(catalog, f"{number}.mkv", source_bytes=MB) for number in range(3)]
    film = submit(catalog, "film.mkv", source_bytes=30_000 * MB)
    urgent = submit(catalog, "urgent.mkv", source_bytes=MB, priority=51)
    orders = catalog.dispatches.plan(pool="cpu", window=9, batch_seconds=60.0, live_slots=1)
    assert [order.jobs for order in orders] == [(urgent,), (film,), tuple(small)]
    catalog.jobs.prioritise(small[0], 52)
    catalog.dispatches.lose(orders[2].id, "a test")
    (order,) = catalog.dispatches.plan(pool="cpu", window=9, batch_seconds=60.0, live_slots=1)
    assert order.jobs == tuple(small)


def test_those_that_wait_are_judged_again_once_their_library_is_known(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, {f"{number}.mkv".encode(): (100 * MB, f"{number}") for number in range(6)})
    other = submit(catalog, "other.mkv", source_bytes=100 * MB)
    guessed = cost(catalog, other)
    number = dispatch(catalog, window=1)
    for done in range(4):
        held = catalog.leases.claim(number, "node", "run")  # type: ignore[arg-type]
        assert held is not None
        left = [job.id for job in catalog.jobs.find(library="films") if not job.status.ended]
        assert {cost(catalog, job) for job in left} == {guessed}, done
        catalog.results.commit(held.job, end(held, wall_s=1000.5))
    left = [job.id for job in catalog.jobs.find(library="films") if not job.status.ended]
    assert [cost(catalog, job) for job in left] == [pytest.approx(1000.5)] * 2
    assert cost(catalog, other) == guessed, "it is of no library"

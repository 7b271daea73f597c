"""Whatever comes after whatever, and however each ends: all end, in order, by their rule."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkstream.catalog import Catalog
from darkstream.catalog.batches import BatchEntry, BatchWish
from darkstream.model.base import JobId
from darkstream.model.job import JobStatus, Outcome
from darkstream.model.preset import Preset
from darkstream.model.wire import Commit
from darkstream.settings import LeaseSettings

SUCCESS = {"done", "skipped"}


class Wish(NamedTuple):
    """One job of a graph: how many jobs before it were submitted, and which it comes after."""

    after: frozenset[int]
    if_failed: str
    end: str


@st.composite
def graphs(draw: st.DrawFn) -> list[Wish]:
    """Jobs in the order of their submission."""
    ends = st.sampled_from(["done", "done", "done", "skipped", "failed", "rejected", "cancelled"])
    wishes: list[Wish] = []
    for number in range(draw(st.integers(1, 9))):
        before = st.sets(st.integers(0, number - 1), max_size=3) if number else st.just(set())
        rule = draw(st.sampled_from(["stop", "stop", "go-on"]))
        wishes.append(Wish(frozenset(draw(before)), rule, draw(ends)))
    return wishes


def expected_ends(wishes: list[Wish]) -> list[str]:
    """The rule as it is told to people."""
    ends: list[str] = []
    for wish in wishes:
        failed = any(ends[number] not in SUCCESS for number in wish.after)
        ends.append("cancelled" if failed and wish.if_failed == "stop" else wish.end)
    return ends


@contextmanager
def _open(path: Path) -> Iterator[Catalog]:
    catalog = Catalog(f"sqlite:///{path}", lease=LeaseSettings())
    try:
        yield catalog
    finally:
        catalog.close()


def submit(catalog: Catalog, number: int, wish: Wish, jobs: list[JobId]) -> JobId:
    """One more job of the batch."""
    after = tuple(jobs[before] for before in wish.after)
    wished = BatchWish(Preset(name="web"), after=after, if_failed=wish.if_failed)  # type: ignore[arg-type]
    entry = BatchEntry(source=b"/in/%d" % number, relative=b"%d" % number, destination=b"/out")
    assert catalog.batches.add("graph", [entry], wished) == 1
    return catalog.jobs.find(batch="graph", limit=1)[0].id


def _check_batch(catalog: Catalog, early: int) -> None:
    """It has ended, and was told so as it is now; once, where it had not ended before."""
    batch = catalog.batches.get("graph")
    told = [one.payload for one in catalog.outbox.due(limit=999) if one.type == "batch.ended"]
    assert batch.ended is not None
    assert batch.counts == told[-1]["counts"]
    assert len(told) == 1 or early > 0


def work(catalog: Catalog, jobs: list[JobId], wishes: list[Wish]) -> JobId | None:
    """Do the next job that may begin, looking that all before it have ended."""
    orders = catalog.dispatches.plan(pool="cpu", window=1, batch_seconds=0, live_slots=1)
    if not orders:
        return None
    (order,) = orders
    held = catalog.leases.claim(order.id, "node", "run")
    assert held is not None
    number = jobs.index(held.job)
    before = [catalog.jobs.get(jobs[one]).status for one in wishes[number].after]
    assert all(status.ended for status in before)
    if wishes[number].if_failed == "stop":
        assert {status.value for status in before} <= SUCCESS
    outcome = Outcome.model_validate({"status": wishes[number].end, "reason": "its end"})
    catalog.results.commit(held.job, Commit(token=held.token, outcome=outcome))
    catalog.dispatches.end(order.id)
    assert catalog.check() == []
    return held.job


@given(wishes=graphs(), early=st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_every_graph_ends_in_order_and_by_its_rules(
    template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    wishes: list[Wish],
    early: int,
) -> None:
    path = tmp_path_factory.mktemp("graph") / "catalog.db"
    shutil.copyfile(template, path)
    with _open(path) as catalog:
        jobs: list[JobId] = []
        for number, wish in enumerate(wishes):
            jobs.append(submit(catalog, number, wish, jobs))
            if number < early:  # some end before others are submitted
                work(catalog, jobs, wishes)
        while work(catalog, jobs, wishes) is not None:
            pass
        ended = [catalog.jobs.get(job) for job in jobs]
        assert [job.status.value for job in ended] == expected_ends(wishes)
        _check_reasons(wishes, ended, jobs)
        _check_batch(catalog, early)
        _retry_all(catalog, jobs, wishes)
    shutil.rmtree(path.parent)


def _check_reasons(wishes: list[Wish], ended: list, jobs: list[JobId]) -> None:
    for number, job in enumerate(ended):
        if job.attempts == 0:
            (named,) = {one for one in wishes[number].after if f"job {jobs[one]}, " in job.reason}
            assert ended[named].status.value not in SUCCESS


def _retry_all(catalog: Catalog, jobs: list[JobId], wishes: list[Wish]) -> None:
    """Retried in order, all of them run, now that nothing fails."""
    well = [wish._replace(end="done") for wish in wishes]
    for job in jobs:
        if catalog.jobs.get(job).status.value not in SUCCESS:
            catalog.jobs.retry(job)
    while work(catalog, jobs, well) is not None:
        pass
    assert all(catalog.jobs.get(job).status.value in SUCCESS for job in jobs)
    assert catalog.jobs.find(status=JobStatus.queued) == []

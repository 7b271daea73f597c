"""Batches of files that people asked for together, on every database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic import command
from fixtures_catalog import WEB, claim, dispatch, end, plan_report, submit, work_all
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.catalog.batches import BatchEntry, Batches, BatchWish
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import DispatchId, JobId
from darkstream.model.job import JobStatus, OutputFile
from darkstream.model.preset import Preset
from darkstream.model.wire import FileToPublish, TargetRequest

WISH = BatchWish(preset=WEB)


def entry(name: str, **changes: object) -> BatchEntry:
    path = name.encode()
    values: dict[str, object] = {
        "source": b"/in/" + path,
        "relative": path,
        "destination": b"/out",
        "source_bytes": 1000,
    }
    return BatchEntry(**(values | changes))  # type: ignore[arg-type]


def add(catalog: Catalog, *names: str, batch: str = "trip", **wish: object) -> int:
    wishes: dict[str, object] = {"preset": WEB}
    return catalog.batches.add(
        batch,
        [entry(name) for name in names],
        BatchWish(**(wishes | wish)),  # type: ignore[arg-type]
    )


def work(catalog: Catalog, status: str = "done", **changes: object) -> JobId:
    number = dispatch(catalog)
    held = claim(catalog, number)
    catalog.results.commit(held.job, end(held, status, **changes))
    catalog.dispatches.end(DispatchId(number))
    return held.job


def ends(catalog: Catalog) -> list[dict[str, object]]:
    return [one.payload for one in catalog.outbox.due(limit=9999) if one.type == "batch.ended"]


def test_a_batch_counts_its_jobs_and_tells_its_end_once(catalog: Catalog) -> None:
    assert add(catalog, "a.mkv", "b.mkv", "c.mkv") == 3
    submit(catalog, "other.mkv", priority=0)
    new = catalog.batches.get("trip")
    assert (new.status, new.jobs, new.done, new.eta_s) == ("queued", 3, 0.0, None)
    work(catalog, output_bytes=400, source_bytes=1000)
    going = catalog.batches.get("trip")
    assert (going.status, going.ended) == ("running", None)
    assert going.counts == {"done": 1, "queued": 2}
    assert going.done == pytest.approx(1 / 3)
    assert going.eta_s is not None
    assert (going.source_bytes, going.output_bytes) == (1000, 400)
    work(catalog, "skipped")
    assert ends(catalog) == []
    work(catalog, "failed")
    over = catalog.batches.get("trip")
    assert (over.status, over.done, over.eta_s) == ("failed", 1.0, None)
    (told,) = ends(catalog)
    assert (told["batch"], told["status"], told["jobs"]) == ("trip", "failed", 3)
    assert told["counts"] == {"done": 1, "failed": 1, "skipped": 1}
    work_all(catalog)
    assert len(ends(catalog)) == 1


def test_what_runs_counts_by_its_progress(catalog: Catalog) -> None:
    add(catalog, "a.mkv", "b.mkv")
    held = claim(catalog, dispatch(catalog))
    half = catalog.batches.get("trip", {held.job: 0.5})
    assert half.done == pytest.approx(0.25)
    assert half.eta_s is not None
    assert catalog.batches.find(progress={held.job: 0.5})[0].done == pytest.approx(0.25)


def test_a_batch_is_added_to_and_ends_again(catalog: Catalog) -> None:
    add(catalog, "a.mkv")
    assert add(catalog, "a.mkv", "b.mkv") == 1
    assert add(catalog, "a.mkv", preset=Preset(name="archive")) == 1
    assert work_all(catalog) == 3
    assert add(catalog, "c.mkv") == 1
    again = catalog.batches.get("trip")
    assert (again.ended, again.jobs) == (None, 4)
    assert work_all(catalog) == 1
    assert [told["jobs"] for told in ends(catalog)] == [3, 4]


def test_a_batch_is_cancelled_and_retried_as_one(catalog: Catalog) -> None:
    add(catalog, "a.mkv", "b.mkv", "c.mkv", "d.mkv")
    done, failed = work(catalog), work(catalog, "failed")
    held = claim(catalog, dispatch(catalog))
    catalog.batches.cancel("trip")
    assert catalog.batches.get("trip").ended is None
    assert catalog.jobs.get(held.job).cancel_requested
    catalog.results.commit(held.job, end(held, "cancelled"))
    assert catalog.batches.get("trip").counts == {"cancelled": 2, "done": 1, "failed": 1}
    with pytest.raises(Conflict, match="has ended already"):
        catalog.batches.cancel("trip")
    assert catalog.batches.retry("trip") == 3
    assert catalog.jobs.get(done).status == "done"
    assert catalog.jobs.get(failed).status == "queued"
    assert work_all(catalog) == 3
    assert [told["status"] for told in ends(catalog)] == ["failed", "done"]
    with pytest.raises(Conflict, match="no job of the batch 'trip' has failed"):
        catalog.batches.retry("trip")
    assert len(ends(catalog)) == 2


def test_a_batch_of_which_only_jobs_were_cancelled_is_cancelled(catalog: Catalog) -> None:
    add(catalog, "a.mkv", "b.mkv")
    work(catalog)
    catalog.batches.cancel("trip")
    assert catalog.batches.get("trip").status == "cancelled"


def test_a_single_retry_opens_the_batch_again(catalog: Catalog) -> None:
    add(catalog, "a.mkv")
    job = work(catalog, "failed")
    catalog.jobs.retry(job)
    assert catalog.batches.get("trip").status == "queued"
    work(catalog)
    assert [told["status"] for told in ends(catalog)] == ["failed", "done"]


def test_a_batch_comes_after_a_job_and_is_stopped_with_it(catalog: Catalog) -> None:
    first = submit(catalog, "first.mkv")
    add(catalog, "a.mkv", "b.mkv", after=(first,))
    add(catalog, "c.mkv", batch="anyway", after=(first,), if_failed="go-on")
    assert work(catalog, "failed") == first
    (told,) = ends(catalog)
    assert (told["batch"], told["status"]) == ("trip", "cancelled")
    assert catalog.batches.retry("trip") == 2
    assert catalog.batches.get("trip").status == "cancelled"
    assert len(ends(catalog)) == 2
    catalog.jobs.retry(first)
    catalog.batches.retry("trip")
    assert len(catalog.jobs.find(batch="trip", status=JobStatus.queued)) == 2
    assert work_all(catalog) == 4
    assert catalog.batches.get("trip").status == "done"


def test_a_chain_in_a_batch_is_retried_in_its_order(catalog: Catalog) -> None:
    add(catalog, "a.mkv")
    (first,) = catalog.jobs.find(batch="trip")
    add(catalog, "b.mkv", after=(first.id,))
    work(catalog, "failed")
    assert catalog.batches.retry("trip") == 2
    assert work_all(catalog) == 2
    assert catalog.batches.get("trip").status == "done"


def test_jobs_say_their_batch_and_are_found_by_it(catalog: Catalog) -> None:
    add(catalog, "a.mkv")
    submit(catalog, "b.mkv")
    (job,) = catalog.jobs.find(batch="trip")
    assert (job.batch, job.source) == ("trip", "/in/a.mkv")
    assert [one.batch for one in catalog.jobs.find()] == [None, "trip"]
    work(catalog)
    payloads = [one.payload for one in catalog.outbox.due(limit=9) if one.type == "job.ended"]
    assert [payload["batch"] for payload in payloads] == ["trip"]


def test_batches_are_listed_newest_first(catalog: Catalog) -> None:
    for name in ("a", "b", "c"):
        add(catalog, f"{name}.mkv", batch=name)
    newest = catalog.batches.find(limit=2)
    assert [one.name for one in newest] == ["c", "b"]
    assert [one.name for one in catalog.batches.find(after=newest[-1].id)] == ["a"]


def test_results_in_a_folder_are_no_sources_and_an_empty_batch_is_none(catalog: Catalog) -> None:
    submit(catalog, "a.mkv")
    held = claim(catalog, dispatch(catalog))
    catalog.results.report_plan(held.job, plan_report(held))
    wanted = FileToPublish(candidates=(b"a.mp4",), size=1, blake3="b")
    catalog.results.reserve_targets(held.job, TargetRequest(token=held.token, files=(wanted,)))
    output = OutputFile(path=b"a.mp4", size=1, blake3="b")
    catalog.results.commit(held.job, end(held, outputs=[output.model_dump()]))
    found = entry("a.mp4", source=b"/out/a.mp4", found=True)
    assert catalog.batches.add("again", [found], WISH) == 0
    with pytest.raises(NotFound, match="there is no batch 'again'"):
        catalog.batches.get("again")
    segment = entry("1.ts", source=b"/out/a.mp4/1.ts", found=True)
    assert catalog.batches.add("again", [found, segment, entry("b.mkv", found=True)], WISH) == 1
    named = entry("a.mp4", source=b"/out/a.mp4")
    assert catalog.batches.add("again", [named], WISH) == 1
    catalog.batches.cancel("again")
    assert ends(catalog)[-1]["jobs"] == 2


def test_an_unknown_job_to_come_after_leaves_no_batch(catalog: Catalog) -> None:
    with pytest.raises(NotFound, match="there is no job 9 to come after"):
        add(catalog, "a.mkv", after=(JobId(9),))
    assert catalog.batches.find() == []
    for ask in (catalog.batches.get, catalog.batches.cancel, catalog.batches.retry):
        with pytest.raises(NotFound, match="there is no batch 'trip'"):
            ask("trip")


def test_a_server_that_ends_amid_an_addition_leaves_a_batch_that_ends(catalog: Catalog) -> None:
    add(catalog, "a.mkv")
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE batches SET holders = 1"))
    work(catalog)
    assert ends(catalog) == []
    catalog.batches.settle()
    assert [told["status"] for told in ends(catalog)] == ["done"]
    catalog.batches.settle()
    assert len(ends(catalog)) == 1


def test_a_large_batch_is_worked_off_in_pieces_and_ends_once(catalog: Catalog) -> None:
    names = [f"{number:04}.mkv" for number in range(1200)]
    assert add(catalog, *names) == 1200
    assert add(catalog, *names) == 0
    catalog.batches.cancel("trip")
    assert catalog.batches.retry("trip") == 1200
    catalog.batches.cancel("trip")
    assert [told["counts"] for told in ends(catalog)] == [{"cancelled": 1200}] * 2


def test_sizes_of_results_from_before_there_were_batches_are_kept(catalog: Catalog) -> None:
    submit(catalog)
    work(catalog, output_bytes=400)
    submit(catalog)
    with catalog.database.write() as connection:
        config = catalog.database.alembic_config(connection)
        command.downgrade(config, "0005")
        command.upgrade(config, "head")
        sizes = connection.scalars(text("SELECT output_bytes FROM jobs ORDER BY id")).all()
    assert sizes == [400, None]


class Killed(BaseException):
    """As the end of a server is: nothing after it runs."""


def test_a_batch_that_was_only_begun_does_not_stay_open_for_ever(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def die(_self: Batches, _batch: int) -> Iterator[None]:
        raise Killed
        yield

    with monkeypatch.context() as patched:
        patched.setattr(Batches, "_held_open", die)
        with pytest.raises(Killed):
            add(catalog, "a.mkv")
    assert catalog.batches.get("trip").jobs == 0
    catalog.batches.settle()
    with pytest.raises(NotFound):
        catalog.batches.get("trip")

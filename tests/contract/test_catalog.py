"""The catalog's promises, on every database it runs on."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fixtures_catalog import (
    WEB,
    beat,
    claim,
    dispatch,
    end,
    plan_report,
    silence,
    start,
    submit,
)
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.catalog.schema import metadata
from darkstream.errors import Conflict, LeaseLost, NotFound
from darkstream.model.base import JobId
from darkstream.model.job import Claim, JobStatus, OutputFile
from darkstream.model.preset import Preset
from darkstream.model.wire import Release


def test_migrations_go_up_down_and_up_and_equal_the_models(catalog: Catalog) -> None:
    database = catalog.database
    with database.write() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        config = database.alembic_config(connection)
        command.downgrade(config, "base")
        command.upgrade(config, "head")
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_catalog_of_an_older_darkstream_is_brought_up_to_date(catalog: Catalog) -> None:
    database = catalog.database
    with database.write() as connection:
        command.downgrade(database.alembic_config(connection), "-1")
    catalog.migrate()
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_two_processes_may_migrate_at_once(catalog_url: str) -> None:
    from darkstream.settings import LeaseSettings

    catalogs = [Catalog(catalog_url, lease=LeaseSettings()) for _ in range(2)]
    threads = [threading.Thread(target=one.migrate) for one in catalogs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert catalogs[0].uuid == catalogs[1].uuid != ""
    for one in catalogs:
        one.close()


def test_a_job_is_claimed_worked_on_and_committed_once(catalog: Catalog) -> None:
    held = start(catalog)
    assert held.source == b"/in/a.mkv"
    assert beat(catalog, held) == (False, False)
    output = OutputFile(path=b"a.mp4", size=10, blake3="b")
    commit = end(held, outputs=[output.model_dump()], presentation=b"a.mp4", output_bytes=10)
    done = catalog.results.commit(held.job, commit)
    assert (done.status, done.outputs, done.attempts) == ("done", ("a.mp4",), 1)
    assert catalog.results.commit(held.job, commit) == done
    events = catalog.outbox.due(limit=10)
    assert [event.payload["status"] for event in events] == ["done"]
    assert catalog.leases.claim(1, "node", "run") is None  # type: ignore[arg-type]


def test_the_size_of_a_single_file_is_known_once_it_was_met(catalog: Catalog) -> None:
    submit(catalog, source_bytes=None)
    held = claim(catalog, dispatch(catalog))
    assert catalog.jobs.get(held.job).source_bytes is None
    done = catalog.results.commit(held.job, end(held, source_bytes=123))
    assert done.source_bytes == 123


def test_a_silent_worker_loses_its_job_to_a_higher_token(catalog: Catalog) -> None:
    late = start(catalog)
    silence(catalog)
    assert catalog.leases.expire() == [late.job]
    newer = claim(catalog, dispatch(catalog))
    assert newer.token > late.token
    assert beat(catalog, late) == (False, True)
    for refused in (
        lambda: catalog.results.commit(late.job, end(late)),
        lambda: catalog.results.report_plan(late.job, plan_report(late)),
        lambda: catalog.results.release(late.job, Release(token=late.token, reason="x")),
    ):
        with pytest.raises(LeaseLost):
            refused()
    assert catalog.results.commit(newer.job, end(newer)).status == "done"


def test_a_job_that_kills_its_workers_ends_as_failed(catalog: Catalog) -> None:
    job = submit(catalog)
    for _ in range(2):
        number = dispatch(catalog)
        claim(catalog, number)
        catalog.dispatches.lose(number, "it was killed")  # type: ignore[arg-type]
    ended = catalog.jobs.get(job)
    assert ended.status == "failed"
    assert "lost 2 times" in ended.reason
    assert catalog.jobs.retry(job).attempts == 0


def test_a_released_job_costs_no_attempt(catalog: Catalog) -> None:
    held = start(catalog)
    catalog.results.release(held.job, Release(token=held.token, reason="shutdown"))
    job = catalog.jobs.get(held.job)
    assert (job.status, job.attempts) == ("queued", 0)


def test_a_starting_server_extends_all_leases(catalog: Catalog) -> None:
    held = start(catalog)
    silence(catalog)
    catalog.leases.extend_all()
    assert catalog.leases.expire() == []
    assert beat(catalog, held) == (False, False)


def test_cancelling(catalog: Catalog) -> None:
    waiting = submit(catalog, "b.mkv")
    assert catalog.jobs.cancel(waiting).status == "cancelled"
    held = start(catalog)
    assert catalog.jobs.cancel(held.job).cancel_requested
    assert beat(catalog, held) == (True, False)
    assert catalog.results.commit(held.job, end(held, "cancelled")).status == "cancelled"
    with pytest.raises(NotFound):
        catalog.jobs.cancel(JobId(999))
    done = start(catalog, "c.mkv")
    catalog.results.commit(done.job, end(done))
    with pytest.raises(Conflict, match="ended already"):
        catalog.jobs.cancel(done.job)


def test_a_worker_hears_that_its_job_was_cancelled_without_it(catalog: Catalog) -> None:
    held = start(catalog)
    catalog.jobs.cancel(held.job)
    catalog.dispatches.lose(1, "its flow run was cancelled in Prefect")  # type: ignore[arg-type]
    assert catalog.jobs.get(held.job).status == "cancelled"
    assert beat(catalog, held) == (True, False)
    with pytest.raises(LeaseLost, match="was cancelled"):
        catalog.results.report_plan(held.job, plan_report(held))
    with pytest.raises(LeaseLost, match="was cancelled"):
        catalog.results.commit(held.job, end(held))
    assert catalog.results.commit(held.job, end(held, "cancelled")).status == "cancelled"
    assert len(catalog.outbox.due(limit=9)) == 1, "its end is told once"
    catalog.jobs.retry(held.job)
    assert beat(catalog, held) == (False, True)
    with pytest.raises(LeaseLost, match="no longer"):
        catalog.results.commit(held.job, end(held, "cancelled"))


def test_a_claim_whose_answer_was_lost_is_given_again(catalog: Catalog) -> None:
    submit(catalog)
    number = dispatch(catalog)

    def ask(name: str, run: str = "run") -> Claim | None:
        return catalog.leases.claim(number, "node", run, asked=name)  # type: ignore[arg-type]

    held = ask("first")
    assert held is not None
    silence(catalog)
    assert ask("first") == held
    assert catalog.jobs.get(held.job).attempts == 1
    assert catalog.leases.expire() == [], "to ask renews the lease"
    assert ask("first", "another run") is None, "the job is not that one's"
    newer = ask("second")
    assert newer is not None and newer.token > held.token, "its process began anew"
    assert beat(catalog, held) == (False, True)
    catalog.results.commit(newer.job, end(newer))
    assert ask("second") is None, "what was claimed is done"
    submit(catalog, "b.mkv")
    catalog.dispatches.end(number)  # type: ignore[arg-type]
    assert ask("second") is None, "the dispatch is over"


def test_no_job_is_claimed_twice(catalog: Catalog) -> None:
    for number in range(200):
        submit(catalog, f"{number}.mkv")
    orders = catalog.dispatches.plan(pool="cpu", window=20, batch_seconds=1e6, live_slots=20)
    assert [len(order.jobs) for order in orders] == [10] * 20
    claimed: list[int] = []

    def work(worker: int) -> None:
        for turn in range(20):
            dispatch = orders[(worker + turn) % 20].id
            while held := catalog.leases.claim(dispatch, "node", f"run-{worker}-{len(claimed)}"):
                claimed.append(held.job)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(claimed).most_common(1)[0][1] == 1
    assert len(claimed) == 200


def test_a_flow_run_that_is_through_adopts_what_nobody_works_on(catalog: Catalog) -> None:
    for number in range(4):
        submit(catalog, f"{number}.mkv")
    orders = catalog.dispatches.plan(pool="cpu", window=2, batch_seconds=1e6, live_slots=4)
    assert [order.jobs for order in orders] == [(1,), (2,)]
    mine, other = (order.id for order in orders)

    def adopt(most_s: float = 60.0) -> int | None:
        found = catalog.leases.claim(mine, "node", f"run-{len(done)}", adopt_s=most_s)
        if found is None:
            return None
        done.append(found.job)
        catalog.results.commit(found.job, end(found))
        return found.job

    done: list[int] = []
    assert adopt(0.0) == 1
    assert adopt(0.0) is None, "it was not asked to go on"
    assert adopt(0.5) is None, "each takes longer than that"
    for changes, waits in (
        ({"priority": 90, "source_bytes": 1 << 40}, "an urgent job that takes long"),
        ({"priority": 90, "pool": "gpu"}, "an urgent job of another pool, maybe of this node"),
        ({"pool": "gpu"}, "a job that waits for the GPU, maybe of this node"),
    ):
        job = submit(catalog, "5.mkv", **changes)
        assert adopt() is None, waits
        catalog.jobs.cancel(job)
    submit(catalog, "8.mkv", priority=10)
    submit(catalog, "9.mkv", priority=10, pool="gpu")
    urgent = submit(catalog, "10.mkv", priority=90)
    assert adopt() == urgent, "an urgent one comes first"
    submit(catalog, "11.mkv", not_before=datetime.now(UTC) + timedelta(hours=1))
    submit(catalog, "12.mkv", flow_run="its own")
    assert [adopt(), adopt(), adopt(), adopt()] == [2, 3, 4, None]
    assert catalog.leases.claim(other, "node", "late") is None
    assert {int(job.id) for job in catalog.jobs.find(status=JobStatus.queued)} == {8, 9, 11}


def test_a_cancelled_flow_run_adopts_nothing(catalog: Catalog) -> None:
    for number in range(2):
        submit(catalog, f"{number}.mkv")
    mine, _ = catalog.dispatches.plan(pool="cpu", window=2, batch_seconds=1e6, live_slots=4)
    claim = catalog.leases.claim(mine.id, "node", "run", adopt_s=60.0)
    assert claim is not None
    catalog.dispatches.cancel(mine.id)
    catalog.results.commit(claim.job, end(claim))
    assert catalog.leases.claim(mine.id, "node", "run", adopt_s=60.0) is None
    catalog.dispatches.cancel(mine.id)
    (other,) = catalog.jobs.find(status=JobStatus.dispatched)
    assert other.id != claim.job


def test_the_pool_of_what_waits_is_chosen_anew(catalog: Catalog) -> None:
    other = Preset(name="other")
    moved = submit(catalog, "a.mkv", pool="gpu")
    kept = submit(catalog, "b.mkv", pool="gpu", preset=other)
    taken = submit(catalog, "c.mkv")
    dispatch(catalog)

    def pools() -> list[str]:
        return [catalog.jobs.get(job).pool for job in (moved, kept, taken)]

    catalog.dispatches.choose_pools("gpu", lambda preset: "cpu" if preset == WEB else "gpu")
    assert pools() == ["cpu", "gpu", "cpu"]
    catalog.dispatches.choose_pools("cpu", lambda _preset: "gpu")
    assert pools() == ["gpu", "gpu", "cpu"], "what is dispatched stays where it is"


def test_urgent_jobs_go_first_and_the_window_is_kept(catalog: Catalog) -> None:
    slow = submit(catalog, "bulk.mkv", priority=5)
    fast = submit(catalog, "urgent.mkv", priority=90)
    orders = catalog.dispatches.plan(pool="cpu", window=1, batch_seconds=1e6, live_slots=9)
    assert [(order.queue, order.jobs) for order in orders] == [("urgent", (fast,))]
    assert catalog.dispatches.plan(pool="cpu", window=1, batch_seconds=1e6, live_slots=9) == []
    assert catalog.jobs.get(slow).status == "queued"


def test_the_same_content_and_plan_is_encoded_once(catalog: Catalog) -> None:
    first = start(catalog, "a.mkv")
    assert catalog.results.report_plan(first.job, plan_report(first)).action == "encode"
    second = start(catalog, "b.mkv")
    waiting = catalog.results.report_plan(second.job, plan_report(second))
    assert (waiting.action, waiting.job) == ("wait", first.job)
    assert catalog.dispatches.plan(pool="cpu", window=99, batch_seconds=1, live_slots=1) == []
    output = OutputFile(path=b"a.mp4", size=10, blake3="b")
    commit = end(first, outputs=[output.model_dump()], presentation=b"a.mp4")
    key = plan_report(first).key
    catalog.results.commit(first.job, commit.model_copy(update={"key": key}))
    again = claim(catalog, dispatch(catalog))
    reuse = catalog.results.report_plan(again.job, plan_report(again))
    assert (reuse.action, reuse.job, reuse.outputs) == ("reuse", first.job, (output,))
    refused = plan_report(again, refused=(first.job,))
    assert catalog.results.report_plan(again.job, refused).action == "encode"


def test_an_event_is_due_until_it_is_delivered(catalog: Catalog) -> None:
    catalog.outbox.add("test", {"a": 1})
    (event,) = catalog.outbox.due(limit=9)
    catalog.outbox.failed(event.id, "refused")
    assert catalog.outbox.due(limit=9) == []
    catalog.outbox.delivered(event.id)
    assert event.payload == {"a": 1}


def test_events_that_are_over_are_forgotten_after_a_month(catalog: Catalog) -> None:
    held = start(catalog)
    catalog.results.commit(held.job, end(held))
    for number in range(3):
        catalog.outbox.add("test", {"number": number})
    told, *others = catalog.outbox.due(limit=9)
    catalog.outbox.delivered(told.id)
    assert catalog.outbox.prune(limit=9) == 0
    with catalog.database.write() as connection:
        for column in ("outbox SET created = created", "jobs SET ended = ended"):
            connection.execute(text(f"UPDATE {column} - 31 * 86400"))
    assert catalog.outbox.prune(limit=9) == 1, "what is due is still to be told"
    for event in others:
        catalog.outbox.failed(event.id, "nobody listens")
    assert [catalog.outbox.prune(limit=2), catalog.outbox.prune(limit=2)] == [2, 1]
    assert catalog.outbox.due(limit=9) == []


def test_who_waits_for_an_encode_that_was_lost_does_it_himself(catalog: Catalog) -> None:
    first = start(catalog, "a.mkv")
    catalog.results.report_plan(first.job, plan_report(first))
    second = start(catalog, "b.mkv")
    assert catalog.results.report_plan(second.job, plan_report(second)).action == "wait"
    catalog.jobs.prioritise(second.job, 100)
    silence(catalog)
    assert catalog.leases.expire() == [first.job]
    number = dispatch(catalog)
    again = claim(catalog, number)
    assert again.job == second.job, "it is the more urgent"
    assert catalog.results.report_plan(again.job, plan_report(again)).action == "encode"
    late = claim(catalog, number + 1)
    waiting = catalog.results.report_plan(late.job, plan_report(late))
    assert (waiting.action, waiting.job) == ("wait", second.job)


def _later(catalog: Catalog, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real = catalog.database.now
    monkeypatch.setattr(catalog.database, "now", lambda connection: real(connection) + seconds)


def test_after_a_sleep_of_the_machine_nobody_is_taken_for_lost(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = start(catalog)
    assert catalog.leases.expire() == []
    _later(catalog, 3600, monkeypatch)
    assert catalog.leases.expire() == []
    assert beat(catalog, held) == (False, False)
    silence(catalog)
    assert catalog.leases.expire() == [held.job], "but one who stays silent is"


def test_what_tools_say_may_hold_any_character(catalog: Catalog) -> None:
    """PostgreSQL's text holds no NUL: a job must end all the same."""
    held = start(catalog)
    commit = end(held, "failed", reason="a\0b", log="c\0d", command="ffmpeg '\0'")
    assert catalog.results.commit(held.job, commit).reason == "a\ufffdb"
    assert "c\ufffdd" in catalog.jobs.log(held.job)
    held = start(catalog, "b.mkv")
    catalog.results.release(held.job, Release(token=held.token, reason="\0"))
    assert catalog.jobs.get(held.job).reason == "\ufffd"


def test_long_names_of_nodes_and_flow_runs_are_kept(catalog: Catalog) -> None:
    submit(catalog)
    number = dispatch(catalog)
    name = "n" * 300
    assert catalog.leases.claim(number, name, name)  # type: ignore[arg-type]
    assert catalog.jobs.get(JobId(1)).node == name


def test_writers_take_turns(catalog: Catalog) -> None:
    """A thread that writes again and again lets others write in between."""
    rounds, stop = 0, threading.Event()

    def write_on_and_on() -> None:
        nonlocal rounds
        while not stop.is_set():
            with catalog.database.write():
                rounds += 1

    thread = threading.Thread(target=write_on_and_on)
    thread.start()
    try:
        while rounds < 5:
            stop.wait(0.001)
        passed = []
        for _ in range(20):
            asked = rounds
            with catalog.database.write():
                passed.append(rounds - asked)
        # The median: a machine under load may stop this thread before it has asked.
        assert sorted(passed)[10] <= 3, passed
    finally:
        stop.set()
        thread.join()

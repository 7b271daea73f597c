"""The catalog's promises, on every database it runs on."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from darkstream.catalog import Catalog
from darkstream.catalog.schema import metadata
from darkstream.errors import Conflict, LeaseLost, NotFound
from darkstream.model.base import ContentId, Fingerprint, JobId, ScanId
from darkstream.model.job import Claim, ContentKey, JobStatus, Outcome, OutputFile
from darkstream.model.library import (
    MEDIA_PATTERNS,
    DirectoryListing,
    Entry,
    SampledFile,
    ScanSummary,
)
from darkstream.model.preset import Preset
from darkstream.model.source import ChangeHint
from darkstream.model.wire import (
    Commit,
    FileToPublish,
    Heartbeat,
    LeaseReport,
    Listings,
    PlanReport,
    Release,
    SampledFiles,
    ScanKeepAlive,
    StartScan,
    TargetRequest,
)

WEB = Preset(name="web")


def submit(catalog: Catalog, name: str = "a.mkv", **changes: object) -> JobId:
    values: dict[str, object] = {
        "source": f"/in/{name}".encode(),
        "relative": name.encode(),
        "destination": b"/out",
        "preset": WEB,
        "source_bytes": 1000,
    }
    return catalog.jobs.submit(**(values | changes)).id  # type: ignore[arg-type]


def dispatch(catalog: Catalog, **changes: object) -> int:
    values: dict[str, object] = {
        "pool": "cpu",
        "window": 100,
        "batch_seconds": 1000.0,
        "live_slots": 1,
    }
    orders = catalog.dispatches.plan(**(values | changes))  # type: ignore[arg-type]
    for order in orders:
        catalog.dispatches.bind(order.id, f"run-{order.id}")
    return orders[0].id


def claim(catalog: Catalog, number: int) -> Claim:
    claimed = catalog.leases.claim(number, "node", f"run-{number}")  # type: ignore[arg-type]
    assert claimed is not None
    return claimed


def start(catalog: Catalog, name: str = "a.mkv") -> Claim:
    submit(catalog, name)
    return claim(catalog, dispatch(catalog))


def beat(catalog: Catalog, held: Claim) -> tuple[bool, bool]:
    lease = LeaseReport(job=held.job, token=held.token)
    answer = catalog.leases.beat(Heartbeat(node="node", leases=(lease,)))  # type: ignore[arg-type]
    return held.job in answer.cancel, held.job in answer.lost


def end(held: Claim, status: str = "done", **changes: object) -> Commit:
    values: dict[str, object] = {"status": status, "decision": "convert", "reason": "because"}
    return Commit(token=held.token, outcome=Outcome.model_validate(values | changes))


def silence(catalog: Catalog) -> None:
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE jobs SET lease_until = 0 WHERE lease_until IS NOT NULL"))


def plan_report(held: Claim, **changes: object) -> PlanReport:
    key = ContentKey(content=ContentId("c" * 64), fingerprint=Fingerprint("f" * 64))
    values = {"token": held.token, "key": key, "sample": "s", "size": 1, "media": {}, "plan": {}}
    return PlanReport.model_validate(values | changes)


def test_migrations_go_up_down_and_up_and_equal_the_models(catalog: Catalog) -> None:
    database = catalog.database
    with database.write() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        config = database.alembic_config(connection)
        command.downgrade(config, "base")
        command.upgrade(config, "head")
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


def test_no_job_is_claimed_twice(catalog: Catalog) -> None:
    for number in range(200):
        submit(catalog, f"{number}.mkv")
    orders = catalog.dispatches.plan(pool="cpu", window=20, batch_seconds=1e6, live_slots=10)
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


def test_two_sources_never_get_one_name(catalog: Catalog) -> None:
    wanted = FileToPublish(candidates=(b"a.mp4", b"a.mkv.mp4"), size=1, blake3="1")

    def reserve(held: Claim, blake3: str) -> tuple[bytes, str | None]:
        file = wanted.model_copy(update={"blake3": blake3})
        request = TargetRequest(token=held.token, files=(file,))
        (target,) = catalog.results.reserve_targets(held.job, request)
        return target.path, target.replaces

    first, second = start(catalog, "a.mkv"), start(catalog, "a.avi")
    assert reserve(first, "1") == (b"a.mp4", None)
    assert reserve(second, "2") == (b"a.mkv.mp4", None)
    catalog.results.commit(first.job, end(first))
    newer = start(catalog, "a.mkv")
    assert reserve(newer, "3") == (b"a.mp4", "1")
    third = start(catalog, "a.ts")
    with pytest.raises(Conflict):
        reserve(third, "4")


def test_a_refused_name_is_never_taken_for_our_own_later(catalog: Catalog) -> None:
    """The name may be the original's, beside which the result goes."""
    held = start(catalog, "a.mp4")
    wanted = FileToPublish(candidates=(b"a.mp4", b"a.mp4.mp4"), size=1, blake3="the original")

    def reserve(*refused: bytes) -> tuple[bytes, str | None]:
        file = wanted.model_copy(update={"refused": refused})
        request = TargetRequest(token=held.token, files=(file,))
        (target,) = catalog.results.reserve_targets(held.job, request)
        return target.path, target.replaces

    assert reserve() == (b"a.mp4", None)
    assert reserve(b"a.mp4") == (b"a.mp4.mp4", None)
    assert reserve() == (b"a.mp4", None)


def hint(number: int = 1) -> ChangeHint:
    return ChangeHint(size=number, mtime_ns=number, ctime_ns=number, inode=number)


def library(catalog: Catalog, **changes: object) -> None:
    values: dict[str, object] = {
        "name": "films",
        "root": b"/in",
        "destination": b"/out",
        "preset": WEB,
        "include": MEDIA_PATTERNS,
        "replace": True,
    }
    catalog.libraries.add(**(values | changes))  # type: ignore[arg-type]


def walk(
    catalog: Catalog, names: dict[bytes, tuple[int, str]], content: str | None = None
) -> tuple[ScanId, list[bytes]]:
    """A whole scan of one directory; returns the candidates it had."""
    scan = catalog.scans.start("films", StartScan()).id
    order = catalog.scans.order(scan, ScanKeepAlive(node="node"))  # type: ignore[arg-type]
    digest = str(sorted(names.items()))
    candidates: list[bytes] = []
    if digest not in {one.digest for one in order.directories}:
        entries = tuple(Entry(name=n, hint=hint(size)) for n, (size, _) in sorted(names.items()))
        listing = DirectoryListing(path=b"", digest=digest, entries=entries)
        found = catalog.scans.list_directories(scan, Listings(directories=(listing,)))
        candidates = [one.path for one in found]
        files = [
            SampledFile(path=path, hint=hint(names[path][0]), sample=names[path][1])
            for path in candidates
        ]
        wanted = catalog.scans.add_files(scan, SampledFiles(files=tuple(files)), pool="cpu")
        hashed = [
            one.model_copy(update={"content": content}) for one in files if one.path in wanted
        ]
        catalog.scans.add_files(scan, SampledFiles(files=tuple(hashed)), pool="cpu")
    summary = ScanSummary(met=len(names), ignored=0, unchanged=0, wall_s=0)
    catalog.scans.finish(scan, summary)
    return scan, candidates


def work_all(catalog: Catalog, content: str | None = None) -> int:
    count = 0
    while catalog.jobs.find(status=JobStatus.queued):
        number = dispatch(catalog, window=1)
        while held := catalog.leases.claim(number, "node", "run"):  # type: ignore[arg-type]
            commit = end(held).model_copy(update={"content": content})
            catalog.results.commit(held.job, commit)
            count += 1
        catalog.dispatches.end(number)  # type: ignore[arg-type]
    return count


def test_a_rescan_asks_only_for_what_changed(catalog: Catalog) -> None:
    library(catalog)
    scan, found = walk(catalog, {b"a.mkv": (1, "s1"), b"b.mkv": (2, "s2")})
    assert found == [b"a.mkv", b"b.mkv"]
    assert work_all(catalog) == 2
    assert catalog.scans.get(scan).jobs_ended == 2
    assert [event.type for event in catalog.outbox.due(limit=9)].count("scan.ended") == 1
    assert walk(catalog, {b"a.mkv": (1, "s1"), b"b.mkv": (2, "s2")})[1] == []
    scan, found = walk(catalog, {b"a.mkv": (1, "s1"), b"b.mkv": (3, "s3")})
    assert found == [b"b.mkv"]
    assert work_all(catalog) == 1
    lines = list(catalog.scans.report(scan))
    assert [(line.source, line.status) for line in lines] == [("a.mkv", "done"), ("b.mkv", "done")]


def test_a_renamed_file_is_recognised_and_a_changed_wish_is_not_forgotten(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, {b"a.mkv": (1, "s1")})
    assert work_all(catalog, "c" * 64) == 1
    walk(catalog, {b"z.mkv": (1, "s1")}, content="c" * 64)
    assert work_all(catalog) == 0
    assert [one.path for one in catalog.libraries.files("films", after=None, limit=9)] == ["z.mkv"]
    library(catalog, preset=Preset(name="mobile"))
    walk(catalog, {b"z.mkv": (1, "s1")})
    assert work_all(catalog) == 1


def test_a_touched_file_of_the_same_sample_makes_no_job(catalog: Catalog) -> None:
    library(catalog)
    walk(catalog, {b"a.mkv": (1, "s1")})
    work_all(catalog)
    scan = catalog.scans.start("films", StartScan()).id
    catalog.scans.order(scan, ScanKeepAlive(node="node"))  # type: ignore[arg-type]
    touched = hint(1).model_copy(update={"mtime_ns": 99})
    listing = DirectoryListing(path=b"", digest="x", entries=(Entry(name=b"a.mkv", hint=touched),))
    (found,) = catalog.scans.list_directories(scan, Listings(directories=(listing,)))
    assert found.sample == "s1"
    file = SampledFile(path=b"a.mkv", hint=touched, sample="s1")
    assert catalog.scans.add_files(scan, SampledFiles(files=(file,)), pool="cpu") == ()
    assert catalog.scans.get(scan).jobs == 0


def test_a_silent_scan_is_walked_again_and_one_runs_at_a_time(catalog: Catalog) -> None:
    library(catalog)
    scan = catalog.scans.start("films", StartScan()).id
    with pytest.raises(Conflict, match="already"):
        catalog.scans.start("films", StartScan())
    alive = ScanKeepAlive(node="node")  # type: ignore[arg-type]
    catalog.scans.order(scan, alive)
    assert catalog.scans.alive(scan, alive)
    for _ in range(3):
        with catalog.database.write() as connection:
            connection.execute(text("UPDATE scans SET seen = 0, status = 'running'"))
        catalog.scans.expire()
    assert catalog.scans.get(scan).status == "failed"
    assert not catalog.scans.alive(scan, alive)
    with pytest.raises(NotFound):
        catalog.scans.start("none", StartScan())


def test_an_event_is_due_until_it_is_delivered(catalog: Catalog) -> None:
    catalog.outbox.add("test", {"a": 1})
    (event,) = catalog.outbox.due(limit=9)
    catalog.outbox.failed(event.id, "refused")
    assert catalog.outbox.due(limit=9) == []
    catalog.outbox.delivered(event.id)
    assert event.payload == {"a": 1}

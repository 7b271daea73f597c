"""Catalogs on both databases, SQLite in a file and PostgreSQL in a cluster of our own; what is done
with them."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from darkstream.catalog import Catalog
from darkstream.model.base import ContentId, Fingerprint, JobId, ScanId
from darkstream.model.job import Claim, ContentKey, JobStatus, Outcome
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
    Heartbeat,
    LeaseReport,
    Listings,
    PlanReport,
    SampledFiles,
    ScanKeepAlive,
    StartScan,
)
from darkstream.settings import LeaseSettings


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL of our own on loopback, gone at the end."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        reason = "needs PostgreSQL's server: install Debian's package postgresql"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="darkstream-postgres-"))
    drop = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        user = pwd.getpwnam("nobody")
        os.chown(directory, user.pw_uid, user.pw_gid)
        drop = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = directory / "data"
    log = subprocess.DEVNULL
    subprocess.run(
        [*drop, initdb, "-D", data, "-A", "trust", "-U", "darkstream", "-N"],
        check=True,
        cwd=directory,
        stdout=log,
    )
    control = os.path.join(os.path.dirname(os.path.realpath(initdb)), "pg_ctl")
    options = f"-p {port} -h 127.0.0.1 -k {directory} -c fsync=off"
    subprocess.run(
        [*drop, control, "-D", data, "-w", "-o", options, "-l", directory / "log", "start"],
        check=True,
        cwd=directory,
        stdout=log,
    )
    try:
        yield f"postgresql://darkstream@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [*drop, control, "-D", data, "-m", "immediate", "stop"],
            check=True,
            cwd=directory,
            stdout=log,
        )
        shutil.rmtree(directory)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    url: str = request.getfixturevalue("postgres_url")
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database without rows, to be copied."""
    path = tmp_path_factory.mktemp("template") / "catalog.db"
    made = Catalog(f"sqlite:///{path}", lease=LeaseSettings())
    made.migrate()
    with made.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    made.close()
    return path


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """A migrated catalog; its invariants are checked at the end."""
    opened = Catalog(catalog_url, lease=LeaseSettings(max_attempts=2))
    opened.migrate()
    yield opened
    assert opened.check() == []
    opened.close()


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
    catalog: Catalog,
    names: dict[bytes, tuple[int, str]],
    content: str | None = None,
    *,
    growing: tuple[bytes, ...] = (),
) -> tuple[ScanId, list[bytes]]:
    """A whole scan, as a worker does it; returns the candidates it had."""
    scan = catalog.scans.start("films", StartScan()).id
    order = catalog.scans.order(scan, ScanKeepAlive(node="node"))  # type: ignore[arg-type]
    known = {one.path: one.digest for one in order.directories}
    candidates: list[bytes] = []
    for directory in sorted({b"", *map(os.path.dirname, names)}):
        here = {name: names[name] for name in names if os.path.dirname(name) == directory}
        digest = f"{hash(tuple(sorted(here.items())))}"
        if known.pop(directory, None) != digest:
            candidates += _send(catalog, scan, directory, digest, here, content, growing)
    summary = ScanSummary(
        met=len(names), ignored=0, unchanged=0, vanished_directories=tuple(known), wall_s=0
    )
    catalog.scans.finish(scan, summary)
    return scan, candidates


def _send(
    catalog: Catalog,
    scan: ScanId,
    directory: bytes,
    digest: str,
    names: dict[bytes, tuple[int, str]],
    content: str | None,
    growing: tuple[bytes, ...],
) -> list[bytes]:
    entries = tuple(
        Entry(name=os.path.basename(n), hint=hint(size)) for n, (size, _) in sorted(names.items())
    )
    listing = DirectoryListing(path=directory, digest=digest, entries=entries)
    found = catalog.scans.list_directories(scan, Listings(directories=(listing,)))
    candidates = [one.path for one in found]
    files = [
        SampledFile(path=path, hint=hint(names[path][0]), sample=names[path][1])
        for path in candidates
        if path not in growing
    ]
    wanted = catalog.scans.add_files(scan, SampledFiles(files=tuple(files)), pool="cpu")
    hashed = [one.model_copy(update={"content": content}) for one in files if one.path in wanted]
    catalog.scans.add_files(scan, SampledFiles(files=tuple(hashed)), pool="cpu")
    return candidates


def work_all(catalog: Catalog, content: str | None = None) -> int:
    count = 0
    while catalog.jobs.find(status=JobStatus.queued):
        number = dispatch(catalog, window=1 + len(catalog.dispatches.unfinished()))
        while held := catalog.leases.claim(number, "node", "run"):  # type: ignore[arg-type]
            commit = end(held).model_copy(update={"content": content})
            catalog.results.commit(held.job, commit)
            count += 1
        catalog.dispatches.end(number)  # type: ignore[arg-type]
    return count

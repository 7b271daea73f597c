"""Catalogs on both databases: SQLite in a file, PostgreSQL in a private cluster."""

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


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """A migrated catalog; its invariants are checked at the end."""
    opened = Catalog(catalog_url, lease=LeaseSettings(max_attempts=2))
    opened.migrate()
    yield opened
    assert opened.check() == []
    opened.close()

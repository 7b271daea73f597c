"""A new database of Prefect's is what its own migrations make, and whole or empty at any moment."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from prefect_migrations import dump, migrate

from darkstream.server.prefect_schema import create_schema, read_schema

_NEVER_ENDS = """
INSERT INTO alembic_version WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)
SELECT i FROM n WHERE i > 1;
"""
_CREATE = """
import sys
from pathlib import Path
from darkstream.server.prefect_schema import create_schema
create_schema(Path(sys.argv[1]), sys.stdin.read())
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `create_schema` makes of no file."""
    database = tmp_path_factory.mktemp("whole") / "prefect.db"
    assert create_schema(database, read_schema())
    return dump(database)


def test_it_is_what_the_migrations_make(tmp_path: Path, whole: str) -> None:
    migrate(tmp_path / "prefect.db")
    assert dump(tmp_path / "prefect.db") == whole, "run `make prefect-schema`"


def test_prefect_finds_nothing_to_migrate(tmp_path: Path, whole: str) -> None:
    database = tmp_path / "prefect.db"
    create_schema(database, read_schema())
    migrate(database)
    assert dump(database) == whole


def test_a_killed_process_leaves_nothing_half_made(tmp_path: Path, whole: str) -> None:
    database = tmp_path / "prefect.db"
    with subprocess.Popen(
        [sys.executable, "-c", _CREATE, str(database)], stdin=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(read_schema() + _NEVER_ENDS)
        process.stdin.close()
        _wait_for_writer(database)
        process.send_signal(signal.SIGKILL)
    assert create_schema(database, read_schema())
    assert dump(database) == whole


def _wait_for_writer(database: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if database.exists():
            with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    return
        time.sleep(0.01)
    pytest.fail("nobody wrote")


def test_of_several_that_begin_at_once_one_makes_it(tmp_path: Path, whole: str) -> None:
    database, barrier = tmp_path / "prefect.db", Barrier(8)

    def create(_number: int) -> bool:
        barrier.wait()
        return create_schema(database, read_schema())

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(create, range(8))) == [False] * 7 + [True]
    assert dump(database) == whole


def test_a_database_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
    before = (database.read_bytes(), os.stat(database).st_mtime_ns)
    assert not create_schema(database, read_schema())
    assert (database.read_bytes(), os.stat(database).st_mtime_ns) == before


def test_a_prefect_that_does_not_know_the_revision_migrates_by_itself(tmp_path: Path) -> None:
    unknown = "CREATE TABLE t (i);\nINSERT INTO alembic_version VALUES('000000000000');\n"
    assert not create_schema(tmp_path / "prefect.db", unknown)
    assert not (tmp_path / "prefect.db").exists()

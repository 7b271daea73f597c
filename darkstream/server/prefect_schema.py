"""The schema of a new database of Prefect's, made at once.

A hundred migrations make it in seconds of CPU; what they leave of an empty file is always the same
and has no row but Alembic's own. `prefect_schema.sql` holds it, written by `make prefect-schema`
and held against the migrations themselves by tests/contract. Later ones follow as ever: Prefect
sees a database that is at the revision it names.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

_MIGRATIONS = Path("server", "database", "_migrations", "versions", "sqlite")
_REVISION = re.compile(r"INSERT INTO alembic_version VALUES\('(\w+)'\)")
_WAIT_S = 60.0


def read_schema() -> str:
    """The statements, each ended by a semicolon and a new line."""
    return files("darkstream.server").joinpath("prefect_schema.sql").read_text("utf-8")


def create_schema(database: Path, schema: str) -> bool:
    """Make the schema in a file that is new or empty; whether it did.

    It is one transaction of SQLite's: a process that dies in it leaves an empty file, and of
    several that begin at once one makes it. A file that holds any table is left as it is, and so is
    one of a Prefect that does not know the revision: its own migrations go on from there.
    """
    if not _is_known(schema):
        return False
    with closing(sqlite3.connect(database, timeout=_WAIT_S, isolation_level=None)) as connection:
        if not _is_empty(connection):
            return False
        connection.execute("BEGIN IMMEDIATE")
        if not _is_empty(connection):
            return False
        for statement in _split(schema):
            connection.execute(statement)
        connection.execute("COMMIT")
    return True


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def _is_known(schema: str) -> bool:
    """Whether the Prefect that is installed has the migration that the schema ends with."""
    revision, prefect = _REVISION.search(schema), find_spec("prefect")
    if revision is None or prefect is None or prefect.origin is None:
        return False
    migrations = Path(prefect.origin).parent / _MIGRATIONS
    return any(migrations.glob(f"*_{revision[1]}_*.py"))


def _split(schema: str) -> Iterator[str]:
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""

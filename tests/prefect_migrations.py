"""What Prefect's own migrations make of an empty database.

Run as a program, it prints that as SQL: `make prefect-schema`.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

_MIGRATE = """
import asyncio
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
"""
_CONSTRAINT = re.compile(r"\s+(CONSTRAINT|PRIMARY KEY|FOREIGN KEY|UNIQUE|CHECK)\b")
_ORDER = {"table": 0, "index": 1, "trigger": 2, "view": 3}


def migrate(database: Path) -> None:
    """Run Prefect's migrations in a process of their own, as its server does at its start."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    own = {
        "PREFECT_HOME": str(database.parent),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "DO_NOT_TRACK": "1",
    }
    subprocess.run([sys.executable, "-c", _MIGRATE], env=kept | own, check=True)


def dump(database: Path) -> str:
    """All that is in it, as statements in an order of their own."""
    with closing(sqlite3.connect(database)) as connection:
        made = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        ).fetchall()
        made.sort(key=lambda each: (_ORDER[each[0]], each[1]))
        rows = sorted(line for line in connection.iterdump() if line.startswith("INSERT"))
    statements = [_tidy(sql) + ";" for _, _, sql in made]
    return "\n".join([*statements, *(row.replace('"', "", 2) for row in rows), ""])


def _tidy(sql: str) -> str:
    """The statement with its constraints in one order: Alembic takes them from a set."""
    lines = [line.rstrip() for line in sql.strip().splitlines()]
    places = [place for place, line in enumerate(lines) if _CONSTRAINT.match(line)]
    constraints = sorted(lines[place].rstrip(",") for place in places)
    for place, constraint in zip(places, constraints, strict=True):
        lines[place] = constraint + ("," if lines[place].endswith(",") else "")
    return "\n".join(lines)


def main() -> None:
    """Print the statements, and whose they are."""
    with tempfile.TemporaryDirectory() as home:
        database = Path(home) / "prefect.db"
        migrate(database)
        statements = dump(database)
    print(f"-- Made by the migrations of Prefect {version('prefect')} (Apache License 2.0).")  # noqa: T201
    print(statements, end="")  # noqa: T201


if __name__ == "__main__":
    main()

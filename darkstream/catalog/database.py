"""One database, SQLite or PostgreSQL: connections, transactions, its clock, its schema."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from darkstream.catalog.schema import meta
from darkstream.errors import SettingsError

PIECE = 500
"""Rows of one transaction where there may be 100,000: workers must be heard meanwhile."""

MIGRATIONS = Path(__file__).parent / "migrations"
_TAKE_TURN = text("SELECT pg_advisory_xact_lock(1684107883)")  # 'dark'


class Database:
    """Short transactions on one database; thread-safe.

    Writers follow one another on both databases, so that none decides on what another changes:
    SQLite can do no other, and on PostgreSQL an advisory lock buys the same. SQLite runs in WAL
    mode with `synchronous=NORMAL`: a commit survives the end of the process, however it ends; a
    power cut may take the last ones, never the database's integrity.
    """

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
        except ArgumentError as error:
            raise SettingsError("DARKSTREAM_CATALOG__URL is no database URL") from error
        if self.url.drivername in {"postgresql", "postgres"}:
            self.url = self.url.set(drivername="postgresql+psycopg")
        if self.url.get_backend_name() not in {"sqlite", "postgresql"}:
            raise SettingsError("DARKSTREAM_CATALOG__URL: only sqlite and postgresql are supported")
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = create_engine(self.url, pool_pre_ping=not self.is_sqlite)
        if self.is_sqlite:
            _tune_sqlite(self.engine)
        self._turn = threading.Lock()
        self._next = threading.Lock()
        self._clock = text(
            "SELECT (julianday('now') - 2440587.5) * 86400.0"
            if self.is_sqlite
            else "SELECT extract(epoch FROM clock_timestamp())::double precision"
        )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that may write; no other one runs meanwhile, in any process."""
        # SQLite's own waiting is a poll that starves; threads of one process queue up here.
        with (
            self._in_turn(),
            self.engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            if not self.is_sqlite:
                connection.execute(_TAKE_TURN)
            yield connection

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Hold the turn; whoever comes again at once waits behind the thread that is next."""
        with self._next:
            self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def now(self, connection: Connection) -> float:
        """Seconds since the epoch by the database's clock."""
        return float(connection.execute(self._clock).scalar_one())

    def migrate(self) -> str:
        """Bring the schema up to date, one process at a time; returns the catalog's uuid."""
        if self.is_sqlite:
            _enable_wal(self.engine)
        with self.write() as connection:
            if _revision(connection) != _newest_revision():
                from alembic import command

                command.upgrade(self.alembic_config(connection), "head")
            return _uuid(connection)

    def alembic_config(self, connection: Connection) -> Any:  # noqa: ANN401 - alembic is untyped here
        """Alembic's configuration for this connection."""
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        return config

    def has_schema(self) -> bool:
        """Whether the tables are there."""
        try:
            return inspect(self.engine).has_table("jobs")
        except OperationalError:
            return False

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _enable_wal(engine: Engine) -> None:
    """Switch the file to WAL, once for all; the switch does not wait for others by itself."""
    import stamina

    @stamina.retry(
        on=_is_locked,
        attempts=None,
        timeout=30.0,
        wait_initial=0.05,
    )
    def switch() -> None:
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()

    switch()


def _revision(connection: Connection) -> str | None:
    """What Alembic noted last; asked for here, since importing Alembic takes a quarter second."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _newest_revision() -> str:
    """The number that the last file of the migrations begins with."""
    return max(path.name for path in MIGRATIONS.glob("versions/[0-9]*.py")).partition("_")[0]


def _is_locked(error: Exception) -> bool:
    refused = (OperationalError, sqlite3.OperationalError)
    return isinstance(error, refused) and "locked" in str(error)


def _uuid(connection: Connection) -> str:
    found = connection.scalar(select(meta.c.value).where(meta.c.key == "uuid"))
    if found is None:
        found = str(uuid.uuid4())
        connection.execute(insert(meta).values(key="uuid", value=found))
    return str(found)


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
        # SQLAlchemy's begin event below opens transactions; the driver must not.
        connection.isolation_level = None
        for pragma in (
            "busy_timeout=30000",
            "synchronous=NORMAL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: an upgrade from reader to writer could not wait for it.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

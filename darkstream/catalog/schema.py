"""The tables; times are seconds since the epoch by the database's clock, paths are bytes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from darkstream.catalog.words import Words

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_AGEING_S = 600.0
"""Waiting this long counts as one point of priority more, so that bulk is not starved."""


def turn(priority: Any, since: Any) -> Any:  # noqa: ANN401 - numbers, or columns of them
    """Where a job stands in its queue, the least first; it need not change as time goes by."""
    return since - priority * _AGEING_S


def _turn(context: Any) -> float:  # noqa: ANN401 - the row that is being inserted
    row = context.get_current_parameters()
    return float(turn(row["priority"], row["created"]))


# SQLite numbers rows by itself only where the key is an INTEGER.
_Id = BigInteger().with_variant(Integer(), "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

libraries = Table(
    "libraries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("root", LargeBinary, nullable=False),
    Column("destination", LargeBinary, nullable=False),
    Column("preset", Text, nullable=False),
    Column("preset_name", String(64), nullable=False),
    Column("include", Text, nullable=False),
    Column("exclude", Text, nullable=False),
    Column("schedule", Words),
    Column("priority", Integer, nullable=False),
    Column("created", Double, nullable=False),
)

directories = Table(
    "directories",
    metadata,
    Column("library_id", ForeignKey("libraries.id", ondelete="CASCADE"), primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("digest", String(64), nullable=False),
)

scans = Table(
    "scans",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("library_id", ForeignKey("libraries.id", ondelete="CASCADE"), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("dry_run", Boolean, nullable=False),
    Column("check_outputs", Boolean, nullable=False),
    Column("created", Double, nullable=False),
    Column("ended", Double),
    Column("seen", Double),
    Column("node", Words),
    Column("flow_run", Words, index=True),
    Column("reason", Words, nullable=False, default=""),
    Column("met", Integer, nullable=False, default=0),
    Column("ignored", Integer, nullable=False, default=0),
    Column("unchanged", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("pool", String(16)),
    Column("announced", Boolean, nullable=False, default=False),
)

scan_lines = Table(
    "scan_lines",
    metadata,
    Column("scan_id", ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("line", Text, nullable=False),
)

scan_directories = Table(
    "scan_directories",
    metadata,
    Column("scan_id", ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("digest", String(64), nullable=False),
)

# Files of listed directories that were not recorded yet: such a directory is not known.
scan_candidates = Table(
    "scan_candidates",
    metadata,
    Column("scan_id", ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("directory", LargeBinary, nullable=False),
    Index("ix_scan_candidates_scan_directory", "scan_id", "directory"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("status", String(16), nullable=False),
    Column("source", LargeBinary, nullable=False),
    Column("relative", LargeBinary, nullable=False),
    Column("destination", LargeBinary, nullable=False),
    Column("preset", Text, nullable=False),
    Column("preset_name", String(64), nullable=False),
    Column("library_id", ForeignKey("libraries.id", ondelete="SET NULL"), index=True),
    Column("scan_id", ForeignKey("scans.id", ondelete="SET NULL")),
    Column("pool", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("turn", Double, nullable=False, default=_turn),
    Column("cost_s", Double, nullable=False),
    Column("created", Double, nullable=False),
    Column("not_before", Double),
    Column("started", Double),
    Column("ended", Double),
    Column("attempts", Integer, nullable=False, default=0),
    Column("token", Integer, nullable=False, default=0),
    Column("committed_token", Integer),
    Column("lease_until", Double),
    Column("node", Words),
    Column("flow_run", Words),
    Column("dispatch_id", _Id, index=True),
    Column("blocked_by", _Id),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("source_bytes", BigInteger),
    Column("content", String(64)),
    Column("decision", String(16)),
    Column("reason", Words, nullable=False, default=""),
    Column("outcome", Text),
    Column("media", Text),
    Column("plan", Text),
    Column("log", Words, nullable=False, default=""),
    Index("ix_jobs_queue", "status", "pool", "turn"),
    Index("ix_jobs_scan_status", "scan_id", "status"),
)

files = Table(
    "files",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("library_id", ForeignKey("libraries.id", ondelete="CASCADE"), nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("directory", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("sample", String(64), nullable=False),
    Column("content", String(64)),
    Column("job_id", ForeignKey("jobs.id", ondelete="SET NULL"), index=True),
    Column("stale", Boolean, nullable=False, default=False),
    Column("gone", Boolean, nullable=False, default=False),
    UniqueConstraint("library_id", "path"),
    Index("ix_files_library_directory", "library_id", "directory"),
    Index("ix_files_size_sample", "size", "sample"),
)

dispatches = Table(
    "dispatches",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("pool", String(16), nullable=False),
    Column("queue", String(16), nullable=False),
    Column("flow_run", Words, index=True),
    Column("created", Double, nullable=False),
    Column("heard", Double, nullable=False),
    Column("own_job", Boolean, nullable=False, default=False),
    Column("ended", Double, index=True),
    # Which claim was asked for last: asked for again, it is given again.
    Column("asked", String(64)),
)

results = Table(
    "results",
    metadata,
    Column("content", String(64), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("done", Boolean, nullable=False),
)

targets = Table(
    "targets",
    metadata,
    Column("destination", LargeBinary, primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("token", Integer, nullable=False),
    Column("source", LargeBinary, nullable=False),
    Column("place", LargeBinary, nullable=False, index=True),
    # Any of these may be on disk: what was committed last, and (blake3s with spaces between them)
    # what attempts since then reserved the name for.
    Column("published", String(64)),
    Column("offered", Text, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", Words, primary_key=True),
    Column("report", Text, nullable=False),
    Column("seen", Double, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("payload", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("due", Double, index=True),
    Column("attempts", Integer, nullable=False, default=0),
    Column("error", Words),
    Column("delivered", Double),
)

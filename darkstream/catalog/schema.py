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
    false,
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


_HALF_S = 1800.0
"""A job that takes this long stands where one would that came half a point of priority earlier."""


def turn(priority: Any, since: Any, cost_s: Any) -> Any:  # noqa: ANN401 - numbers, or columns of them
    """Where a job stands in its queue, the least first; it need not change as time goes by.

    Of the same priority and age the longest is first, so that it does not end long after all the
    others (Graham 1969: at most a third above the best order). What that moves it ahead is less
    than a point of priority, however long it takes: priorities go first, and nobody starves.
    """
    return since - (priority + cost_s / (cost_s + _HALF_S)) * _AGEING_S


def _turn(context: Any) -> float:  # noqa: ANN401 - the row that is being inserted
    row = context.get_current_parameters()
    return float(turn(row["priority"], row["created"], row["cost_s"]))


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
    # How results take the place of their originals; null: they never do.
    Column("in_place", Text),
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

# What people asked for together; the small jobs of one flow run are a dispatch.
batches = Table(
    "batches",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("created", Double, nullable=False),
    Column("begun", Double, nullable=False),
    Column("ended", Double),
    # Requests that are adding to it or retrying: it does not end before they are through.
    Column("holders", Integer, nullable=False, default=0, index=True),
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
    Column("batch_id", _Id),
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
    # Whether a job that it comes after has not ended: kept, so that the queue need not look.
    Column("waits", Boolean, nullable=False, default=False, server_default=false()),
    Column("if_failed", String(8), nullable=False, default="stop", server_default="stop"),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("source_bytes", BigInteger),
    Column("output_bytes", BigInteger),
    Column("content", String(64)),
    Column("decision", String(16)),
    Column("reason", Words, nullable=False, default=""),
    Column("outcome", Text),
    Column("media", Text),
    Column("plan", Text),
    # What the plan has to do, as it was reported.
    Column("work", Text),
    Column("log", Words, nullable=False, default=""),
    Column("in_place", Boolean, nullable=False, default=False, server_default=false()),
    Index("ix_jobs_queue", "status", "pool", "waits", "turn"),
    Index("ix_jobs_band", "status", "waits", "priority"),
    Index("ix_jobs_scan_status", "scan_id", "status"),
    Index("ix_jobs_batch_status", "batch_id", "status"),
)

# A job comes after others, all of which were there before it.
dependencies = Table(
    "dependencies",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("after_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True),
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
    # Its flow run works its last job off, and adopts none.
    Column("cancelled", Boolean, nullable=False, default=False, server_default=false()),
    # The job whose chunks its flow run helps with; it gets no jobs then.
    Column("film_id", _Id),
)

# Running jobs whose chunks others may encode too, as long as the token is the job's.
films = Table(
    "films",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("token", Integer, nullable=False),
    # What a helper must find on its machine.
    Column("same", Text, nullable=False),
    Column("plan", Text, nullable=False),
    # Nodes that did not find it, a list of JSON; nobody is asked before `not_before`.
    Column("unfit", Text, nullable=False, default="[]"),
    Column("not_before", Double, nullable=False, default=0.0),
    Column("closed", Boolean, nullable=False, default=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("job_id", ForeignKey("films.job_id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("cost_s", Double, nullable=False),
    # waiting; leader or helper, who has it; done.
    Column("state", String(8), nullable=False),
    # A helper failed at it: the leader's alone.
    Column("alone", Boolean, nullable=False, default=False),
    Column("dispatch_id", _Id, index=True),
    Column("node", Words),
    Column("token", Integer, nullable=False, default=0),
    Column("lease_until", Double),
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

replacements = Table(
    "replacements",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String(16), nullable=False, index=True),
    Column("root", LargeBinary, nullable=False),
    Column("quarantine", LargeBinary, nullable=False),
    Column("record", Text),
    Column("original_bytes", BigInteger, nullable=False, default=0),
    Column("result_bytes", BigInteger, nullable=False, default=0, index=True),
    # So that a result is known wherever it is found, by any library.
    Column("result_content", String(64), index=True),
    Column("keep_days", Integer, nullable=False, default=0),
    Column("kept_until", Double),
    # What somebody asked for, when (then: when that, or what is due, failed last), and why it did.
    Column("requested", String(16), index=True),
    Column("force", Boolean, nullable=False, default=False),
    Column("asked", Double),
    Column("error", Words, nullable=False, default=""),
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", Words, primary_key=True),
    Column("report", Text, nullable=False),
    Column("seen", Double, nullable=False),
    # When it works, of its report: asked for at every claim and heartbeat; null: always.
    Column("hours", Text),
    # How people let it rest; null: they do not.
    Column("pause", String(8)),
)

# How much nodes did a second, measured: of each class of work the last few jobs.
speeds = Table(
    "speeds",
    metadata,
    Column("node", Words, primary_key=True),
    Column("encoder", String(32), primary_key=True),
    Column("speed", String(32), primary_key=True),
    Column("size", String(8), primary_key=True),
    Column("rates", Text, nullable=False),
)

# Bytes of source a second, by the name of like presets: in a library, and (0) everywhere.
paces = Table(
    "paces",
    metadata,
    Column("library_id", BigInteger, primary_key=True, autoincrement=False),
    Column("preset", String(128), primary_key=True),
    Column("rates", Text, nullable=False),
)

presets = Table(
    "presets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("text", Text, nullable=False),
    Column("saved", Double, nullable=False),
)

# What people have analysed, and what was found: a line of JSON a file, in order.
analyses = Table(
    "analyses",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("status", String(16), nullable=False, index=True),
    Column("asked", Text, nullable=False),
    # As `asked`, with only the first of the paths: all of them may take two megabytes.
    Column("brief", Text, nullable=False, server_default="{}"),
    Column("path_count", Integer, nullable=False, server_default="0"),
    Column("created", Double, nullable=False),
    Column("ended", Double),
    Column("seen", Double),
    Column("node", Words),
    Column("flow_run", Words),
    Column("reason", Words, nullable=False, default=""),
    Column("files", Integer),
    Column("analysed", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("result_bytes", BigInteger, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    # How often a worker that was stopped gave it back: with the attempts it numbers flow runs.
    Column("releases", Integer, nullable=False, default=0, server_default="0"),
    # Of one that is forgotten the number is not given again: Prefect's keys are for ever.
    sqlite_autoincrement=True,
)

analysis_results = Table(
    "analysis_results",
    metadata,
    Column("analysis_id", ForeignKey("analyses.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("line", Text, nullable=False),
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

"""The queue: how jobs come into it, and how they come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.endings import end_jobs, line_up
from darkstream.catalog.records import ENDED
from darkstream.catalog.schema import batches, jobs, results
from darkstream.catalog.speeds import Costs
from darkstream.model.base import JobId
from darkstream.model.job import JobStatus

_UNKNOWN_BYTES = 1 << 30
"""A single file may be a film: it shares its flow run with no other."""
_CHUNK = 500


def insert_jobs(connection: Connection, now: float, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Insert queued jobs, all with the same columns; returns their ids in the same order."""
    if not rows:
        return []
    queued = {"status": JobStatus.queued.value, "created": now}
    costs = Costs(connection)
    values = [row | queued | {"cost_s": costs.of(row, _size(row))} for row in rows]
    ids = insert(jobs).returning(jobs.c.id, sort_by_parameter_order=True)
    return list(connection.scalars(ids, values))


def _size(row: dict[str, Any]) -> int:
    size: int | None = row["source_bytes"]
    return _UNKNOWN_BYTES if size is None else size


def requeue_ended(
    connection: Connection, now: float, ids: Sequence[int], *, scan: int | None = None
) -> None:
    """Queue jobs again with a new budget of attempts; those that have not ended are left alone.

    Their results are nobody's to reuse from now on: who needs the same encodes it, or waits. What
    comes after them and has not begun waits again.
    """
    values: dict[str, Any] = {
        "status": JobStatus.queued.value,
        "attempts": 0,
        "decision": None,
        "reason": "",
        "outcome": None,
        "output_bytes": None,
        "ended": None,
        "not_before": None,
        "dispatch_id": None,
        "blocked_by": None,
        "cancel_requested": False,
        "flow_run": None,
    }
    if scan is not None:
        values["scan_id"] = scan
    for start in range(0, len(ids), _CHUNK):
        some = jobs.c.id.in_(ids[start : start + _CHUNK]), jobs.c.status.in_(ENDED)
        mine = select(jobs.c.id).where(*some)
        connection.execute(delete(results).where(results.c.job_id.in_(mine)))
        connection.execute(update(jobs).where(*some).values(**values))
    reopen_batches(connection, now, ids)
    line_up(connection, now, ids)


def reopen_batches(connection: Connection, now: float, ids: Sequence[int]) -> None:
    """Batches that have ended go on with these jobs, and end again."""
    for start in range(0, len(ids), _CHUNK):
        theirs = select(jobs.c.batch_id).where(jobs.c.id.in_(ids[start : start + _CHUNK]))
        over = (batches.c.id.in_(theirs), batches.c.ended.is_not(None))
        connection.execute(update(batches).where(*over).values(ended=None, begun=now))


def give_back(
    connection: Connection,
    now: float,
    row: Row[Any],
    reason: str,
    *,
    counted: bool = False,
    **changes: Any,  # noqa: ANN401 - columns
) -> None:
    """Queue a job that its worker leaves unfinished; one that was to be cancelled ends instead.

    The attempt is forgotten unless `counted`.
    """
    if row.cancel_requested:
        end_jobs(connection, now, [row.id], status="cancelled", reason="cancelled")
        return
    left = row.status == JobStatus.running and not counted
    values = {
        "status": JobStatus.queued.value,
        "attempts": row.attempts - 1 if left else row.attempts,
        "reason": reason,
        "dispatch_id": None,
        "blocked_by": None,
        "lease_until": None,
    }
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(**values | changes))


def lose(
    connection: Connection,
    now: float,
    row: Row[Any],
    reason: str,
    max_attempts: int,
    **changes: Any,  # noqa: ANN401 - columns
) -> JobId | None:
    """Queue a job whose worker is gone, or end it as failed; returns it if it was running."""
    running = row.status == JobStatus.running
    if running and row.attempts >= max_attempts and not row.cancel_requested:
        text = f"the worker was lost {row.attempts} times, the last time because {reason}"
        end_jobs(connection, now, [row.id], status="failed", reason=text)
    else:
        text = f"the worker was lost because {reason}" if running else row.reason
        give_back(connection, now, row, text, counted=True, **changes)
    return JobId(row.id) if running else None

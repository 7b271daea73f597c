"""Rows of batches as values: how far each is, counted from its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, case, func, select

from darkstream.catalog.records import ENDED, moment
from darkstream.catalog.schema import jobs
from darkstream.model.base import BatchId, JobId
from darkstream.model.batch import Batch
from darkstream.model.job import JobStatus

_SUCCESSION = ("failed", "cancelled")


def to_batch(
    connection: Connection, now: float, row: Row[Any], progress: Mapping[JobId, float]
) -> Batch:
    """One row of batches, with its jobs counted."""
    groups = connection.execute(_groups(row)).all()
    found = {group.status: int(group.jobs) for group in groups}
    counts = {status: found[status] for status in JobStatus if status in found}
    work_s = sum(group.cost_s for group in groups)
    under_way_s = _under_way(connection, row, progress)
    through_s = under_way_s + sum(group.cost_s for group in groups if group.status in ENDED)
    return Batch(
        id=BatchId(row.id),
        name=row.name,
        status=_status(row, counts),
        created=moment(row.created),
        ended=moment(row.ended),
        jobs=sum(counts.values()),
        counts=counts,
        done=through_s / work_s if work_s else 0.0,
        eta_s=_eta(now, groups, under_way_s, work_s - through_s),
        source_bytes=sum(int(group.before or 0) for group in groups),
        output_bytes=sum(int(group.became or 0) for group in groups),
    )


def _groups(batch: Row[Any]) -> Any:  # noqa: ANN401 - a select
    converted = and_(jobs.c.status == JobStatus.done.value, jobs.c.output_bytes > 0)
    worked_on = and_(jobs.c.started >= batch.begun, jobs.c.attempts > 0)
    ended = and_(worked_on, jobs.c.status.in_(ENDED))
    return (
        select(
            jobs.c.status,
            func.count().label("jobs"),
            func.sum(jobs.c.cost_s).label("cost_s"),
            func.sum(case((converted, jobs.c.source_bytes))).label("before"),
            func.sum(case((converted, jobs.c.output_bytes))).label("became"),
            func.sum(case((ended, jobs.c.cost_s))).label("worked_s"),
            func.min(case((worked_on, jobs.c.started))).label("since"),
        )
        .where(jobs.c.batch_id == batch.id)
        .group_by(jobs.c.status)
    )


def _under_way(connection: Connection, batch: Row[Any], progress: Mapping[JobId, float]) -> float:
    running = select(jobs.c.id, jobs.c.cost_s).where(
        jobs.c.batch_id == batch.id, jobs.c.status == JobStatus.running.value
    )
    return float(sum(row.cost_s * progress.get(row.id, 0.0) for row in connection.execute(running)))


def _status(batch: Row[Any], counts: Mapping[JobStatus, int]) -> str:
    if batch.ended is None:
        waits = {JobStatus.queued, JobStatus.dispatched}
        return "running" if counts.keys() - waits else "queued"
    return next((bad for bad in _SUCCESSION if counts.get(JobStatus(bad))), "done")


def _eta(now: float, groups: Sequence[Row[Any]], under_way_s: float, left_s: float) -> float | None:
    worked_s = under_way_s + sum(group.worked_s or 0.0 for group in groups)
    since = min((group.since for group in groups if group.since is not None), default=None)
    if since is None or worked_s <= 0 or left_s <= 0:
        return None
    return float(left_s * max(0.0, now - since) / worked_s)

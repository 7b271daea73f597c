"""Where searches for a quality may begin: what earlier jobs of the same library ended with."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, select

from darkstream.catalog.records import preset_of
from darkstream.catalog.schema import jobs, scans
from darkstream.model.job import Hint, JobStatus
from darkstream.model.preset import QualityTarget
from darkstream.planning.quality import learn_qualities

_SCANS, _JOBS = 10, 15
"""The last ones are looked at, scan by scan: what is in a library changes."""


def find_hints(connection: Connection, row: Row[Any]) -> tuple[Hint, ...]:
    """What the last jobs of a job's library ended with, where its preset names a quality."""
    rule = preset_of(row).video
    if row.library_id is None or rule is None or not isinstance(rule.quality, QualityTarget):
        return ()
    last = select(scans.c.id).where(scans.c.library_id == row.library_id)
    plans: list[str] = []
    for scan in connection.scalars(last.order_by(scans.c.id.desc()).limit(_SCANS)).all():
        done = (jobs.c.scan_id == scan, jobs.c.status == JobStatus.done.value)
        found = select(jobs.c.plan).where(*done, jobs.c.plan.is_not(None))
        plans += connection.scalars(found.order_by(jobs.c.id.desc()).limit(_JOBS - len(plans)))
        if len(plans) == _JOBS:
            break
    return learn_qualities(json.loads(plan) for plan in plans)

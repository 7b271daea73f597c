"""What jobs of the pool `gpu` need of a node: an encoder, and sessions leased with the claim."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from darkstream.catalog.records import preset_of
from darkstream.catalog.schema import jobs, nodes
from darkstream.model.job import JobStatus
from darkstream.model.preset import Preset
from darkstream.model.wire import NodeReport


def find_obstacle(connection: Connection, now: float, node: str, row: Row[Any]) -> str | None:
    """Why a node cannot do a job of the pool `gpu` now; None: it can.

    It has not proved the encoder that the preset demands, or has no encoding session free. What
    other jobs of that pool hold is what their presets need at most, as long as their lease: a lost
    worker's sessions are free when it ends. A job that needs more than there are gets all of them.
    """
    if row.pool != "gpu":
        return None
    text = connection.scalar(select(nodes.c.report).where(nodes.c.name == node))
    if text is None:
        return None
    report = NodeReport.model_validate_json(text)
    preset = preset_of(row)
    if not _is_able(report, preset):
        return f"{node} has not proved the hardware encoder that the preset demands"
    most = report.gpu_sessions
    held = 0 if most is None else _count_held(connection, now, node, most)
    if most is None or held + min(needed(preset), most) <= most:
        return None
    return f"{held} of the {most} encoding sessions of {node} are taken"


def _is_able(report: NodeReport, preset: Preset) -> bool:
    rule = preset.video
    if rule is None or rule.hardware != "require":
        return True
    return any(one.hardware and one.codec == rule.codec for one in report.capabilities.encoders)


def _count_held(connection: Connection, now: float, node: str, most: int) -> int:
    holding = connection.execute(
        select(jobs).where(
            jobs.c.status == JobStatus.running.value,
            jobs.c.node == node,
            jobs.c.pool == "gpu",
            jobs.c.lease_until >= now,
        )
    )
    return sum(min(needed(preset_of(one)), most) for one in holding)


def needed(preset: Preset) -> int:
    """Sessions that a job of a preset opens at most: one a rung."""
    return max(1, len(preset.package.ladder)) if preset.package.kind == "abr" else 1

"""The table of what a flow run did, as an artifact in Prefect's UI."""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from darkstream.model.job import Job, JobStatus

log = structlog.get_logger(__name__)

_HEAD = "| file | decision | status | source | output | saving | quality | verified | time | job |"
_RULE = "| --- | --- | --- | ---: | ---: | ---: | --- | --- | ---: | --- |"
MOST_TAGS = 50
"""Each is a relation of the event of the run's end: with more than 100 Prefect refuses that end."""
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Row:
    """One job of the table, what was planned for it, and what its verification measured."""

    def __init__(
        self, job: Job, plan: dict[str, Any] | None, verification: dict[str, Any] | None
    ) -> None:
        self.job = job
        self.plan = plan
        self.verification = verification


def log_result(row: Row) -> None:
    """One line in the flow run's log; a job that failed is a warning, for the run goes on."""
    job = row.job
    size = f", {_size(job.source_bytes)} -> {_size(job.output_bytes)}" if job.output_bytes else ""
    level = logging.WARNING if job.status is JobStatus.failed else logging.INFO
    text = f"{job.source.rsplit('/', 1)[-1]}: {job.status.value}{size}: {job.reason}"
    get_run_logger().log(level, "%s", text)


def rename_run(rows: Sequence[Row]) -> None:
    """Have the run's name and tags say what it did, as a batch may take up jobs of others."""
    known = set(flow_run.tags)
    if (tags := known | tags_of(rows)) == known:
        return
    try:
        with get_client(sync_client=True) as client:
            name = f"convert {len(rows)} files"
            client.update_flow_run(UUID(str(flow_run.id)), name=name, tags=tags)
    except Exception as error:  # noqa: BLE001 - the jobs are committed, only their picture is not
        log.warning("run_not_named", reason=str(error))


def tags_of(rows: Sequence[Row]) -> set[str]:
    """What to find a flow run by: its jobs, or the first of very many."""
    return {f"job-{row.job.id}" for row in rows[:MOST_TAGS]}


def show_results(rows: Sequence[Row], server_url: str) -> None:
    """Write the table; a Prefect that does not take it is no reason to fail the run."""
    if not rows:
        return
    try:
        create_markdown_artifact(
            describe(rows, server_url),
            key="darkstream-results",
            description=summarise([row.job for row in rows]),
        )
    except Exception as error:  # noqa: BLE001 - the jobs are committed, only their picture is not
        log.warning("results_not_shown", reason=str(error))


def describe(rows: Sequence[Row], server_url: str) -> str:
    """The table in Markdown; names can hold anything, so they are escaped."""
    lines = [_describe(row, server_url) for row in rows]
    reasons = [f"- {escape(row.job.source)}: {escape(row.job.reason)}" for row in rows]
    return "\n".join([_HEAD, _RULE, *lines, "", *reasons])


def summarise(jobs: Sequence[Job]) -> str:
    """How many jobs ended how: '3 done, 1 failed'."""
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.status.value] = counts.get(job.status.value, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "nothing to do"


def _describe(row: Row, server_url: str) -> str:
    job = row.job
    cells = (
        escape(job.source.rsplit("/", 1)[-1]),
        job.decision or "-",
        job.status.value,
        _size(job.source_bytes),
        _size(job.output_bytes or None),
        _saving(job),
        _quality(row.plan) if job.status is JobStatus.done else "-",
        _verified(row.verification),
        "-" if job.wall_s is None else f"{job.wall_s:.1f} s",
        f"[{job.id}]({server_url}/api/v1/jobs/{job.id})",
    )
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Text as a cell of a Markdown table that says nothing else."""
    escaped = html.escape(text)
    return "".join(f"&#{ord(char)};" if char in "|`[]()*_~\\" else char for char in escaped)


def _size(count: int | None) -> str:
    if count is None:
        return "-"
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def _saving(job: Job) -> str:
    if not job.source_bytes or not job.output_bytes:
        return "-"
    return f"{1 - job.output_bytes / job.source_bytes:.0%}"


def _quality(plan: dict[str, Any] | None) -> str:
    """The constant quality each encoder was asked for, in its own scale; 'copied' is lossless."""
    renditions = (plan or {}).get("renditions", ())
    asked = [
        f"{one['encoder']} {one['quality']}" if "quality" in one else "copied" for one in renditions
    ]
    return ", ".join(dict.fromkeys(asked)) or "-"


def _verified(verification: dict[str, Any] | None) -> str:
    if verification is None:
        return "-"
    pictures = ", ".join(str(count) for count in verification.get("frames", ()))
    return f"{pictures} pictures" if pictures else "decoded"

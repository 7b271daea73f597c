"""`darkstream show JOB`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from darkstream.model.job import Job


@click.command("show")
@click.argument("job", type=int)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(job: int, as_json: bool) -> None:
    """Show one job: what was decided, why, and what came out."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import print_json
    from darkstream.model.base import JobId

    with connect(read_settings()) as client:
        found = client.job(JobId(job))
    if as_json:
        print_json([found])
        return
    for name, value in describe_job(found):
        click.echo(f"{name + ':':<13}{value}")


def describe_job(job: Job) -> list[tuple[str, str]]:
    """A job as (name, value) lines, without what is not known yet."""
    from darkstream.cli.tables import format_bytes

    lines: list[tuple[str, object]] = [
        ("job", job.id),
        ("status", job.status),
        ("source", job.source),
        ("size", format_bytes(job.source_bytes)),
        ("preset", job.preset),
        ("destination", job.destination),
        ("library", job.library),
        ("queue", f"{job.pool}/{job.queue}, priority {job.priority}"),
        ("not before", job.not_before),
        ("attempts", job.attempts),
        ("node", job.node),
        ("flow run", job.flow_run),
        ("decision", job.decision),
        ("reason", job.reason),
        *(("finding", f"{one.severity} {one.code}: {one.message}") for one in job.findings),
        *(("output", path) for path in job.outputs),
        ("result size", format_bytes(job.output_bytes) if job.outputs else None),
        ("wall time", None if job.wall_s is None else f"{job.wall_s:.1f} s"),
        ("CPU time", None if job.cpu_s is None else f"{job.cpu_s:.1f} s"),
        ("result of", None if job.reused is None else f"job {job.reused}, linked"),
    ]
    return [(name, str(value)) for name, value in lines if value not in (None, "")]

"""`darkstream retry JOB`."""

from __future__ import annotations

import click


@click.command("retry")
@click.argument("job", type=int)
def command(job: int) -> None:
    """Queue an ended job again, with new attempts."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.model.base import JobId

    with connect(read_settings()) as client:
        state = client.retry_job(JobId(job))
    click.echo(f"job {state.id}: {state.status}")

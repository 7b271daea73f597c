"""`darkstream logs JOB`."""

from __future__ import annotations

import click


@click.command("logs")
@click.argument("job", type=int)
def command(job: int) -> None:
    """Print the commands of a job and the end of what the tools said."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.model.base import JobId

    with connect(read_settings()) as client:
        click.echo(client.job_log(JobId(job)))

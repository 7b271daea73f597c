"""`darkstream cancel JOB`."""

from __future__ import annotations

import click


@click.command("cancel")
@click.argument("job", type=int)
def command(job: int) -> None:
    """Cancel a job; its ffmpeg ends within seconds, no part file stays."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.model.base import JobId

    with connect(read_settings()) as client:
        state = client.cancel_job(JobId(job))
    ended = "cancelled" if state.status.ended else "asked to end; it does within seconds"
    click.echo(f"job {state.id}: {ended}")

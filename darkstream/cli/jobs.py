"""`darkstream jobs`."""

from __future__ import annotations

import click


@click.command("jobs")
@click.option("--status", help="Only jobs in this state (queued, running, done, failed …).")
@click.option("--library", help="Only jobs of this library.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(status: str | None, library: str | None, limit: int, as_json: bool) -> None:
    """List jobs, newest first."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import JOB_HEADERS, job_row, print_json, print_table

    with connect(read_settings()) as client:
        found = client.jobs(status=status, library=library, limit=limit)
    if as_json:
        print_json(found)
    else:
        print_table(JOB_HEADERS, map(job_row, found))

"""`darkstream jobs`."""

from __future__ import annotations

import click


@click.command("jobs")
@click.option("--status", help="Only jobs in this state (queued, running, done, failed …).")
@click.option("--library", help="Only jobs of this library.")
@click.option("--batch", help="Only jobs of this batch.")
@click.option(
    "--replacement",
    type=click.Choice(["pending", "placed", "kept", "undone", "expired"]),
    help="Only jobs whose result is so; pending: it waits to be approved.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    status: str | None,
    library: str | None,
    batch: str | None,
    replacement: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List jobs, newest first.

    With --replacement pending: what each saves, how alike result and original are, and a clip of
    both.
    """
    from darkstream.cli import tables
    from darkstream.cli.session import connect, read_settings

    with connect(read_settings()) as client:
        found = client.jobs(
            status=status, library=library, batch=batch, replacement=replacement, limit=limit
        )
    if as_json:
        tables.print_json(found)
    elif replacement == "pending":
        tables.print_table(tables.PENDING_HEADERS, map(tables.pending_row, found))
    else:
        tables.print_table(tables.JOB_HEADERS, map(tables.job_row, found))

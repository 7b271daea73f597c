"""`darkstream approve JOB…` and `darkstream approve --all`."""

from __future__ import annotations

import click

from darkstream.errors import UsageError


@click.command("approve")
@click.argument("jobs", type=int, nargs=-1, metavar="JOB...")
@click.option("--all", "everything", is_flag=True, help="All results that wait.")
@click.option("--library", help="With --all: only those of this library.")
@click.option("--detach", is_flag=True, help="Do not wait.")
def command(jobs: tuple[int, ...], everything: bool, library: str | None, detach: bool) -> int:
    """Put results that wait in the place of their originals.

    Each waits in the quarantine directory of its library, verified: 'darkstream jobs --replacement
    pending' lists them, with how alike each is to its original and a clip of both. The originals
    are kept aside and can be put back by 'darkstream undo'. Exit code 3 when some could not be put
    in place.
    """
    from darkstream.cli.judging import ask_each, await_settled
    from darkstream.cli.session import connect, read_settings

    if bool(jobs) == everything or (library is not None and not everything):
        raise UsageError("give the numbers of jobs, or --all (perhaps with --library)")
    with connect(read_settings()) as client:
        if everything:
            return await_settled(client, client.approve_all(library), "approve", detach=detach)
        return ask_each(client, jobs, "approve", client.approve_job, detach=detach)

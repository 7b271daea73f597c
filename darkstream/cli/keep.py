"""`darkstream keep JOB…` and `darkstream keep --all`."""

from __future__ import annotations

import click

from darkstream.errors import UsageError


@click.command("keep")
@click.argument("jobs", type=int, nargs=-1, metavar="JOB...")
@click.option("--all", "everything", is_flag=True, help="All results that wait.")
@click.option("--library", help="With --all: only those of this library.")
@click.option("--detach", is_flag=True, help="Do not wait.")
def command(jobs: tuple[int, ...], everything: bool, library: str | None, detach: bool) -> int:
    """Keep originals, and throw the results away that wait to replace them.

    The next scans leave these originals as they are; 'darkstream retry JOB' converts one again.
    Exit code 3 when some could not be thrown away.
    """
    from darkstream.cli.judging import ask_each, await_settled
    from darkstream.cli.session import connect, read_settings

    if bool(jobs) == everything or (library is not None and not everything):
        raise UsageError("give the numbers of jobs, or --all (perhaps with --library)")
    with connect(read_settings()) as client:
        if everything:
            return await_settled(client, client.keep_all(library), "keep", detach=detach)
        return ask_each(client, jobs, "keep", client.keep_job, detach=detach)

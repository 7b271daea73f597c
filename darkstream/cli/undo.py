"""`darkstream undo JOB…` and `darkstream undo --scan ID`."""

from __future__ import annotations

import click

from darkstream.errors import UsageError


@click.command("undo")
@click.argument("jobs", type=int, nargs=-1, metavar="JOB...")
@click.option("--scan", type=int, help="All jobs of this scan.")
@click.option("--force", is_flag=True, help="Even where a result was changed since.")
@click.option("--detach", is_flag=True, help="Do not wait.")
def command(jobs: tuple[int, ...], scan: int | None, force: bool, detach: bool) -> int:
    """Put originals back, byte for byte, and remove the results that took their place.

    Works until an original's time in quarantine is over ('darkstream show JOB' says when). A result
    that was changed since is only given up with --force. The next scans leave what was put back as
    it is; 'darkstream retry JOB' converts it again. Exit code 3 when some could not be put back.
    """
    from functools import partial

    from darkstream.cli.judging import ask_each, await_settled
    from darkstream.cli.session import connect, read_settings

    if bool(jobs) == (scan is not None):
        raise UsageError("give the numbers of jobs, or --scan and the number of a scan")
    with connect(read_settings()) as client:
        if scan is not None:
            asked = client.undo_scan(scan, force=force)
            return await_settled(client, asked, "undo", detach=detach)
        ask = partial(client.undo_job, force=force)
        return ask_each(client, jobs, "undo", ask, detach=detach)

"""`darkstream convert FILE`."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from darkstream.cli.preset import CHANGES
from darkstream.errors import Cancelled, NoSuchPath, UsageError

if TYPE_CHECKING:
    from darkstream.model.job import IfFailed


def _check_count(
    _ctx: click.Context, _option: click.Parameter, after: tuple[int, ...]
) -> tuple[int, ...]:
    from darkstream.model.wire import MOST_BEFORE

    if len(after) > MOST_BEFORE:
        raise click.BadParameter(f"a job comes after at most {MOST_BEFORE} others")
    return after


AFTER = click.option(
    "--after",
    callback=_check_count,
    type=click.IntRange(min=1),
    multiple=True,
    metavar="JOB",
    help="Begin once this job has ended (again for more).",
)
IF_FAILED = click.option(
    "--if-failed",
    type=click.Choice(("stop", "go-on")),
    default="stop",
    show_default=True,
    help="With --after: be cancelled when one of those fails, is rejected or cancelled, or begin "
    "anyway.",
)


@click.command("convert")
@click.argument("file", type=click.Path(path_type=bytes))
@click.option("--preset", required=True, help="Name of a preset, or a YAML file.")
@CHANGES
@click.option(
    "--to",
    "destination",
    type=click.Path(path_type=bytes),
    help="Directory (default: beside the file).",
)
@click.option("--priority", type=click.IntRange(0, 100), default=50, show_default=True)
@click.option("--at", help="Do not start before: 22:30, or 2027-01-31T22:30.")
@AFTER
@IF_FAILED
@click.option("--detach", is_flag=True, help="Do not wait.")
def command(
    file: bytes,
    preset: str,
    changes: tuple[str, ...],
    destination: bytes | None,
    priority: int,
    at: str | None,
    after: tuple[int, ...],
    if_failed: IfFailed,
    detach: bool,
) -> int:
    """Convert one FILE and wait for it.

    Exit code 0 when it was converted, skipped or rejected (which is no failure), 3 when it failed,
    1 when it was cancelled.
    """
    from darkstream.cli.follow import follow_job
    from darkstream.cli.preset import find_preset, find_shelf
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.show import describe_job
    from darkstream.model.base import JobId
    from darkstream.model.paths import display, split_exact
    from darkstream.model.wire import SubmitJob

    settings = read_settings()
    path = os.path.abspath(file)
    if not os.path.isfile(path):
        raise NoSuchPath(f"{display(path)} is not a file")
    source, source_b64 = split_exact(path)
    to, to_b64 = (None, None) if destination is None else split_exact(os.path.abspath(destination))
    request = SubmitJob(
        source=source,
        source_b64=source_b64,
        source_bytes=os.path.getsize(path),
        preset=find_preset(preset, find_shelf(settings), changes),
        destination=to,
        destination_b64=to_b64,
        priority=priority,
        at=None if at is None else parse_time(at, datetime.now()),
        after=tuple(map(JobId, after)),
        if_failed=if_failed,
    )
    with connect(settings) as client:
        job = client.submit_job(request)
        if not job.status.ended and (detach or job.not_before is not None):
            click.echo(f"job {job.id} is queued; 'darkstream show {job.id}' shows it")
            return 0
        try:
            job = follow_job(client, job.id)
        except KeyboardInterrupt:
            click.echo(f"\njob {job.id} goes on; 'darkstream cancel {job.id}' ends it", err=True)
            raise
    for name, value in describe_job(job):
        click.echo(f"{name + ':':<13}{value}")
    if job.status == "cancelled":
        why = "" if job.reason in {"", "cancelled"} else f", as {job.reason}"
        raise Cancelled(
            f"job {job.id} was cancelled{why}; 'darkstream retry {job.id}' queues it again"
        )
    if job.status == "rejected":
        click.echo(f"{job.source} was rejected, nothing was converted: {job.reason}", err=True)
    return 3 if job.status == "failed" else 0


def parse_time(text: str, now: datetime) -> datetime:
    """The next such time of day, or an ISO 8601 date and time; without a zone, this machine's.

    `now` is local time without a zone: the offset is that of the day meant, summer or winter.
    """
    try:
        if len(text) <= 5:
            clock = datetime.strptime(text, "%H:%M").time()
            moment = datetime.combine(now.date(), clock)
            return (moment if moment > now else moment + timedelta(days=1)).astimezone()
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--at {text!r} is no time: write 22:30 or 2027-01-31T22:30") from error

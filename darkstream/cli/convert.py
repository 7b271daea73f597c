"""`darkstream convert FILE`."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import click

from darkstream.errors import NoSuchPath, UsageError


@click.command("convert")
@click.argument("file", type=click.Path(path_type=bytes))
@click.option("--preset", required=True, help="Name of a preset, or a YAML file.")
@click.option(
    "--to",
    "destination",
    type=click.Path(path_type=bytes),
    help="Directory (default: beside the file).",
)
@click.option("--priority", type=click.IntRange(0, 100), default=50, show_default=True)
@click.option("--at", help="Do not start before: 22:30, or 2027-01-31T22:30.")
@click.option("--detach", is_flag=True, help="Do not wait.")
def command(
    file: bytes,
    preset: str,
    destination: bytes | None,
    priority: int,
    at: str | None,
    detach: bool,
) -> int:
    """Convert one FILE and wait for it; exit code 3 when it failed."""
    from darkstream.cli.follow import follow_job
    from darkstream.cli.presets import find_preset
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.show import describe_job
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
        preset=find_preset(preset, settings),
        destination=to,
        destination_b64=to_b64,
        priority=priority,
        at=None if at is None else parse_time(at, datetime.now()),
    )
    with connect(settings) as client:
        job = client.submit_job(request)
        if detach or job.not_before is not None:
            click.echo(f"job {job.id} is queued; 'darkstream show {job.id}' shows it")
            return 0
        try:
            job = follow_job(client, job.id)
        except KeyboardInterrupt:
            click.echo(f"\njob {job.id} goes on; 'darkstream cancel {job.id}' ends it", err=True)
            raise
    for name, value in describe_job(job):
        click.echo(f"{name + ':':<13}{value}")
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

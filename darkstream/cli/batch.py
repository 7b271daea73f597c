"""`darkstream batch`: files and folders that are converted and followed together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from darkstream.cli.convert import AFTER, IF_FAILED, parse_time
from darkstream.cli.preset import CHANGES
from darkstream.errors import Cancelled, NoSuchPath, UsageError

if TYPE_CHECKING:
    from darkstream.model.batch import Batch
    from darkstream.model.job import IfFailed
    from darkstream.model.wire import BatchFile

_SHOWN = 10
"""Entries of a folder that cannot be converted are told one by one, up to so many."""


@click.group("batch")
def command() -> None:
    """Convert files or folders together, and follow them as one."""


@command.command("add")
@click.argument("name")
@click.argument("paths", metavar="PATH...", type=click.Path(path_type=bytes), nargs=-1)
@click.option("--preset", required=True, help="Name of a preset, or a YAML file.")
@CHANGES
@click.option(
    "--to",
    "destination",
    type=click.Path(path_type=bytes),
    help="Directory (default: beside each file); the folders in a PATH are kept below it.",
)
@click.option("--priority", type=click.IntRange(0, 100), default=50, show_default=True)
@click.option("--at", help="Do not start before: 22:30, or 2027-01-31T22:30.")
@AFTER
@IF_FAILED
def add(
    name: str,
    paths: tuple[bytes, ...],
    preset: str,
    changes: tuple[str, ...],
    destination: bytes | None,
    priority: int,
    at: str | None,
    after: tuple[int, ...],
    if_failed: IfFailed,
) -> None:
    """Add files, and the videos in folders, to the batch NAME, and make it if there is none.

    Files that the batch works on already are not added again, and results that lie in a folder are
    left out.
    """
    from darkstream.cli.preset import find_preset, find_shelf
    from darkstream.cli.session import connect, read_settings
    from darkstream.model.base import JobId
    from darkstream.model.paths import split_exact
    from darkstream.model.wire import AddToBatch

    settings = read_settings()
    place = None if destination is None else os.path.abspath(destination)
    to, to_b64 = (None, None) if place is None else split_exact(place)
    request = AddToBatch(
        files=tuple(_find_all(paths, place)),
        preset=find_preset(preset, find_shelf(settings), changes),
        destination=to,
        destination_b64=to_b64,
        priority=priority,
        at=None if at is None else parse_time(at, datetime.now()),
        after=tuple(map(JobId, after)),
        if_failed=if_failed,
    )
    with connect(settings) as client:
        answer = client.add_to_batch(name, request)
    left_out = f", {answer.left_out} left out" if answer.left_out else ""
    click.echo(
        f"batch {name}: {answer.added} added{left_out}, {answer.batch.jobs} in all; "
        f"'darkstream batch wait {name}' waits for its end"
    )


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_batches(limit: int, as_json: bool) -> None:
    """List batches, newest first."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import print_json, print_table

    with connect(read_settings()) as client:
        found = client.batches(limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("batch", "status", "done", "jobs", "sizes"),
        (
            (one.name, one.status, f"{one.done:.0%}", _describe_jobs(one), _describe_sizes(one))
            for one in found
        ),
    )


@command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(name: str, as_json: bool) -> None:
    """Show how far the batch NAME is; `darkstream jobs --batch NAME` lists its jobs."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import print_json

    with connect(read_settings()) as client:
        found = client.batch(name)
    if as_json:
        print_json([found])
    else:
        _print(found)


@command.command("wait")
@click.argument("name")
def wait(name: str) -> int:
    """Wait until all jobs of the batch NAME have ended.

    Exit code 3 when some of them failed, 1 when none did and some were cancelled.
    """
    from darkstream.cli.follow import follow_batch
    from darkstream.cli.session import connect, read_settings

    with connect(read_settings()) as client:
        try:
            found = follow_batch(client, name)
        except KeyboardInterrupt:
            click.echo(
                f"\nbatch {name} goes on; 'darkstream batch cancel {name}' ends it", err=True
            )
            raise
    _print(found)
    if found.status == "cancelled":
        raise Cancelled(
            f"jobs of the batch {name} were cancelled; 'darkstream batch retry {name}' queues "
            "them again"
        )
    return 3 if found.status == "failed" else 0


@command.command("cancel")
@click.argument("name")
def cancel(name: str) -> None:
    """Cancel all jobs of the batch NAME that have not ended."""
    from darkstream.cli.session import connect, read_settings

    with connect(read_settings()) as client:
        found = client.cancel_batch(name)
    ended = "cancelled" if found.ended else "asked to end; those that run do within seconds"
    click.echo(f"batch {name}: {ended}")


@command.command("retry")
@click.argument("name")
def retry(name: str) -> None:
    """Queue the jobs of the batch NAME again that failed or were cancelled."""
    from darkstream.cli.session import connect, read_settings

    with connect(read_settings()) as client:
        found = client.retry_batch(name)
    click.echo(f"batch {name}: {_describe_jobs(found)}")


def _print(batch: Batch) -> None:
    left = None if batch.eta_s is None else timedelta(seconds=round(batch.eta_s))
    lines = {
        "batch": batch.name,
        "status": batch.status,
        "done": f"{batch.done:.0%}",
        "jobs": _describe_jobs(batch),
        "sizes": _describe_sizes(batch) if batch.source_bytes else None,
        "left": None if left is None else f"about {left}",
        "created": batch.created,
        "ended": batch.ended,
    }
    for name, value in lines.items():
        if value is not None:
            click.echo(f"{name + ':':<13}{value}")


def _describe_jobs(batch: Batch) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in batch.counts.items())
    return f"{batch.jobs}: {counts}"


def _describe_sizes(batch: Batch) -> str:
    from darkstream.cli.tables import describe_saving

    if not batch.source_bytes:
        return "-"
    return describe_saving(batch.source_bytes, batch.output_bytes)


def _find_all(paths: Sequence[bytes], destination: bytes | None) -> Iterator[BatchFile]:
    """The files that the paths name or hold; raises UsageError where there is none."""
    from darkstream.model.paths import display
    from darkstream.model.wire import MOST_FILES

    if not paths:
        raise UsageError("name at least one file or folder")
    found = 0
    for path in map(os.path.abspath, paths):
        if os.path.isdir(path):
            files = _find_in_folder(path, destination)
        elif os.path.isfile(path):
            files = iter([_describe_file(path, os.path.getsize(path))])
        else:
            raise NoSuchPath(f"{display(path)} is neither a file nor a folder")
        for file in files:
            found += 1
            if found > MOST_FILES:
                raise UsageError(
                    f"these are more than {MOST_FILES:,} files: make a library of the folder "
                    "('darkstream library add'), which is not looked at anew each time"
                )
            yield file
    if not found:
        raise UsageError("there is no video in " + ", ".join(map(display, paths)))


def _find_in_folder(folder: bytes, destination: bytes | None) -> Iterator[BatchFile]:
    from darkstream.library.folder import FolderFile, walk_folder
    from darkstream.model.paths import display

    left_out = 0
    for met in walk_folder(folder, destination):
        if isinstance(met, FolderFile):
            yield _describe_file(met.path, met.size, folder)
            continue
        left_out += 1
        if left_out <= _SHOWN:
            click.echo(f"{met.source} is left out: {met.reason}", err=True)
    if left_out > _SHOWN:
        click.echo(f"{left_out - _SHOWN} more in {display(folder)} are left out", err=True)


def _describe_file(path: bytes, size: int, folder: bytes | None = None) -> BatchFile:
    from darkstream.model.paths import split_exact
    from darkstream.model.wire import BatchFile

    source, source_b64 = split_exact(path)
    above, above_b64 = (None, None) if folder is None else split_exact(folder)
    return BatchFile(
        source=source,
        source_b64=source_b64,
        source_bytes=size,
        folder=above,
        folder_b64=above_b64,
    )

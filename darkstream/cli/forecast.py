"""`darkstream forecast LIBRARY`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from darkstream.errors import DarkstreamError

if TYPE_CHECKING:
    from darkstream.client.api import Client
    from darkstream.model.forecast import Forecast, Range


@click.command("forecast")
@click.argument("library")
@click.option("--scan/--no-scan", default=True, help="Look for new files first; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(library: str, scan: bool, as_json: bool) -> None:
    """Say when LIBRARY will be done with the machines of today, and what it will save.

    A dry scan finds what has no job yet.
    """
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import print_json

    with connect(read_settings()) as client:
        if scan:
            _look(client, library)
        found = client.forecast(library)
    if as_json:
        print_json([found])
        return
    for title, value in _describe(found):
        click.echo(f"{title + ':':<10}{value}")
    for note in found.notes:
        click.echo(f"note: {note}")


def _look(client: Client, library: str) -> None:
    from darkstream.cli.follow import follow_scan
    from darkstream.model.wire import StartScan

    scan = follow_scan(client, client.start_scan(library, StartScan(dry_run=True)).id)
    if scan.status != "done":
        raise DarkstreamError(f"the dry scan {scan.status}: {scan.reason}")


def _describe(found: Forecast) -> list[tuple[str, str]]:
    from darkstream.cli.tables import format_bytes

    new = f", {found.new_files} of them new" if found.new_files else ""
    lines = [
        ("library", found.library),
        ("to do", f"{found.files} files ({format_bytes(found.source_bytes)}){new}"),
    ]
    if not found.files:
        return lines
    lines.append(("work", f"{_hours(found.work_hours)} hours of one slot"))
    lines.append(("machines", ", ".join(found.nodes) or "none"))
    if found.saved_bytes is not None:
        low, likely, high = (
            format_bytes(round(value))
            for value in (found.saved_bytes.low, found.saved_bytes.likely, found.saved_bytes.high)
        )
        lines.append(("saved", f"about {likely} (between {low} and {high})"))
    if found.finish is not None:
        early, late = _moment(found.finish.earliest), _moment(found.finish.latest)
        lines.append(("finished", f"about {_moment(found.finish.likely)} ({early} to {late})"))
    return lines


def _hours(hours: Range) -> str:
    return f"about {hours.likely:.1f} (between {hours.low:.1f} and {hours.high:.1f})"


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%a %Y-%m-%d %H:%M}"

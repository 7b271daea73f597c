"""What commands print: sizes people read, job lines, result tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from darkstream.model.base import Frozen
    from darkstream.model.job import Job, ReportLine

_FILE_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, where nobody has a narrow window."""
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def format_bytes(size: int | None) -> str:
    """A size as people read it, powers of 1000: `1.2 MB`; `-` where unknown."""
    if size is None:
        return "-"
    value = float(size)
    for unit in _UNITS:
        if abs(value) < 1000 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable: the last unit takes every size")


def print_json(values: Iterable[Frozen]) -> None:
    """Print values as JSON Lines."""
    for value in values:
        click.echo(value.model_dump_json())


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal; names are neither markup nor control characters."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from darkstream.model.paths import display

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(Text(display(cell.encode())) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    console.print(table)


def job_row(job: Job) -> tuple[str, ...]:
    """One job as the cells of `JOB_HEADERS`."""
    done = job.progress.done if job.progress else None
    state = f"{job.status} {done:.0%}" if done is not None and not job.status.ended else job.status
    result = format_bytes(job.output_bytes) if job.outputs else "-"
    return (
        str(job.id),
        state,
        job.source,
        job.preset,
        format_bytes(job.source_bytes),
        result,
        job.reason,
    )


JOB_HEADERS = ("job", "status", "source", "preset", "size", "result", "reason")


def print_report(lines: Sequence[ReportLine]) -> None:
    """Print a report as a table with its totals."""
    print_table(
        ("file", "decision", "status", "size", "result", "reason"),
        (
            (
                line.source,
                line.decision,
                line.status,
                format_bytes(line.source_bytes),
                format_bytes(line.output_bytes) if line.output_bytes else "-",
                line.reason,
            )
            for line in lines
        ),
    )
    click.echo(summarise(lines))


def summarise(lines: Sequence[ReportLine]) -> str:
    """One line of totals: files by status, and the bytes before and after of converted files."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line.status] = counts.get(line.status, 0) + 1
    converted = [line for line in lines if line.output_bytes and line.status in {"done", "planned"}]
    before = sum(line.source_bytes for line in converted)
    after = sum(line.output_bytes for line in converted)
    text = f"{len(lines)} files: " + ", ".join(
        f"{n} {status}" for status, n in sorted(counts.items())
    )
    if converted and before:
        saving = (
            f"{1 - after / before:.0%} saved"
            if after <= before
            else f"{after / before - 1:.0%} more"
        )
        about = "about " if any(line.status == "planned" for line in converted) else ""
        text += f"; {format_bytes(before)} became {about}{format_bytes(after)} ({saving})"
    return text


def check_report(path: str) -> None:
    """Raise StorageError where a report cannot be written, before all the work."""
    import os

    from darkstream.errors import StorageError

    part = f"{path}.part"
    try:
        with open(part, "w", encoding="utf-8"):
            os.unlink(part)
    except OSError as error:
        raise StorageError(f"cannot write the report {path}: {error.strerror}") from error


def write_report(lines: Iterable[ReportLine], path: str) -> None:
    """Write the report as JSON Lines, whole or not at all; raises StorageError."""
    import os

    from darkstream.errors import StorageError

    part = f"{path}.part"
    try:
        with open(part, "w", encoding="utf-8") as stream:
            for line in lines:
                stream.write(json.dumps(line.model_dump(mode="json"), ensure_ascii=False) + "\n")
        os.replace(part, path)
    except OSError as error:
        raise StorageError(f"cannot write the report {path}: {error.strerror}") from error

"""What commands print: sizes people read, job lines, result tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from darkstream.model.base import Frozen
    from darkstream.model.job import Job, ReportLine
    from darkstream.model.replacement import Evidence

_FILE_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, where nobody has a narrow window."""
_TOLD = ("pending", "kept", "undone")
"""States of a replacement that a list tells."""
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
    if job.replacement is not None and job.status == "done" and job.replacement.state in _TOLD:
        state = f"{state}, {job.replacement.state}"
    result = format_bytes(job.output_bytes) if job.outputs else "-"
    return (
        str(job.id),
        state,
        job.source,
        job.preset,
        format_bytes(job.source_bytes),
        result,
        describe_wait(job) or job.reason,
    )


def describe_wait(job: Job) -> str | None:
    """For which jobs a job waits, the first few by number; None where it waits for none."""
    if not job.waits_for:
        return None
    first, more = job.waits_for[:3], len(job.waits_for) - 3
    numbers = [*map(str, first), *([f"{more} more"] if more > 0 else [])]
    *some, last = numbers
    return f"waits for job {', '.join(some) + ' and ' if some else ''}{last}"


def describe_quality(evidence: Evidence) -> str | None:
    """The figure of a result that waits: `VMAF 95.3 on average, 91.2 at 0:12:31`."""
    if evidence.metric is None or evidence.mean is None or evidence.least is None:
        return None
    digits = 1 if evidence.metric == "vmaf" else 3
    at = timedelta(seconds=round(evidence.least_at or 0))
    mean, least = (f"{value:.{digits}f}" for value in (evidence.mean, evidence.least))
    return f"{evidence.metric.upper()} {mean} on average, {least} at {at}"


def pending_row(job: Job) -> tuple[str, ...]:
    """One job whose result waits, as the cells of `PENDING_HEADERS`."""
    what = job.replacement
    if what is None:
        return (str(job.id), job.source, *"-----")
    evidence = what.evidence
    quality = describe_quality(evidence) if evidence else None
    return (
        str(job.id),
        job.source,
        format_bytes(what.original_bytes),
        format_bytes(what.result_bytes),
        f"{1 - what.result_bytes / max(1, what.original_bytes):.0%}",
        quality or (evidence and evidence.note) or "-",
        what.clip or "-",
    )


PENDING_HEADERS = ("job", "source", "size", "result", "saved", "quality", "compare")
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
        about = "about " if any(line.status == "planned" for line in converted) else ""
        text += f"; {describe_saving(before, after, about)}"
    return text


def describe_saving(before: int, after: int, about: str = "") -> str:
    """What bytes became of bytes: `3.2 GB became 1.1 GB (66% saved)`; `before` is not 0."""
    saved = after <= before
    share = f"{1 - after / before:.0%} saved" if saved else f"{after / before - 1:.0%} more"
    return f"{format_bytes(before)} became {about}{format_bytes(after)} ({share})"


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

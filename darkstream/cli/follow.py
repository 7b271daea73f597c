"""Waiting for a job, a batch, an analysis or a scan, with a live line on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from darkstream.client.api import Client
    from darkstream.model.analyses import AnalysisProgress
    from darkstream.model.base import AnalysisId, JobId, ScanId
    from darkstream.model.batch import Batch
    from darkstream.model.job import Job
    from darkstream.model.library import Scan

T = TypeVar("T")

_POLL_S = 0.3
_PATIENCE_S = 60.0


def follow_job(client: Client, job_id: JobId) -> Job:
    """Wait until a job ends, showing its progress; returns it ended."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from darkstream.cli.tables import describe_wait

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("waiting", total=1.0)
        while True:
            job = patiently(lambda: client.job(job_id))
            step = job.progress.step if job.progress else describe_wait(job) or str(job.status)
            done = (job.progress.done if job.progress else None) or 0.0
            bar.update(task, description=step, completed=done)
            if job.status.ended:
                return job
            time.sleep(_POLL_S)


def follow_batch(client: Client, name: str) -> Batch:
    """Wait until a batch ends, showing how far it is; returns it ended."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=1.0)
        while True:
            batch = patiently(lambda: client.batch(name))
            ended = sum(count for status, count in batch.counts.items() if status.ended)
            text = f"{ended} of {batch.jobs} jobs ended"
            bar.update(task, description=text, completed=batch.done)
            if batch.ended is not None:
                return batch
            time.sleep(_POLL_S)


def follow_analysis(client: Client, analysis_id: AnalysisId) -> AnalysisProgress:
    """Wait until an analysis is over, showing how far it is; returns it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("waiting for a worker", total=None)
        while True:
            run = patiently(lambda: client.analysis_progress(analysis_id))
            if run.files is not None:
                text = f"{run.analysed} of {run.files} files"
                bar.update(task, description=text, total=run.files, completed=run.analysed)
            if run.is_over:
                return run
            time.sleep(_POLL_S)


def follow_scan(client: Client, scan_id: ScanId, stop: Callable[[], bool] = lambda: False) -> Scan:
    """Wait until a scan and all its jobs ended, or `stop` says so; says how far it is."""
    shown = ""
    while not stop():
        scan = patiently(lambda: client.scan(scan_id))
        if scan.status in {"failed", "cancelled"}:
            break
        if scan.status == "done" and scan.jobs_ended >= scan.jobs:
            break
        text = f"{scan.status}: {scan.met} files met, {scan.jobs_ended} of {scan.jobs} jobs ended"
        if text != shown:
            click.echo(
                f"\r\033[K{text}" if sys.stderr.isatty() else text,
                err=True,
                nl=not sys.stderr.isatty(),
            )
            shown = text
        time.sleep(_POLL_S)
    if sys.stderr.isatty() and shown:
        click.echo("\r\033[K", err=True, nl=False)
    return patiently(lambda: client.scan(scan_id))


def follow_library(
    client: Client, library: str, scan_id: ScanId, stop: Callable[[], bool] = lambda: False
) -> Scan:
    """As `follow_scan`, and wait for the library's jobs of earlier scans, which nobody makes again.

    Its report then holds the end of every file.
    """
    scan = follow_scan(client, scan_id, stop)
    while scan.status == "done" and not scan.dry_run and not stop() and _is_busy(client, library):
        time.sleep(_POLL_S)
    return scan


def _is_busy(client: Client, library: str) -> bool:
    from darkstream.model.job import JobStatus

    return any(
        patiently(partial(client.jobs, status=status, library=library, limit=1))
        for status in JobStatus
        if not status.ended
    )


def patiently(ask: Callable[[], T]) -> T:
    """Ask again while the server restarts; raises ServerUnreachable after a minute."""
    from darkstream.errors import ServerUnreachable

    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except ServerUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)

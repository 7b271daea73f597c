"""`darkstream show JOB`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from darkstream.model.job import Job, Progress
    from darkstream.model.replacement import ReplacementInfo


@click.command("show")
@click.argument("job", type=int)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(job: int, as_json: bool) -> None:
    """Show one job: how far it is, what was decided, why, and what came out."""
    from darkstream.cli.session import connect, read_settings
    from darkstream.cli.tables import print_json
    from darkstream.model.base import JobId

    with connect(read_settings()) as client:
        found = client.job(JobId(job))
    if as_json:
        print_json([found])
        return
    for name, value in describe_job(found):
        click.echo(f"{name + ':':<13}{value}")


def describe_job(job: Job) -> list[tuple[str, str]]:
    """A job as (name, value) lines, without what is not known yet."""
    from darkstream.cli.tables import describe_wait, format_bytes

    lines: list[tuple[str, object]] = [
        ("job", job.id),
        ("status", job.status),
        ("source", job.source),
        ("size", format_bytes(job.source_bytes)),
        ("preset", job.preset),
        ("destination", job.destination),
        ("library", job.library),
        ("batch", job.batch),
        ("queue", f"{job.pool}/{job.queue}, priority {job.priority}"),
        ("not before", job.not_before if job.status in {"queued", "dispatched"} else None),
        ("after", _describe_after(job)),
        ("attempts", job.attempts),
        ("node", job.node),
        ("flow run", job.flow_run),
        ("progress", describe_progress(job.progress) if job.status == "running" else None),
        ("decision", job.decision),
        ("reason", describe_wait(job) or job.reason),
        *(("finding", f"{one.severity} {one.code}: {one.message}") for one in job.findings),
        *(("output", path) for path in job.outputs),
        ("result size", format_bytes(job.output_bytes) if job.outputs else None),
        ("wall time", None if job.wall_s is None else f"{job.wall_s:.1f} s"),
        ("CPU time", None if job.cpu_s is None else f"{job.cpu_s:.1f} s"),
        *_describe_replacement(job),
        ("result of", None if job.reused is None else f"job {job.reused}, linked"),
    ]
    return [(name, str(value)) for name, value in lines if value not in (None, "")]


def _describe_after(job: Job) -> str | None:
    if not job.after:
        return None
    rule = {"stop": "cancelled if one fails", "go-on": "begins also if one fails"}[job.if_failed]
    return f"job {', '.join(map(str, job.after))}; {rule}"


def _describe_replacement(job: Job) -> list[tuple[str, object]]:
    """Where a result stands that takes its original's place, and what can be done about it."""
    from darkstream.cli.tables import format_bytes

    what = job.replacement
    if what is None:
        return []
    until = None if what.kept_until is None else f"{what.kept_until.astimezone():%Y-%m-%d %H:%M}"
    saving = what.original_bytes - what.result_bytes
    said = {
        "placing": "an attempt is at it",
        "pending": f"pending: look at the result, then 'darkstream approve {job.id}' or "
        f"'darkstream keep {job.id}'",
        "placed": f"in place; 'darkstream undo {job.id}' puts the original back until {until}",
        "kept": "the result was thrown away, the original stays",
        "undone": "undone: the original is back",
        "expired": f"in place for good; the original was kept until {until}",
    }
    waits = what.state == "pending"
    return [
        ("approval" if waits else "replacement", said[what.state]),
        ("quarantine", what.quarantine if waits or what.state == "placed" else None),
        ("saving", f"{format_bytes(saving)} of {format_bytes(what.original_bytes)}"),
        *_describe_evidence(what),
        ("asked for", what.requested),
        ("not done", what.error),
    ]


def _describe_evidence(what: ReplacementInfo) -> list[tuple[str, object]]:
    """What to decide by: a figure, and a clip to look at."""
    from darkstream.cli.tables import describe_quality

    if what.evidence is None:
        return []
    return [
        ("quality", describe_quality(what.evidence)),
        ("compare", what.clip and f"{what.clip} (left: the original, right: the result)"),
        ("note", what.evidence.note),
    ]


def describe_progress(progress: Progress | None) -> str | None:
    """How far a running job is, in one line: its step, and what is known of the rest."""
    if progress is None:
        return None
    left = None if progress.eta_s is None else timedelta(seconds=round(progress.eta_s))
    known = (
        progress.step,
        None if progress.done is None else f"{progress.done:.0%}",
        None if progress.speed is None else f"{progress.speed:.2g} times as fast as it plays",
        None if left is None else f"about {left} left",
    )
    return ", ".join(one for one in known if one is not None)

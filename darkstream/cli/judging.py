"""Asking for something of replacements, waiting until it is done, and saying how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import click

from darkstream.cli.follow import patiently
from darkstream.errors import Conflict, NotFound

if TYPE_CHECKING:
    from darkstream.client.api import Client
    from darkstream.model.base import JobId
    from darkstream.model.job import Job

_POLL_S = 0.3
_PATIENCE_S = 600.0
"""For one job: a file may have to be read whole."""
_STILL_WAITS = (
    "job {number}: no worker has done it yet; it is not forgotten, and 'darkstream show {number}' "
    "says when it is done (is a worker of the pool 'control' running?)"
)
_WORDS = {
    "undone": "the original is back",
    "kept": "the original stays, the result is gone",
    "placed": "the result is in place, the original in quarantine",
    "pending": "the result waits",
    "expired": "the result is in place for good",
    "placing": "an attempt is at it",
}


Wish = Literal["undo", "approve", "keep"]
_ENDS: dict[Wish, str] = {"undo": "undone", "approve": "placed", "keep": "kept"}


def ask_each(
    client: Client, jobs: Sequence[int], wish: Wish, ask: Callable[[JobId], Job], *, detach: bool
) -> int:
    """Ask for each of several jobs and wait for them; the exit code: 3 when some could not be done.

    One that cannot be asked for does not keep the others from being done.
    """
    from darkstream.model.base import JobId

    asked: list[JobId] = []
    refused = 0
    for number in dict.fromkeys(jobs):
        try:
            asked.append(ask(JobId(number)).id)
        except (Conflict, NotFound) as error:
            refused += 1
            click.echo(str(error), err=True)
    code = await_settled(client, asked, wish, detach=detach) if asked else 0
    return 3 if refused else code


def await_settled(client: Client, jobs: Sequence[JobId], wish: Wish, *, detach: bool) -> int:
    """Say for each job how it ended; the exit code: 3 when some could not be done."""
    if not jobs:
        click.echo("there is nothing to do")
        return 0
    if detach:
        click.echo(f"{wish} of {len(jobs)} jobs is under way; 'darkstream show JOB' shows each")
        return 0
    failed = 0
    deadline = time.monotonic() + _PATIENCE_S
    for number in jobs:
        job = _wait(client, number, deadline)
        if job is None:
            failed += 1
            click.echo(_STILL_WAITS.format(number=number), err=True)
            continue
        deadline = time.monotonic() + _PATIENCE_S
        said, error = _describe(job, wish)
        failed += error
        click.echo(f"job {number}: {said}", err=error)
    return 3 if failed else 0


def _wait(client: Client, number: JobId, deadline: float) -> Job | None:
    """The job once what was asked for is done; None where nobody has done it until then."""
    while True:
        job = patiently(lambda: client.job(number))
        if job.replacement is None or job.replacement.requested is None:
            return job
        if time.monotonic() > deadline:
            return None
        time.sleep(_POLL_S)


def _describe(job: Job, wish: Wish) -> tuple[str, bool]:
    """How it ended, and whether that is not what was wished."""
    what = job.replacement
    if what is None:  # it was abandoned, and nothing is left of it
        return _WORDS[_ENDS["undo"]], wish != "undo"
    said = f"{_WORDS[what.state]}; {what.error}" if what.error else _WORDS[what.state]
    return said, bool(what.error) or what.state != _ENDS[wish]

"""The rows behind replaced originals: what a claim, a commit and a scan need of them."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.keeping import keep_time
from darkstream.catalog.schema import files, jobs, libraries, replacements
from darkstream.errors import Conflict
from darkstream.model.base import JobId
from darkstream.model.job import Outcome
from darkstream.model.replacement import FileNow, InPlace, Replacement, ReplacementState

DAY_S = 86_400.0
IN_PLACE = replacements.c.state.in_(("placed", "expired"))
"""Of replacements whose result is in its original's place."""


def commit_replacement(connection: Connection, now: float, job: JobId, outcome: Outcome) -> None:
    """What an attempt's end says of the original's place."""
    what = outcome.replacement
    if what is None or outcome.status != "done":
        return
    state = ReplacementState.pending if outcome.placed is None else ReplacementState.placed
    values: dict[str, Any] = {
        "state": state.value,
        "root": what.root,
        "quarantine": what.quarantine,
        "requested": None,
        "error": "",
        "kept_until": None,
        **record_of(what),
    }
    if outcome.placed is not None:
        keep_time(connection, now)
        values["kept_until"] = now + what.rule.keep_originals_days * DAY_S
        follow_file(connection, job, outcome.placed)
    write(connection, job, values)


def quarantine_of(connection: Connection, job: int) -> bytes | None:
    """Where an earlier attempt began to replace its original, if that is not settled."""
    found: bytes | None = connection.scalar(
        select(replacements.c.quarantine).where(
            replacements.c.job_id == job,
            replacements.c.state == ReplacementState.placing.value,
        )
    )
    return found


def rule_of(connection: Connection, job: Row[Any]) -> InPlace | None:
    """How a job's result takes its original's place, where its library wished and wishes so."""
    if not job.in_place or job.library_id is None:
        return None
    text = connection.scalar(select(libraries.c.in_place).where(libraries.c.id == job.library_id))
    return None if text is None else InPlace.model_validate_json(text)


def check_free(connection: Connection, job: int) -> None:
    """Raise Conflict for a job whose source is not what it was made of."""
    row = find(connection, job)
    if row is None:
        return
    reasons = {
        ReplacementState.pending: "its result waits: 'approve' or 'keep' it first",
        ReplacementState.placed: "its result has taken the original's place: 'undo' it first",
        ReplacementState.expired: "its result has taken the original's place for good",
    }
    if (reason := reasons.get(ReplacementState(row.state))) is not None:
        raise Conflict(f"job {job} cannot be done again: {reason}")


def follow_file(connection: Connection, job: int, now: FileNow) -> None:
    """Let the library's row of a job's file be what a scan will find, so that it finds no news."""
    library = connection.scalar(select(jobs.c.library_id).where(jobs.c.id == job))
    if library is None:
        return
    values: dict[str, Any] = {
        "path": now.path,
        "directory": os.path.dirname(now.path),
        **now.hint.model_dump(),
        "sample": now.sample,
        "content": now.content,
        "stale": False,
        "gone": False,
    }
    mine = files.c.library_id == library
    row = connection.scalar(select(files.c.id).where(mine, files.c.job_id == job).limit(1))
    others = delete(files).where(mine, files.c.path == now.path)
    if row is None:
        connection.execute(others)
        connection.execute(insert(files).values(library_id=library, job_id=job, **values))
    else:
        connection.execute(others.where(files.c.id != row))
        connection.execute(update(files).where(files.c.id == row).values(**values))


def record_of(what: Replacement) -> dict[str, Any]:
    """The columns that say what takes whose place."""
    return {
        "record": what.model_dump_json(),
        "original_bytes": what.original.size,
        "result_bytes": what.result.size,
        "result_content": what.result.blake3,
        "keep_days": what.rule.keep_originals_days,
    }


def write(connection: Connection, job: int, values: dict[str, Any]) -> None:
    """Change the row of a job's replacement, or make it."""
    mine = replacements.c.job_id == job
    if connection.execute(update(replacements).where(mine).values(**values)).rowcount == 0:
        connection.execute(insert(replacements).values(job_id=job, **values))


def find(connection: Connection, job: int) -> Row[Any] | None:
    """The row of a job's replacement."""
    query = select(replacements).where(replacements.c.job_id == job)
    return connection.execute(query).one_or_none()

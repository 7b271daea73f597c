"""The names of published files: each belongs to one source, whose newer version replaces it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.schema import jobs, targets
from darkstream.errors import Conflict
from darkstream.model.job import PublishTarget
from darkstream.model.wire import FileToPublish


def reserve(
    connection: Connection, job: Row[Any], files: Sequence[FileToPublish]
) -> tuple[PublishTarget, ...]:
    """Names for the files of a job; raises Conflict where all of one file's names are taken."""
    given: list[PublishTarget] = []
    for file in files:
        taken = {target.path for target in given}
        free = (path for path in file.candidates if path not in taken)
        offers = (_offer(connection, job, path, file) for path in free)
        found = next((offer for offer in offers if offer is not None), None)
        if found is None:
            raise Conflict("every name that the result may have is taken by another file")
        given.append(found)
    return tuple(given)


def confirm(connection: Connection, job: int) -> None:
    """What the job reserved names for is what is at those names now."""
    connection.execute(
        update(targets)
        .where(targets.c.job_id == job)
        .values(published=targets.c.blake3, reserved=None)
    )


def _offer(
    connection: Connection, job: Row[Any], path: bytes, file: FileToPublish
) -> PublishTarget | None:
    key = (targets.c.destination == job.destination, targets.c.path == path)
    row = connection.execute(
        select(targets, jobs.c.preset_name, jobs.c.library_id)
        .join(jobs, jobs.c.id == targets.c.job_id)
        .where(*key)
    ).one_or_none()
    refusals = file.refused.count(path)
    values = {"job_id": job.id, "token": job.token, "source": job.source, "blake3": file.blake3}
    if row is None:
        if refusals:
            return None
        place = {"destination": job.destination, "path": path}
        place["place"] = os.path.join(job.destination, path)
        connection.execute(insert(targets).values(**place, **values))
        return PublishTarget(path=path)
    if not _own(row, job):
        return None
    former, ours = _on_disk(row, job)
    if refusals >= len(ours):
        # What is there is not ours: no later version of this source may take it for its own.
        connection.execute(delete(targets).where(*key))
        return None
    connection.execute(update(targets).where(*key).values(**values, reserved=former))
    return PublishTarget(path=path, replaces=ours[refusals])


def _own(row: Row[Any], job: Row[Any]) -> bool:
    """Whether the name is that of an earlier version of the same: not one by another wish."""
    same_library = job.library_id is not None and row.library_id == job.library_id
    same_wish = same_library or row.preset_name == job.preset_name
    return bool(row.source == job.source and same_wish)


def _on_disk(row: Row[Any], job: Row[Any]) -> tuple[str | None, list[str]]:
    """What an attempt before this one may have put there, and all that may be there.

    An attempt can end between its reservation and its rename, or between its rename and its commit:
    nobody knows which. The worker looks, and refuses the name once for each that it does not find.
    """
    same_attempt = (row.job_id, row.token) == (job.id, job.token)
    former = row.reserved if same_attempt or row.blake3 == row.published else row.blake3
    ours = [blake3 for blake3 in (row.published, former, row.blake3) if blake3 is not None]
    return former, list(dict.fromkeys(ours))

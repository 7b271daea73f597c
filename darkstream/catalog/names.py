"""The names of published files: each belongs to one source, whose newer version replaces it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.schema import jobs, targets
from darkstream.errors import Conflict
from darkstream.model.job import OutputFile, PublishTarget
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


def confirm(connection: Connection, job: int, outputs: Sequence[OutputFile]) -> None:
    """What was committed is what is at its name now."""
    for output in outputs:
        connection.execute(
            update(targets)
            .where(targets.c.job_id == job, targets.c.path == output.path)
            .values(published=output.blake3, offered="")
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
    if row is not None and not _own(row, job):
        return None
    if path in file.refused:
        # What is there is not ours: no later version of this source may take it for its own.
        connection.execute(delete(targets).where(*key))
        return None
    # An attempt can end between its reservation and its rename, or between its rename and its
    # commit: any of what was offered since the last commit may be there.
    offered = () if row is None else tuple(row.offered.split())
    published = None if row is None else row.published
    values = {
        "job_id": job.id,
        "token": job.token,
        "source": job.source,
        "offered": " ".join(dict.fromkeys((*offered, file.blake3))),
    }
    if row is None:
        place = os.path.join(job.destination, path)
        new = {"destination": job.destination, "path": path, "place": place}
        connection.execute(insert(targets).values(**new, **values))
    else:
        connection.execute(update(targets).where(*key).values(**values))
    ours = offered if published is None else (published, *offered)
    return PublishTarget(path=path, replaces=ours)


def _own(row: Row[Any], job: Row[Any]) -> bool:
    """Whether the name is that of an earlier version of the same: not one by another wish."""
    same_library = job.library_id is not None and row.library_id == job.library_id
    same_wish = same_library or row.preset_name == job.preset_name
    return bool(row.source == job.source and same_wish)

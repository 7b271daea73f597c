"""Sampled files: which are known, renamed or copied, and which need a job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from darkstream.catalog.endings import cancel_jobs, end_jobs
from darkstream.catalog.listing import chunks
from darkstream.catalog.placed import (
    find_results,
    find_waiting,
    sizes_of_results,
    take_over,
    take_over_waiting,
)
from darkstream.catalog.queue import insert_jobs
from darkstream.catalog.records import WAITING, outcome_of
from darkstream.catalog.schema import (
    directories,
    files,
    jobs,
    replacements,
    scan_candidates,
    scan_directories,
    targets,
)
from darkstream.model.library import SampledFile
from darkstream.model.replacement import ReplacementState

_KEPT = (*WAITING, "done", "rejected", "skipped")
"""What became of a file under its old name holds under its new one as well."""

_COLUMNS = ("path", "directory", "size", "mtime_ns", "ctime_ns", "inode", "sample", "content")


class Intake:
    """The files of one library that one scan sampled."""

    def __init__(
        self,
        connection: Connection,
        now: float,
        scan: int,
        library: Row[Any],
        pool: Literal["cpu", "gpu"],
    ) -> None:
        self._connection = connection
        self._now = now
        self._scan = scan
        self._library = library
        self._pool = pool

    def take(self, sampled: Sequence[SampledFile]) -> list[bytes]:
        """Record files and make jobs of those that need one; returns those to be hashed first."""
        known = self._known([file.path for file in sampled])
        like = self._like_known(sampled)
        placed = self._as_big_as_results(sampled)
        wanted: list[bytes] = []
        records: list[dict[str, Any]] = []
        for file in sampled:
            row = known.get(file.path)
            fresh = row is None or row.job_id is None
            telling = fresh and (file.hint.size, file.sample) in like
            telling = telling or (_is_news(file, row) and file.hint.size in placed)
            if file.content is None and telling:
                wanted.append(file.path)
            else:
                records.append(self._record(file, row))
        self._make_jobs([record for record in records if record.pop("needs_job")])
        self._write(records)
        self._tick_off([record["path"] for record in records])
        return wanted

    def decide(self, most: int) -> bool:
        """Files whose twin was not looked at when they came: renamed if it is gone, else copies.

        At most so many; whether there may be more.
        """
        undecided = (files.c.library_id == self._library.id, files.c.job_id.is_(None))
        query = select(files).where(*undecided).order_by(files.c.id).limit(most)
        rows = self._connection.execute(query).all()
        records = []
        for row in rows:
            record = {name: getattr(row, name) for name in _COLUMNS} | {"id": row.id}
            twins = self._twins(record)
            record["job_id"] = next((self._move(one, record) for one in twins if one.gone), None)
            records.append(record)
        self._make_jobs([record for record in records if record["job_id"] is None])
        self._write(records)
        return len(rows) == most

    def _known(self, paths: Sequence[bytes]) -> dict[bytes, Row[Any]]:
        found: dict[bytes, Row[Any]] = {}
        for some in chunks(paths):
            query = (
                select(files, jobs.c.status, jobs.c.outcome, replacements.c.state)
                .join(jobs, jobs.c.id == files.c.job_id, isouter=True)
                .join(replacements, replacements.c.job_id == jobs.c.id, isouter=True)
                .where(files.c.library_id == self._library.id, files.c.path.in_(some))
            )
            found |= {row.path: row for row in self._connection.execute(query)}
        return found

    def _like_known(self, sampled: Sequence[SampledFile]) -> set[tuple[int, str]]:
        """Size and sample of files in any library whose whole content is known."""
        found: set[tuple[int, str]] = set()
        for some in chunks({(file.hint.size, file.sample) for file in sampled}):
            query = select(files.c.size, files.c.sample).where(
                tuple_(files.c.size, files.c.sample).in_(some), files.c.content.is_not(None)
            )
            found.update((row.size, row.sample) for row in self._connection.execute(query))
        return found

    def _as_big_as_results(self, sampled: Sequence[SampledFile]) -> set[int]:
        """Sizes of results in place: in such a library none of them is encoded again."""
        if self._library.in_place is None:
            return set()
        return sizes_of_results(self._connection, [file.hint.size for file in sampled])

    def _record(self, file: SampledFile, row: Row[Any] | None) -> dict[str, Any]:
        record: dict[str, Any] = {
            "path": file.path,
            "directory": os.path.dirname(file.path),
            **file.hint.model_dump(),
            "sample": file.sample,
            "content": file.content,
            "id": None if row is None else row.id,
            "job_id": None,
            "needs_job": False,
        }
        if row is not None and row.job_id is not None:
            same = row.sample == file.sample and row.size == file.hint.size
            record["content"] = row.content if same else file.content
            replaced = row.state == ReplacementState.placing
            kept = same and not _was_shared(row)
            if not row.stale and (kept or replaced or row.status in WAITING):
                # A job that waits reads the file as it is when its turn comes, and one that puts
                # its result in the file's place says itself what is there then.
                record["job_id"] = row.job_id
            else:
                # What it would publish is not wanted any more, and must not replace what is.
                reason = "the file or its library's wish has changed since; a newer job does it"
                cancel_jobs(self._connection, self._now, [row.job_id], reason=reason)
            record["needs_job"] = record["job_id"] is None
            return record
        twins = self._twins(record) if file.content is not None else []
        gone = (self._move(twin, record) for twin in twins if twin.gone)
        record["job_id"] = next((job for job in gone if job is not None), None)
        undecided = any(not twin.gone and not twin.looked_at for twin in twins)
        record["needs_job"] = record["job_id"] is None and not undecided
        return record

    def _twins(self, record: dict[str, Any]) -> Sequence[Row[Any]]:
        """Known files of the same content in this library, those that are gone first."""
        listed = exists().where(
            scan_directories.c.scan_id == self._scan,
            scan_directories.c.path == files.c.directory,
        )
        query = (
            select(files, jobs.c.status, listed.label("looked_at"))
            .join(jobs, jobs.c.id == files.c.job_id)
            .where(
                files.c.size == record["size"],
                files.c.sample == record["sample"],
                files.c.content == record["content"],
                files.c.library_id == self._library.id,
                files.c.path != record["path"],
            )
            .order_by(files.c.gone.desc(), files.c.path)
        )
        return self._connection.execute(query).all()

    def _move(self, twin: Row[Any], record: dict[str, Any]) -> int | None:
        """Let a renamed file keep its job; None where what became of that was not its end."""
        source = os.path.join(self._library.root, record["path"])
        if twin.stale or twin.status not in _KEPT:
            return None
        # A job that has ended may be done again: it is this file's now.
        self._connection.execute(
            update(jobs)
            .where(jobs.c.id == twin.job_id)
            .values(source=source, relative=record["path"])
        )
        # What was published stays this file's: a new one at the old path must not replace it.
        self._connection.execute(
            update(targets).where(targets.c.job_id == twin.job_id).values(source=source)
        )
        self._connection.execute(delete(files).where(files.c.id == twin.id))
        return int(twin.job_id)

    def _make_jobs(self, records: Sequence[dict[str, Any]]) -> None:
        """Jobs for these files, but none that encodes what took an original's place before."""
        results = self._take_over(records)
        new = [record for record in records if record["job_id"] is None]
        library = self._library
        rows = [
            {
                "source": os.path.join(library.root, record["path"]),
                "relative": record["path"],
                "destination": library.destination,
                "preset": library.preset,
                "preset_name": library.preset_name,
                "priority": library.priority,
                "library_id": library.id,
                "scan_id": self._scan,
                "source_bytes": record["size"],
                "pool": self._pool,
                "in_place": library.in_place is not None,
            }
            for record in new
        ]
        ids = insert_jobs(self._connection, self._now, rows)
        for record, job in zip(new, ids, strict=True):
            record["job_id"] = job
            if record["content"] in results:
                self._skip(job, results[record["content"]][0])

    def _take_over(self, records: Sequence[dict[str, Any]]) -> dict[str, list[Row[Any]]]:
        """Give files the jobs that replaced them, or wait to; results in place by their content."""
        connection, library = self._connection, self._library
        for record in records:
            record["job_id"] = None
        if library.in_place is None:
            return {}
        results = find_results(connection, {one["content"] for one in records} - {None})
        places = {os.path.join(library.root, one["path"]): one for one in records}
        for record in records:
            known = results.get(record["content"], [])
            record["job_id"] = take_over(connection, library, record["path"], known)
        for place, waiting in find_waiting(connection, places).items():
            record = places[place]
            record["job_id"] = take_over_waiting(connection, library, record, waiting)
        return results

    def _skip(self, job: int, result: Row[Any]) -> None:
        reason = f"it is the result of job {result.job_id}: to encode it again would cost quality"
        end_jobs(self._connection, self._now, [job], status="skipped", reason=reason)

    def _write(self, records: Sequence[dict[str, Any]]) -> None:
        new, old = [], []
        for record in records:
            values = record | {"library_id": self._library.id, "stale": False, "gone": False}
            row = values.pop("id")
            if row is None:
                new.append(values)
            else:
                old.append(values | {"row": row})
        if new:
            self._connection.execute(insert(files), new)
        if old:
            self._connection.execute(update(files).where(files.c.id == bindparam("row")), old)

    def _tick_off(self, paths: Sequence[bytes]) -> None:
        for some in chunks(paths):
            self._connection.execute(
                delete(scan_candidates).where(
                    scan_candidates.c.scan_id == self._scan, scan_candidates.c.path.in_(some)
                )
            )


def _is_news(file: SampledFile, row: Row[Any] | None) -> bool:
    """Whether something else lies under this name than was known."""
    if row is None or row.job_id is None or row.stale:
        return True
    return (row.size, row.sample) != (file.hint.size, file.sample)


def _was_shared(row: Row[Any]) -> bool:
    """Whether a file was left alone for its other names, of which it may have lost some now."""
    outcome = outcome_of(row) if row.status == "skipped" else None
    return outcome is not None and outcome.shared


def settle_directories(connection: Connection, scan: Row[Any], vanished: Sequence[bytes]) -> None:
    """Know the directories whose every candidate was recorded; forget others, and those gone."""
    mine = directories.c.library_id == scan.library_id
    seen = scan_directories.c.scan_id == scan.id
    waiting = exists().where(
        scan_candidates.c.scan_id == scan.id,
        scan_candidates.c.directory == scan_directories.c.path,
    )
    listed = select(scan_directories.c.path).where(seen)
    connection.execute(delete(directories).where(mine, directories.c.path.in_(listed)))
    complete = select(literal(scan.library_id), scan_directories.c.path, scan_directories.c.digest)
    connection.execute(
        insert(directories).from_select(
            ["library_id", "path", "digest"], complete.where(seen, ~waiting)
        )
    )
    for some in chunks(vanished):
        connection.execute(delete(directories).where(mine, directories.c.path.in_(some)))
        connection.execute(
            update(files)
            .where(files.c.library_id == scan.library_id, files.c.directory.in_(some))
            .values(gone=True)
        )


def forget_files(connection: Connection, ids: Sequence[int]) -> None:
    """Let the next scan look at the files of these jobs as if they were new."""
    for some in chunks(ids):
        theirs = files.c.job_id.in_(some)
        above = select(files.c.library_id, files.c.directory).where(theirs)
        connection.execute(
            delete(directories).where(
                tuple_(directories.c.library_id, directories.c.path).in_(above)
            )
        )
        connection.execute(update(files).where(theirs).values(stale=True))

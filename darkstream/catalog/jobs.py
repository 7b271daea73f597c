"""Jobs as people see them: submit, find, cancel, retry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from darkstream.catalog.database import Database
from darkstream.catalog.dependencies import (
    add_dependencies,
    check_present,
    find_obstacle,
)
from darkstream.catalog.endings import cancel_jobs, line_up
from darkstream.catalog.in_place import check_free
from darkstream.catalog.queue import insert_jobs, requeue_ended
from darkstream.catalog.records import (
    ENDED,
    UNFINISHED,
    preset_of,
    queue_of,
    select_jobs,
    to_job,
)
from darkstream.catalog.schema import batches, dispatches, jobs, libraries, replacements, turn
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import DispatchId, JobId, LibraryId, ScanId
from darkstream.model.job import IfFailed, Job, JobStatus
from darkstream.model.preset import Preset
from darkstream.model.replacement import ReplacementState


@dataclass(frozen=True)
class UntoldAttempt:
    """What an attempt whose end nobody told was to write, and where."""

    job: JobId
    destination: bytes
    relative: bytes
    preset: Preset


class Jobs:
    """Every method is one transaction; raises NotFound for a job that is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(  # noqa: PLR0913 - the columns of a job
        self,
        *,
        source: bytes,
        relative: bytes,
        destination: bytes,
        preset: Preset,
        priority: int = 50,
        not_before: datetime | None = None,
        library: LibraryId | None = None,
        scan: ScanId | None = None,
        source_bytes: int | None = None,
        pool: Literal["cpu", "gpu"] = "cpu",
        flow_run: str | None = None,
        after: Sequence[JobId] = (),
        if_failed: IfFailed = "stop",
    ) -> Job:
        """Queue a job; with `flow_run` it is bound to a dispatch of that Prefect flow run.

        It waits until the jobs of `after` have ended. Where one of them has no success, and that
        is the rule, it is cancelled, at once where that is known by now.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            values = {
                "source": source,
                "relative": relative,
                "destination": destination,
                "preset": preset.model_dump_json(),
                "preset_name": preset.name,
                "priority": priority,
                "not_before": None if not_before is None else not_before.timestamp(),
                "library_id": library,
                "scan_id": scan,
                "source_bytes": source_bytes,
                "pool": pool,
                "if_failed": if_failed,
            }
            before = check_present(connection, after)
            (job,) = insert_jobs(connection, now, [values])
            add_dependencies(connection, [job], before)
            line_up(connection, now, [job])
            if flow_run is not None:
                _bind(connection, now, job, pool=pool, priority=priority, flow_run=flow_run)
            return to_job(_row(connection, job))

    def dispatch_of_flow_run(self, flow_run: str) -> DispatchId:
        """The dispatch a flow run works on; raises NotFound."""
        with self._database.read() as connection:
            found = connection.scalar(
                select(dispatches.c.id)
                .where(dispatches.c.flow_run == flow_run)
                .order_by(dispatches.c.id.desc())
            )
        if found is None:
            raise NotFound(f"no dispatch belongs to the flow run {flow_run}")
        return DispatchId(found)

    def get(self, job: JobId) -> Job:
        """One job."""
        with self._database.read() as connection:
            return to_job(_row(connection, job))

    def find(
        self,
        *,
        status: JobStatus | None = None,
        library: str | None = None,
        scan: ScanId | None = None,
        batch: str | None = None,
        replacement: ReplacementState | None = None,
        after: JobId | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Jobs, newest first, older than `after`."""
        query = select_jobs().order_by(jobs.c.id.desc()).limit(limit)
        if status is not None:
            query = query.where(jobs.c.status == status.value)
        if library is not None:
            query = query.where(libraries.c.name == library)
        if scan is not None:
            query = query.where(jobs.c.scan_id == scan)
        if batch is not None:
            query = query.where(batches.c.name == batch)
        if replacement is not None:
            query = query.where(replacements.c.state == replacement.value)
        if after is not None:
            query = query.where(jobs.c.id < after)
        with self._database.read() as connection:
            return [to_job(row) for row in connection.execute(query)]

    def log(self, job: JobId) -> str:
        """What the tools said during its attempts."""
        with self._database.read() as connection:
            _row(connection, job)
            return str(connection.scalar(select(jobs.c.log).where(jobs.c.id == job)))

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        query = select(jobs.c.status, func.count()).group_by(jobs.c.status)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def untold_attempts(self) -> list[UntoldAttempt]:
        """Jobs that may have left something, but for those of a library's destination.

        Of those some attempt did not commit, or they ended with chunks that a retry goes on with.
        """
        query = (
            select(jobs.c.id, jobs.c.destination, jobs.c.relative, jobs.c.preset)
            .join(libraries, libraries.c.id == jobs.c.library_id, isouter=True)
            .where(
                or_(
                    jobs.c.token > 1,
                    and_(jobs.c.token == 1, jobs.c.committed_token.is_(None)),
                    jobs.c.status.in_((JobStatus.failed.value, JobStatus.cancelled.value)),
                ),
                or_(libraries.c.id.is_(None), libraries.c.destination != jobs.c.destination),
            )
        )
        with self._database.read() as connection:
            return [
                UntoldAttempt(JobId(row.id), row.destination, row.relative, preset_of(row))
                for row in connection.execute(query)
            ]

    def cancel(self, job: JobId) -> Job:
        """End a waiting job now, ask a running one to end; raises Conflict where it has ended."""
        with self._database.write() as connection:
            row = _row(connection, job)
            if row.status in UNFINISHED:
                cancel_jobs(connection, self._database.now(connection), [job])
            elif row.status != JobStatus.cancelled:
                raise Conflict(f"job {job} has ended already: it is {row.status}")
            return to_job(_row(connection, job))

    def retry(self, job: JobId) -> Job:
        """Queue an ended job again with new attempts.

        Raises Conflict where it has not ended, a job before it stops it, or its result has taken
        the place of its source.
        """
        with self._database.write() as connection:
            row = _row(connection, job)
            if row.status not in ENDED:
                raise Conflict(f"job {job} has not ended: it is {row.status}")
            if (obstacle := find_obstacle(connection, job)) is not None:
                raise Conflict(
                    f"job {job} waits for job {obstacle.before}, which is {obstacle.how}: "
                    f"retry that one first ('darkstream retry {obstacle.before}')"
                )
            check_free(connection, job)
            requeue_ended(connection, self._database.now(connection), [job])
            return to_job(_row(connection, job))

    def prioritise(self, job: JobId, priority: int) -> Job:
        """Change the priority of a job that has not ended; raises Conflict."""
        with self._database.write() as connection:
            row = _row(connection, job)
            if row.status in ENDED:
                raise Conflict(f"job {job} has ended already: it is {row.status}")
            place = turn(priority, jobs.c.created, jobs.c.cost_s)
            connection.execute(
                update(jobs).where(jobs.c.id == job).values(priority=priority, turn=place)
            )
            return to_job(_row(connection, job))


def _bind(
    connection: Connection, now: float, job: int, *, pool: str, priority: int, flow_run: str
) -> None:
    dispatch = connection.execute(
        insert(dispatches).values(
            pool=pool,
            queue=queue_of(priority),
            flow_run=flow_run,
            created=now,
            heard=now,
            own_job=True,
        )
    ).inserted_primary_key
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job)
        .values(status="dispatched", dispatch_id=dispatch[0] if dispatch else None)
    )


def _row(connection: Connection, job: int) -> Row[Any]:
    row = connection.execute(select_jobs().where(jobs.c.id == job)).one_or_none()
    if row is None:
        raise NotFound(f"there is no job {job}; 'darkstream jobs' lists them")
    return row

"""Who may work on a job now: leases by the database's clock, fencing tokens that only grow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from darkstream.catalog.chunk_rows import HELPER, close_films_that_ended
from darkstream.catalog.database import Database
from darkstream.catalog.dispatches import lose_dispatch, next_unclaimed
from darkstream.catalog.hardware import find_obstacle
from darkstream.catalog.in_place import quarantine_of, rule_of
from darkstream.catalog.nodes import find_rest
from darkstream.catalog.queue import give_back, lose
from darkstream.catalog.records import preset_of
from darkstream.catalog.schema import chunks, dispatches, jobs, scans
from darkstream.catalog.searches import find_hints
from darkstream.errors import LeaseLost
from darkstream.model.base import DispatchId, FencingToken, JobId, LibraryId
from darkstream.model.job import Claim, JobStatus
from darkstream.model.wire import Heartbeat, HeartbeatAnswer
from darkstream.settings import LeaseSettings

_LONG_S = 10.0
_BUSY_S = 10.0
"""A job that no GPU could take is tried again after so long."""


class Leases:
    """Every method is one transaction."""

    def __init__(self, database: Database, lease: LeaseSettings) -> None:
        self._database = database
        self._lease = lease
        self._looked: float | None = None

    def claim(
        self,
        dispatch: DispatchId,
        node: str,
        flow_run: str,
        *,
        asked: str | None = None,
        adopt_s: float = 0.0,
    ) -> Claim | None:
        """The next job of a dispatch, None when there is none left or the dispatch has ended.

        None for a node that rests, too, and for one whose GPU cannot do the job, or has no encoding
        session free for it: that goes back into the queue for some seconds.

        A flow run that has none left adopts the next one that nobody works on, of its queue and of
        at most `adopt_s` seconds of work: going on is cheaper than another flow run.

        A flow run works on one job at a time: what it holds when it asks for the next one was
        abandoned, and counts as lost. But the same claim `asked` for again is that of an answer
        that never arrived: it gets the job that it was given, unless somebody took that back.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            is_open = (dispatches.c.id == dispatch, dispatches.c.ended.is_(None))
            former = connection.execute(select(dispatches.c.asked).where(*is_open)).one_or_none()
            if former is None:
                return None
            connection.execute(update(dispatches).where(*is_open).values(heard=now, asked=asked))
            held_still = _held_by(connection, dispatch, flow_run)
            if asked is not None and former.asked == asked:
                return self._give_again(connection, now, held_still[0]) if held_still else None
            self._take_back(connection, now, dispatch, held_still)
            if find_rest(connection, now, node) is not None:
                return None
            row = connection.execute(
                select(jobs)
                .where(jobs.c.dispatch_id == dispatch, jobs.c.status == JobStatus.dispatched.value)
                .order_by(jobs.c.turn, jobs.c.id)
                .limit(1)
            ).one_or_none()
            if row is None and adopt_s > 0:
                row = next_unclaimed(connection, now, dispatch, adopt_s)
            if row is None:
                return None
            if (reason := find_obstacle(connection, now, node, row)) is not None:
                give_back(connection, now, row, reason, not_before=now + _BUSY_S)
                return None
            values = {
                "status": JobStatus.running.value,
                "dispatch_id": dispatch,
                "blocked_by": None,
                "token": row.token + 1,
                "attempts": row.attempts + 1,
                "reason": "",
                "node": node,
                "flow_run": flow_run,
                "started": now,
                "lease_until": now + self._lease.expiry_s,
            }
            connection.execute(update(jobs).where(jobs.c.id == row.id).values(**values))
            return self._claim(connection, row, token=row.token + 1, attempt=row.attempts + 1)

    def _give_again(self, connection: Connection, now: float, row: Row[Any]) -> Claim:
        lease = update(jobs).where(jobs.c.id == row.id)
        connection.execute(lease.values(lease_until=now + self._lease.expiry_s))
        return self._claim(connection, row, token=row.token, attempt=row.attempts)

    def _take_back(
        self, connection: Connection, now: float, dispatch: int, held_still: Sequence[Row[Any]]
    ) -> None:
        reason = "its flow run asked for the next job without ending this one"
        most = self._lease.max_attempts
        again = {"status": JobStatus.dispatched.value, "dispatch_id": dispatch}
        for row in held_still:
            lose(connection, now, row, reason, most, **again)

    def _claim(self, connection: Connection, row: Row[Any], *, token: int, attempt: int) -> Claim:
        return Claim(
            job=JobId(row.id),
            token=FencingToken(token),
            attempt=attempt,
            source=row.source,
            relative=row.relative,
            destination=row.destination,
            preset=preset_of(row),
            library=None if row.library_id is None else LibraryId(row.library_id),
            in_place=rule_of(connection, row),
            quarantine=quarantine_of(connection, row.id),
            hints=find_hints(connection, row),
            heartbeat_s=self._lease.heartbeat_s,
            lease_s=self._lease.expiry_s,
        )

    def beat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Renew leases; the answer names the jobs to stop, and says how the node is to rest."""
        cancel: list[JobId] = []
        lost: list[JobId] = []
        with self._database.write() as connection:
            now = self._database.now(connection)
            for lease in heartbeat.leases:
                row = connection.execute(select(jobs).where(jobs.c.id == lease.job)).one_or_none()
                if row is None or row.token != lease.token or row.status != JobStatus.running:
                    (cancel if was_cancelled(row, lease.token) else lost).append(lease.job)
                    continue
                values = {"lease_until": now + self._lease.expiry_s}
                if lease.progress is not None and lease.progress.finished_chunks:
                    # A film that gets on is not one that kills workers, however many it lost.
                    values["attempts"] = 1
                connection.execute(update(jobs).where(jobs.c.id == lease.job).values(**values))
                if row.cancel_requested:
                    cancel.append(lease.job)
            rest = find_rest(connection, now, heartbeat.node)
        return HeartbeatAnswer(cancel=tuple(cancel), lost=tuple(lost), rest=rest)

    def expire(self) -> list[JobId]:
        """Take the jobs of silent workers back; returns them. To be called every few seconds.

        Where that was not done for long, because the machine slept or the database was busy, no
        worker could be heard: all of them get one more period.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            looked, self._looked = self._looked, now
            if looked is not None and now - looked > max(_LONG_S, self._lease.expiry_s / 2):
                self._extend(connection, now)
                return []
            silent = connection.scalars(
                select(jobs.c.dispatch_id)
                .where(jobs.c.status == JobStatus.running.value, jobs.c.lease_until < now)
                .distinct()
            ).all()
            reason = f"it was silent for {self._lease.expiry_s:.0f} s"
            silent_helpers = connection.scalars(
                select(chunks.c.dispatch_id)
                .where(chunks.c.state == HELPER, chunks.c.lease_until < now)
                .distinct()
            ).all()
            close_films_that_ended(connection)
            taken = [
                lose_dispatch(connection, now, dispatch, reason, self._lease.max_attempts)
                for dispatch in (*silent, *silent_helpers)
            ]
            return [job for jobs_taken in taken for job in jobs_taken]

    def extend_all(self) -> None:
        """Give every worker one more period: they could not renew while the server was away.

        Scans that wait for their flow run get it anew: nobody remembers which one was made.
        """
        with self._database.write() as connection:
            self._extend(connection, self._database.now(connection))
            waiting = update(scans).where(scans.c.status == "queued")
            connection.execute(waiting.values(flow_run=None))

    def _extend(self, connection: Connection, now: float) -> None:
        connection.execute(
            update(jobs)
            .where(jobs.c.status == JobStatus.running.value)
            .values(lease_until=now + self._lease.expiry_s)
        )
        helping = update(chunks).where(chunks.c.state == HELPER)
        connection.execute(helping.values(lease_until=now + self._lease.expiry_s))
        # A scan seen at 0 is known to be lost, and stays so.
        walking = update(scans).where(scans.c.status == "running", scans.c.seen > 0)
        connection.execute(walking.values(seen=now))


def _held_by(connection: Connection, dispatch: int, flow_run: str) -> Sequence[Row[Any]]:
    """What a flow run works on."""
    return connection.execute(
        select(jobs).where(
            jobs.c.dispatch_id == dispatch,
            jobs.c.status == JobStatus.running.value,
            jobs.c.flow_run == flow_run,
        )
    ).all()


def held(connection: Connection, job: int, token: int) -> Row[Any]:
    """The running job whose newest token this is; raises LeaseLost."""
    row = connection.execute(select(jobs).where(jobs.c.id == job)).one_or_none()
    if row is None or row.token != token or row.status != JobStatus.running:
        what = "was cancelled" if was_cancelled(row, token) else "is no longer this worker's"
        raise LeaseLost(f"job {job} {what}: stop, and publish nothing")
    return row


def was_cancelled(row: Row[Any] | None, token: int) -> bool:
    """Whether a job ended as cancelled under this token, perhaps without its worker."""
    return row is not None and row.token == token and row.status == JobStatus.cancelled

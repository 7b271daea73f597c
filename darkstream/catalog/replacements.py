"""Originals that results take the place of: what was asked for, what is due, where each stands."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, or_, select, update

from darkstream.catalog.database import Database
from darkstream.catalog.in_place import DAY_S, find, follow_file, record_of, write
from darkstream.catalog.keeping import keep_time
from darkstream.catalog.leases import held
from darkstream.catalog.listing import chunks
from darkstream.catalog.records import ENDED, outcome_of
from darkstream.catalog.schema import jobs, libraries, replacements, results, scans, targets
from darkstream.errors import Conflict, NotFound
from darkstream.model.base import JobId, ScanId
from darkstream.model.job import OutputFile
from darkstream.model.replacement import Replacement, ReplacementAction, ReplacementState
from darkstream.model.wire import ReplacementEnd, ReplacementOrder, ReplacementReport

_MOST = 200
_ABANDONED = and_(replacements.c.state == ReplacementState.placing.value, jobs.c.status.in_(ENDED))
"""Of jobs that ended otherwise."""
Wish = Literal["approve", "keep", "undo"]
_FROM: dict[Wish, ColumnElement[bool]] = {
    "approve": replacements.c.state == ReplacementState.pending.value,
    "keep": replacements.c.state == ReplacementState.pending.value,
    "undo": or_(replacements.c.state == ReplacementState.placed.value, _ABANDONED),
}
_NOT_YET = "a result that waits is put in place by 'approve' or thrown away by 'keep'"


class Replacements:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, job: JobId, report: ReplacementReport) -> None:
        """An attempt is about to replace its original; raises LeaseLost."""
        with self._database.write() as connection:
            row = held(connection, job, report.token)
            values: dict[str, Any] = {
                "state": ReplacementState.placing.value,
                "root": row.destination,
                "quarantine": report.quarantine,
                "kept_until": None,
                "requested": None,
                "force": False,
                "asked": None,
                "error": "",
                "record": None,
            }
            if report.replacement is not None:
                values |= record_of(report.replacement)
            write(connection, job, values)

    def request(self, job: JobId, wish: Wish, *, force: bool = False) -> None:
        """Ask for something; raises NotFound, and Conflict where it cannot be."""
        with self._database.write() as connection:
            if connection.scalar(select(jobs.c.id).where(jobs.c.id == job)) is None:
                raise NotFound(f"there is no job {job}; 'darkstream jobs' lists them")
            now = self._database.now(connection)
            query = select(replacements, _FROM[wish].label("may_be")).join(jobs)
            row = connection.execute(query.where(replacements.c.job_id == job)).one_or_none()
            _check(job, row, wish)
            _ask(connection, now, [job], wish, force=force)

    def request_scan(self, scan: ScanId, *, force: bool = False) -> list[JobId]:
        """Ask for the originals of a scan's jobs to be put back; raises NotFound, Conflict."""
        with self._database.write() as connection:
            if connection.scalar(select(scans.c.id).where(scans.c.id == scan)) is None:
                raise NotFound(f"there is no scan {scan}")
            return self._request_all(connection, "undo", jobs.c.scan_id == scan, force=force)

    def request_waiting(self, wish: Wish, library: str | None) -> list[JobId]:
        """Ask for all results that wait, or those of a library; raises NotFound, Conflict."""
        with self._database.write() as connection:
            if library is None:
                return self._request_all(connection, wish, jobs.c.id.is_not(None))
            found = connection.scalar(select(libraries.c.id).where(libraries.c.name == library))
            if found is None:
                raise NotFound(f"there is no library {library!r}")
            return self._request_all(connection, wish, jobs.c.library_id == found)

    def _request_all(
        self,
        connection: Connection,
        wish: Wish,
        which: Any,  # noqa: ANN401 - a condition
        *,
        force: bool = False,
    ) -> list[JobId]:
        query = (
            select(replacements.c.job_id)
            .join(jobs, jobs.c.id == replacements.c.job_id)
            .where(
                _FROM[wish],
                which,
                # What somebody asked for of one job is not to be overruled by "all".
                or_(replacements.c.requested.is_(None), replacements.c.requested == wish),
            )
            .order_by(replacements.c.job_id)
        )
        found = [JobId(job) for job in connection.scalars(query)]
        _ask(connection, self._database.now(connection), found, wish, force=force)
        return found

    def keep_time(self) -> None:
        """See how much of the originals' time has passed; to be called every few minutes."""
        with self._database.write() as connection:
            keep_time(connection, self._database.now(connection))

    def orders(self) -> tuple[ReplacementOrder, ...]:
        """What is to be done now: what was asked for, what has expired, what was abandoned."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            keep_time(connection, now)
            due = and_(
                replacements.c.state == ReplacementState.placed.value,
                replacements.c.kept_until <= now,
            )
            rows = connection.execute(
                select(replacements)
                .join(jobs, jobs.c.id == replacements.c.job_id)
                .where(or_(replacements.c.requested.is_not(None), due, _ABANDONED))
                # What somebody waits for first, and what failed before last: a disk that is away
                # must not hold up the others.
                .order_by(
                    replacements.c.requested.is_(None),
                    replacements.c.error != "",
                    func.coalesce(replacements.c.asked, 0.0),
                    replacements.c.job_id,
                )
                .limit(_MOST)
            )
            return tuple(map(_to_order, rows))

    def asked(self) -> float | None:
        """Since when something waits to be done that should be done at once; the newest of it."""
        wanted = select(func.max(replacements.c.asked)).where(replacements.c.requested.is_not(None))
        left = select(func.max(jobs.c.ended)).select_from(replacements.join(jobs))
        with self._database.read() as connection:
            untried = and_(_ABANDONED, replacements.c.error == "")
            found = connection.scalar(wanted), connection.scalar(left.where(untried))
        return max((one for one in found if one is not None), default=None)

    def now(self) -> float:
        """Seconds since the epoch by the database's clock."""
        with self._database.read() as connection:
            return self._database.now(connection)

    def settle(self, job: JobId, end: ReplacementEnd) -> None:
        """An order was carried out, or could not be; said again it changes nothing."""
        with self._database.write() as connection:
            row = find(connection, job)
            if row is None:
                return
            # An original that is gone is, whatever was wished while it was removed.
            gone = (row.state, end.state) == ("placed", ReplacementState.expired)
            if _to_order(row).action != end.action and not gone:
                return
            if end.action == "abandon" and not _has_ended(connection, job):
                return  # it was tried again meanwhile: what is in place now is the new attempt's
            values: dict[str, Any] = {"requested": None, "asked": None, "error": end.error}
            if end.state is None:
                values["asked"] = self._database.now(connection)  # those tried longer ago go first
                write(connection, job, values)
            elif end.action == "abandon":
                connection.execute(delete(replacements).where(replacements.c.job_id == job))
            else:
                now = self._database.now(connection)
                _settle(connection, now, row, end, values)


def _settle(
    connection: Connection, now: float, row: Row[Any], end: ReplacementEnd, values: dict[str, Any]
) -> None:
    job, state = row.job_id, end.state
    values["state"] = state
    if state is ReplacementState.placed:
        keep_time(connection, now)
        values["kept_until"] = now + row.keep_days * DAY_S
    else:
        values["kept_until"] = row.kept_until if state is ReplacementState.expired else None
    if end.replacement is not None:
        values |= record_of(end.replacement)
    write(connection, job, values)
    if end.file is not None:
        follow_file(connection, job, end.file)
    if state is ReplacementState.placed and end.replacement is not None:
        what = end.replacement
        output = OutputFile(path=what.target, size=what.result.size, blake3=what.result.blake3)
        _rewrite_outputs(connection, job, (output,))
        kept = update(targets).where(targets.c.job_id == job, targets.c.path == what.target)
        connection.execute(kept.values(published=what.result.blake3, offered=""))
    elif state in (ReplacementState.undone, ReplacementState.kept):
        text = values.get("record", row.record)
        if text is not None and (end.file is not None or state is ReplacementState.undone):
            # Renamed, the result took the job along, which is the original's again.
            _return_source(connection, job, Replacement.model_validate_json(text))
        # There is no result any more: neither for others to copy, nor to be told from sources.
        _rewrite_outputs(connection, job, ())
        connection.execute(delete(results).where(results.c.job_id == job))
        connection.execute(delete(targets).where(targets.c.job_id == job))


def _return_source(connection: Connection, job: int, what: Replacement) -> None:
    source = os.path.join(what.root, what.source)
    back = update(jobs).where(jobs.c.id == job)
    connection.execute(back.values(source=source, relative=what.source))


def _has_ended(connection: Connection, job: JobId) -> bool:
    return connection.scalar(select(jobs.c.status).where(jobs.c.id == job)) in ENDED


def _rewrite_outputs(connection: Connection, job: int, outputs: Sequence[OutputFile]) -> None:
    row = connection.execute(select(jobs.c.outcome).where(jobs.c.id == job)).one()
    outcome = outcome_of(row)
    if outcome is None:
        return
    first = outputs[0].path if outputs else None
    changed = outcome.model_copy(update={"outputs": tuple(outputs), "presentation": first})
    text = changed.model_dump_json()
    connection.execute(update(jobs).where(jobs.c.id == job).values(outcome=text))


def _ask(
    connection: Connection, now: float, ids: Sequence[int], wish: Wish, *, force: bool
) -> None:
    values: dict[str, Any] = {"requested": wish, "force": force, "asked": now, "error": ""}
    for some in chunks(ids):
        connection.execute(
            update(replacements).where(replacements.c.job_id.in_(some)).values(**values)
        )


def _check(job: int, row: Row[Any] | None, wish: Wish) -> None:
    """Raise Conflict where a wish cannot be."""
    if row is None:
        raise Conflict(f"job {job} replaced nothing: its library keeps originals where they are")
    if row.requested not in (None, wish):
        raise Conflict(f"job {job}: {row.requested} was asked for just now; wait for its end")
    if row.may_be:
        return
    if wish == "undo" and row.state == ReplacementState.expired:
        until = datetime.fromtimestamp(row.kept_until or 0, UTC).date().isoformat()
        raise Conflict(f"job {job}: the original was kept until {until} and is gone for good")
    reasons = {
        ReplacementState.placing: "its result is just being put in place",
        ReplacementState.pending: f"its result is not in place: {_NOT_YET}",
        ReplacementState.placed: "its result is in place already; 'undo' takes it back",
        ReplacementState.kept: "its result was thrown away and the original is where it was",
        ReplacementState.undone: "the original was put back already",
        ReplacementState.expired: "its result is in place for good",
    }
    raise Conflict(f"job {job}: {reasons[ReplacementState(row.state)]}")


def _to_order(row: Row[Any]) -> ReplacementOrder:
    action: ReplacementAction
    if row.requested is not None:
        action = row.requested
    else:
        action = "expire" if row.state == ReplacementState.placed else "abandon"
    return ReplacementOrder(
        job=JobId(row.job_id),
        root=row.root,
        quarantine=row.quarantine,
        action=action,
        force=row.force,
        replacement=None if row.record is None else Replacement.model_validate_json(row.record),
    )

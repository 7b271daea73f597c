"""Analyses: what people have analysed by workers, and what was found, for some days."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update

from darkstream.catalog.database import PIECE, Database
from darkstream.catalog.records import exact, moment
from darkstream.catalog.schema import analyses, analysis_results
from darkstream.errors import Conflict, NotFound
from darkstream.model.analyses import (
    MOST_BYTES,
    SHOWN_PATHS,
    AnalysisEnd,
    AnalysisOrder,
    AnalysisProgress,
    AnalysisPulse,
    AnalysisResults,
    AnalysisRun,
    AnalysisWorker,
)
from darkstream.model.analysis import Depth
from darkstream.model.base import AnalysisId
from darkstream.model.paths import display

KEPT_S = 7 * 86400.0
"""Analyses that are over stay so long."""
_SILENT_S = 30.0
_MAX_ATTEMPTS = 3
_PAGE = 100
_UNDER_WAY = ("queued", "running")
_BRIEF = tuple(column for column in analyses.c if column is not analyses.c.asked)
"""All but what may be long."""


@dataclass(frozen=True)
class AnalysisUnderWay:
    """One that has a flow run and is not over."""

    id: AnalysisId
    status: Literal["queued", "running"]
    flow_run: str


class Analyses:
    """Raises NotFound for an analysis that is not there; many results are forgotten in pieces."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, order: AnalysisOrder) -> AnalysisRun:
        """Queue an analysis."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            brief = order.model_copy(update={"paths": order.paths[:SHOWN_PATHS]})
            row = {
                "status": "queued",
                "asked": order.model_dump_json(),
                "brief": brief.model_dump_json(),
                "path_count": len(order.paths),
                "created": now,
            }
            key = connection.execute(insert(analyses).values(**row)).inserted_primary_key
            return _to_run(_row(connection, int(key[0]) if key else 0), order)

    def get(self, analysis: AnalysisId) -> AnalysisRun:
        """One analysis with all its paths, and how far it is."""
        with self._database.read() as connection:
            return _to_run(_row(connection, analysis), _asked(connection, analysis))

    def progress(self, analysis: AnalysisId) -> AnalysisProgress:
        """How far one is."""
        with self._database.read() as connection:
            return AnalysisProgress(**_progress(_row(connection, analysis)))

    def find(self, *, after: AnalysisId | None = None, limit: int = 50) -> list[AnalysisRun]:
        """Analyses, newest first, older than `after`; of their paths the first few."""
        query = select(*_BRIEF).order_by(analyses.c.id.desc()).limit(limit)
        if after is not None:
            query = query.where(analyses.c.id < after)
        with self._database.read() as connection:
            return [_to_run(row) for row in connection.execute(query)]

    def results(self, analysis: AnalysisId) -> Iterator[str]:
        """What was found so far: a line of JSON a file, read page by page."""
        last = -1
        while True:
            query = (
                select(analysis_results.c.number, analysis_results.c.line)
                .where(analysis_results.c.analysis_id == analysis, analysis_results.c.number > last)
                .order_by(analysis_results.c.number)
                .limit(_PAGE)
            )
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            yield from (row.line for row in rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1].number

    def remove(self, analysis: AnalysisId) -> None:
        """Forget one with its results; a worker that is at it learns that it is over."""
        with self._database.write() as connection:
            _row(connection, analysis)
            now = self._database.now(connection)
            _end(connection, now, analysis, "cancelled", "it is being forgotten")
        while self._forget_some(analysis):
            pass

    def prune(self) -> bool:
        """Forget one that is over and old; whether there may be more."""
        with self._database.read() as connection:
            oldest = self._database.now(connection) - KEPT_S
            over = select(analyses.c.id).where(analyses.c.ended < oldest)
            found = connection.scalar(over.order_by(analyses.c.ended).limit(1))
        if found is None:
            return False
        while self._forget_some(found):
            pass
        return True

    def _forget_some(self, analysis: int) -> bool:
        """Some of its results, or the last of them and itself; whether it is still there."""
        mine = analysis_results.c.analysis_id == analysis
        with self._database.write() as connection:
            some = select(analysis_results.c.number).where(mine).limit(PIECE)
            numbers = list(connection.scalars(some))
            connection.execute(
                delete(analysis_results).where(mine, analysis_results.c.number.in_(numbers))
            )
            if len(numbers) == PIECE:
                return True
            connection.execute(delete(analyses).where(analyses.c.id == analysis))
            return False

    # Flow runs

    def queued(self, limit: int) -> list[AnalysisRun]:
        """The oldest that need a flow run, so that at most `limit` are under way at once."""
        busy = analyses.c.status.in_(_UNDER_WAY)
        with self._database.read() as connection:
            bound = select(analyses.c.id).where(busy, analyses.c.flow_run.is_not(None))
            free = limit - len(connection.scalars(bound).all())
            waiting = select(*_BRIEF).where(busy, analyses.c.flow_run.is_(None))
            rows = connection.execute(waiting.order_by(analyses.c.id).limit(max(0, free)))
            return [_to_run(row) for row in rows]

    def bind(self, analysis: AnalysisId, flow_run: str) -> None:
        """The flow run of an analysis is made; one that took it on meanwhile keeps it."""
        with self._database.write() as connection:
            free = update(analyses).where(analyses.c.id == analysis, analyses.c.flow_run.is_(None))
            connection.execute(free.values(flow_run=flow_run))

    def under_way(self) -> list[AnalysisUnderWay]:
        """All that have a flow run and are not over."""
        query = select(analyses.c.id, analyses.c.status, analyses.c.flow_run).where(
            analyses.c.status.in_(_UNDER_WAY), analyses.c.flow_run.is_not(None)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [AnalysisUnderWay(AnalysisId(row.id), row.status, row.flow_run) for row in rows]

    def cancel(self, analysis: AnalysisId, flow_run: str, reason: str) -> None:
        """Its flow run was cancelled."""
        with self._database.write() as connection:
            if _is_bound(connection, analysis, flow_run):
                now = self._database.now(connection)
                _end(connection, now, analysis, "cancelled", reason)

    def lose(self, analysis: AnalysisId, flow_run: str) -> None:
        """Its flow run is no more: it is queued again, or has failed the third time."""
        with self._database.write() as connection:
            if _is_bound(connection, analysis, flow_run):
                now = self._database.now(connection)
                _lose(connection, now, _row(connection, analysis))

    def expire(self) -> bool:
        """Queue those of silent workers again; whether there were any."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            silent = select(*_BRIEF).where(
                analyses.c.status == "running", analyses.c.seen < now - _SILENT_S
            )
            rows = connection.execute(silent).all()
            for row in rows:
                _lose(connection, now, row)
            return len(rows) > 0

    def extend_all(self) -> None:
        """Give every worker one more period: they could not be heard while no server was there."""
        with self._database.write() as connection:
            running = update(analyses).where(analyses.c.status == "running")
            connection.execute(running.values(seen=self._database.now(connection)))

    # The worker's side

    def order(self, analysis: AnalysisId, worker: AnalysisWorker) -> AnalysisOrder:
        """Give it to a worker, from its beginning; raises Conflict where it is over or another's.

        Said again by the same worker it is given again.
        """
        with self._database.write() as connection:
            row = _row(connection, analysis)
            if row.status not in _UNDER_WAY:
                raise Conflict(f"analysis {analysis} is {row.status}: there is nothing to do")
            if row.status == "running" and row.flow_run != worker.flow_run:
                raise Conflict(f"another flow run is at analysis {analysis}")
            _drop_results(connection, analysis)
            connection.execute(
                update(analyses)
                .where(analyses.c.id == analysis)
                .values(
                    status="running",
                    node=worker.node,
                    flow_run=worker.flow_run,
                    seen=self._database.now(connection),
                )
            )
            return _asked(connection, analysis)

    def keep(self, analysis: AnalysisId, pulse: AnalysisPulse) -> bool:
        """Its worker is alive; false once it is over or another's."""
        with self._database.write() as connection:
            if not _is_done_by(connection, analysis, pulse):
                return False
            known = {} if pulse.files is None else {"files": pulse.files}
            this = update(analyses).where(analyses.c.id == analysis)
            connection.execute(this.values(seen=self._database.now(connection), **known))
            return True

    def add_results(self, analysis: AnalysisId, results: AnalysisResults) -> bool:
        """Remember results; false once it is over, as where they become too many.

        Those that are there already are left out. Raises Conflict where some are missing.
        """
        with self._database.write() as connection:
            if not _is_done_by(connection, analysis, results):
                return False
            row = _row(connection, analysis)
            if results.first > row.analysed:
                raise Conflict(f"analysis {analysis} has {row.analysed} results so far")
            new = results.results[row.analysed - results.first :]
            lines = [one.model_dump_json() for one in new]
            size = row.result_bytes + sum(len(line.encode()) for line in lines)
            now = self._database.now(connection)
            if size > MOST_BYTES:
                reason = f"its results take more than {MOST_BYTES >> 20} MiB: analyse fewer files"
                _end(connection, now, analysis, "failed", reason)
                return False
            _add_lines(connection, analysis, row.analysed, lines)
            connection.execute(
                update(analyses)
                .where(analyses.c.id == analysis)
                .values(
                    seen=now,
                    analysed=row.analysed + len(new),
                    failed=row.failed + sum(one.status == "failed" for one in new),
                    result_bytes=size,
                )
            )
            return True

    def release(self, analysis: AnalysisId, worker: AnalysisWorker) -> None:
        """Its worker is stopped and gives it back: queued again, and not counted as lost."""
        with self._database.write() as connection:
            if _is_bound(connection, analysis, worker.flow_run):
                releases = analyses.c.releases + 1
                _queue_again(connection, analysis, releases=releases)

    def finish(self, analysis: AnalysisId, end: AnalysisEnd) -> None:
        """There are no more results; saying it again changes nothing."""
        with self._database.write() as connection:
            if _is_done_by(connection, analysis, end):
                status = "failed" if end.reason else "done"
                _end(connection, self._database.now(connection), analysis, status, end.reason)


def _row(connection: Connection, analysis: int) -> Row[Any]:
    query = select(*_BRIEF).where(analyses.c.id == analysis)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no analysis {analysis}: they are kept for seven days")
    return row


def _asked(connection: Connection, analysis: int) -> AnalysisOrder:
    query = select(analyses.c.asked).where(analyses.c.id == analysis)
    return AnalysisOrder.model_validate_json(connection.execute(query).scalar_one())


def _to_run(row: Row[Any], asked: AnalysisOrder | None = None) -> AnalysisRun:
    order = asked or AnalysisOrder.model_validate_json(row.brief)
    inexact = any(exact(path) is not None for path in order.paths)
    return AnalysisRun(
        **{name: getattr(order, name) for name in Depth.model_fields},
        **_progress(row),
        paths=tuple(map(display, order.paths)),
        paths_b64=tuple(map(_base64, order.paths)) if inexact else None,
        path_count=row.path_count,
    )


def _progress(row: Row[Any]) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in AnalysisProgress.model_fields}
    return {**told, "created": moment(row.created), "ended": moment(row.ended)}


def _base64(path: bytes) -> str:
    return base64.b64encode(path).decode("ascii")


def _is_done_by(connection: Connection, analysis: int, worker: AnalysisWorker) -> bool:
    query = select(analyses.c.flow_run).where(
        analyses.c.id == analysis, analyses.c.status == "running"
    )
    return bool(connection.scalar(query) == worker.flow_run)


def _is_bound(connection: Connection, analysis: int, flow_run: str) -> bool:
    query = select(analyses.c.flow_run).where(
        analyses.c.id == analysis, analyses.c.status.in_(_UNDER_WAY)
    )
    return bool(connection.scalar(query) == flow_run)


def _lose(connection: Connection, now: float, row: Row[Any]) -> None:
    if row.attempts + 1 >= _MAX_ATTEMPTS:
        reason = f"the worker was lost {_MAX_ATTEMPTS} times"
        _end(connection, now, row.id, "failed", reason, attempts=_MAX_ATTEMPTS)
        return
    _queue_again(connection, row.id, attempts=row.attempts + 1)


def _queue_again(connection: Connection, analysis: int, **counted: Any) -> None:  # noqa: ANN401 - columns
    this = update(analyses).where(analyses.c.id == analysis)
    free = {"status": "queued", "flow_run": None, "node": None, "seen": None}
    connection.execute(this.values(**free, **counted))


def _end(
    connection: Connection,
    now: float,
    analysis: int,
    status: str,
    reason: str,
    **values: Any,  # noqa: ANN401 - columns
) -> None:
    this = update(analyses).where(analyses.c.id == analysis)
    connection.execute(this.values(status=status, ended=now, reason=reason, **values))


def _drop_results(connection: Connection, analysis: int) -> None:
    """What another worker found before it was lost is found again."""
    connection.execute(delete(analysis_results).where(analysis_results.c.analysis_id == analysis))
    this = update(analyses).where(analyses.c.id == analysis)
    connection.execute(this.values(files=None, analysed=0, failed=0, result_bytes=0))


def _add_lines(connection: Connection, analysis: int, first: int, lines: Sequence[str]) -> None:
    if lines:
        rows = [
            {"analysis_id": analysis, "number": first + number, "line": line}
            for number, line in enumerate(lines)
        ]
        connection.execute(insert(analysis_results), rows)

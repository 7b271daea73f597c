"""How fast nodes work, learnt from the jobs that are done; what jobs probably cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select, update

from darkstream.catalog.chunk_rows import was_helped
from darkstream.catalog.database import Database
from darkstream.catalog.records import WAITING
from darkstream.catalog.schema import jobs, paces, speeds, turn
from darkstream.model.job import Outcome
from darkstream.model.preset import Preset
from darkstream.model.work import Estimate, Rates, Work, WorkClass
from darkstream.planning.estimates import estimate_seconds, estimate_work
from darkstream.planning.speeds import LATEST, START_S, class_of, learn, name_preset, rate_of

_EVERYWHERE = 0
_JUDGE_AGAIN = (4, LATEST)
"""After so many jobs of a library those that wait are judged by them."""
_MANY = 1 << 40
"""Bytes of which a cost is all work, and no start."""


class Speeds:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_nodes(self) -> dict[str, dict[WorkClass, Rates]]:
        """What was measured on each node."""
        with self._database.read() as connection:
            rows = connection.execute(select(speeds)).all()
        found: dict[str, dict[WorkClass, Rates]] = {}
        for row in rows:
            kind = WorkClass(encoder=row.encoder, speed=row.speed, size=row.size)
            found.setdefault(row.node, {})[kind] = _rates(row)
        return found


class Costs:
    """What jobs cost of which only the size is known; what was measured is read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str, int, str], tuple[Preset, Rates, Rates]] = {}

    def of(self, job: Mapping[str, Any], source_bytes: int) -> float:
        """Seconds on one slot, by the columns of a job."""
        return self.estimate(job, source_bytes).seconds

    def estimate(self, job: Mapping[str, Any], source_bytes: int) -> Estimate:
        """The same, with where it comes from."""
        library = job.get("library_id") or _EVERYWHERE
        key = (job["preset"], library, job["pool"])
        if key not in self._known:
            preset = Preset.model_validate_json(job["preset"])
            name = name_preset(preset, job["pool"])
            mine = _read(self._connection, paces, library_id=library, preset=name)
            like = _read(self._connection, paces, library_id=_EVERYWHERE, preset=name)
            self._known[key] = preset, mine if library else (), like
        preset, mine, like = self._known[key]
        return estimate_seconds(source_bytes, preset, library=mine, like=like)


def correct_cost(connection: Connection, row: Row[Any], work: Work | None) -> None:
    """Now that a job is planned, its cost is that of its work on the node that does it.

    And so is its turn, should it come into the queue again.
    """
    values: dict[str, Any] = {"work": None}
    if work is not None:
        kind = class_of(work).model_dump()
        rates = _read(connection, speeds, node=row.node, **kind)
        cost = estimate_work(work, rates).seconds
        place = turn(row.priority, row.created, cost)
        values = {"work": work.model_dump_json(), "cost_s": cost, "turn": place}
    connection.execute(update(jobs).where(jobs.c.id == row.id).values(**values))


def learn_speed(connection: Connection, job: int, outcome: Outcome) -> None:
    """Remember how long a job took, if it was done in one go: what was there already cost nothing.

    What others helped with says nothing of a node. What a library's jobs take a byte is what its
    later ones are expected to.
    """
    if outcome.status != "done" or outcome.reused is not None:
        return
    columns = (jobs.c.token, jobs.c.node, jobs.c.library_id, jobs.c.preset, jobs.c.pool)
    query = select(*columns, jobs.c.work, jobs.c.source_bytes).where(jobs.c.id == job)
    row = connection.execute(query).one()
    if row.token > 1 or was_helped(connection, job):
        return
    if row.work is not None:
        work = Work.model_validate_json(row.work)
        kind = class_of(work).model_dump()
        _note(connection, speeds, rate_of(work.amount, outcome.wall_s), node=row.node, **kind)
    name = name_preset(Preset.model_validate_json(row.preset), row.pool)
    pace = rate_of(row.source_bytes or 0, outcome.wall_s)
    _note(connection, paces, pace, library_id=_EVERYWHERE, preset=name)
    if row.library_id is not None:
        known = _note(connection, paces, pace, library_id=row.library_id, preset=name)
        if known in _JUDGE_AGAIN:
            _judge_again(connection, row)


def _judge_again(connection: Connection, like: Row[Any]) -> None:
    """Those of a library that wait, and came before its pace was known, cost what it says now.

    Not their turns: the pace changes all alike, and an index of 100,000 would be written anew.
    """
    per_byte = Costs(connection).of(like._asdict(), _MANY) / _MANY
    waiting = (jobs.c.status.in_(WAITING), jobs.c.work.is_(None))
    alike = (jobs.c.library_id == like.library_id, jobs.c.pool == like.pool)
    connection.execute(
        update(jobs)
        .where(*waiting, *alike, jobs.c.preset == like.preset, jobs.c.source_bytes.is_not(None))
        .values(cost_s=START_S + jobs.c.source_bytes * per_byte)
    )


def _note(connection: Connection, table: Table, rate: float | None, **key: Any) -> int | None:  # noqa: ANN401 - columns
    """Note one more measurement; which one of its kind it is, None where there was none."""
    if rate is None:
        return None
    before = _read(connection, table, **key)
    rates = json.dumps(learn(before, rate))
    known = update(table).filter_by(**key).values(rates=rates)
    if not connection.execute(known).rowcount:
        connection.execute(insert(table).values(**key, rates=rates))
    return len(before) + 1


def _read(connection: Connection, table: Table, **key: Any) -> Rates:  # noqa: ANN401 - columns
    row = connection.execute(select(table.c.rates).filter_by(**key)).one_or_none()
    return () if row is None else _rates(row)


def _rates(row: Row[Any]) -> Rates:
    return tuple(json.loads(row.rates))

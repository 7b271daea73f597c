"""Nodes: what each worker last said of itself, and whether it is to rest."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from darkstream.catalog.chunk_rows import count_helped
from darkstream.catalog.database import Database
from darkstream.catalog.records import moment
from darkstream.catalog.schema import jobs, nodes
from darkstream.errors import NotFound
from darkstream.model.job import JobStatus
from darkstream.model.node import Hours, PauseKind
from darkstream.model.wire import Node, NodeReport
from darkstream.planning.hours import next_change, rest_of

_LIVE_S = 30.0


class Nodes:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, name: str, report: NodeReport) -> PauseKind | None:
        """Remember what a node says of itself; how it is to rest."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            hours = None if report.hours is None else report.hours.model_dump_json()
            values = {"report": report.model_dump_json(), "hours": hours, "seen": now}
            known = update(nodes).where(nodes.c.name == name).values(**values)
            if not connection.execute(known).rowcount:
                connection.execute(insert(nodes).values(name=name, **values))
            return find_rest(connection, now, name)

    def pause(self, name: str, kind: PauseKind | None) -> Node:
        """Let a node rest, or (None) work again; raises NotFound."""
        with self._database.write() as connection:
            known = update(nodes).where(nodes.c.name == name).values(pause=kind)
            if not connection.execute(known).rowcount:
                raise NotFound(f"no node is called {name!r}: 'darkstream node list' has them all")
        return self.get(name)

    def get(self, name: str) -> Node:
        """One node; raises NotFound."""
        found = next((node for node in self.all() if node.name == name), None)
        if found is None:
            raise NotFound(f"no node is called {name!r}: 'darkstream node list' has them all")
        return found

    def all(self) -> list[Node]:
        """All nodes that ever reported, by name; live: seen within 30 s."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            rows = connection.execute(select(nodes).order_by(nodes.c.name)).all()
            running = _count_running(connection) + Counter(count_helped(connection))
        return [_to_node(row, now, running[row.name]) for row in rows]


def find_rest(connection: Connection, now: float, name: str) -> PauseKind | None:
    """How a node is to rest; None: it takes work, or is not known."""
    query = select(nodes.c.pause, nodes.c.hours).where(nodes.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else rest_of(row.pause, _hours_of(row), _utc(now))


def _to_node(row: Row[Any], now: float, running: int) -> Node:
    report = NodeReport.model_validate_json(row.report)
    known = {
        "name": row.name,
        "live": now - row.seen < _LIVE_S,
        "seen": moment(row.seen),
        "pause": row.pause,
        "rest": rest_of(row.pause, report.hours, _utc(now)),
        "changes": next_change(report.hours, _utc(now)),
        "running": running,
    }
    return Node.model_validate(report.model_dump() | known)


def _count_running(connection: Connection) -> Counter[str]:
    running = jobs.c.status == JobStatus.running.value
    query = select(jobs.c.node, func.count()).where(running).group_by(jobs.c.node)
    return Counter({row[0]: row[1] for row in connection.execute(query)})


def _hours_of(row: Row[Any]) -> Hours | None:
    return None if row.hours is None else Hours.model_validate_json(row.hours)


def _utc(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)

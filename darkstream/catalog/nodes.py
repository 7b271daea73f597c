"""Nodes: what each worker last said of itself."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from darkstream.catalog.database import Database
from darkstream.catalog.records import moment
from darkstream.catalog.schema import nodes
from darkstream.model.wire import Node, NodeReport

_LIVE_S = 30.0


class Nodes:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, name: str, report: NodeReport) -> None:
        """Remember what a node says of itself."""
        with self._database.write() as connection:
            values = {"report": report.model_dump_json(), "seen": self._database.now(connection)}
            known = update(nodes).where(nodes.c.name == name).values(**values)
            if not connection.execute(known).rowcount:
                connection.execute(insert(nodes).values(name=name, **values))

    def all(self) -> list[Node]:
        """All nodes that ever reported, by name; live: seen within 30 s."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            rows = connection.execute(select(nodes).order_by(nodes.c.name)).all()
        return [
            Node.model_validate(
                NodeReport.model_validate_json(row.report).model_dump()
                | {"name": row.name, "live": now - row.seen < _LIVE_S, "seen": moment(row.seen)}
            )
            for row in rows
        ]

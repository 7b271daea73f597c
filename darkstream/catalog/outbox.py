"""Events to be told, written in the transaction of what happened."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from darkstream.catalog.database import Database
from darkstream.catalog.schema import outbox

_FIRST_DELAY_S = 5.0
_LONGEST_DELAY_S = 3600.0
_GIVE_UP_S = 3 * 86400.0
KEPT_S = 30 * 86400.0
"""Events that are over stay so long after they happened, for whoever asks what was told."""


@dataclass(frozen=True)
class OutboxEvent:
    """One event that is due."""

    id: str
    type: str
    payload: dict[str, Any]


class Outbox:
    """At-least-once delivery: an event stays due until it is delivered or three days old.

    It is kept for 30 days, and while it is due.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, event_type: str, payload: dict[str, Any]) -> None:
        """Write an event by itself."""
        with self._database.write() as connection:
            add_events(connection, self._database.now(connection), event_type, [payload])

    def due(self, *, limit: int) -> list[OutboxEvent]:
        """Events to deliver now, oldest first."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            rows = connection.execute(
                select(outbox.c.id, outbox.c.type, outbox.c.payload)
                .where(outbox.c.due <= now)
                .order_by(outbox.c.due, outbox.c.created)
                .limit(limit)
            )
            return [OutboxEvent(row.id, row.type, json.loads(row.payload)) for row in rows]

    def delivered(self, event: str) -> None:
        """The receiver has it."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            connection.execute(
                update(outbox).where(outbox.c.id == event).values(due=None, delivered=now)
            )

    def failed(self, event: str, error: str) -> None:
        """Try again later, each time later; after three days the event is kept but given up."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            row = connection.execute(select(outbox).where(outbox.c.id == event)).one()
            delay = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(row.attempts, 20))
            due = now + delay * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, hides nothing
            connection.execute(
                update(outbox)
                .where(outbox.c.id == event)
                .values(
                    attempts=row.attempts + 1,
                    error=error,
                    due=None if now - row.created > _GIVE_UP_S else due,
                )
            )

    def prune(self, *, limit: int) -> int:
        """Forget events that are over and old, at most so many at once; how many it were."""
        with self._database.write() as connection:
            oldest = self._database.now(connection) - KEPT_S
            over = (outbox.c.due.is_(None), outbox.c.created < oldest)
            some = select(outbox.c.id).where(*over).limit(limit)
            return connection.execute(delete(outbox).where(outbox.c.id.in_(some))).rowcount


def add_events(
    connection: Connection, now: float, event_type: str, payloads: list[dict[str, Any]]
) -> None:
    """Write events in the transaction of what happened."""
    if not payloads:
        return
    connection.execute(
        insert(outbox),
        [
            {
                "id": f"msg_{uuid.uuid4().hex}",
                "type": event_type,
                "payload": json.dumps(payload),
                "created": now,
                "due": now,
                "attempts": 0,
            }
            for payload in payloads
        ],
    )

"""The truth about libraries, files, jobs and results, in SQL."""

from __future__ import annotations

from sqlalchemy import select

from darkstream.catalog.database import Database
from darkstream.catalog.dispatches import Dispatches
from darkstream.catalog.jobs import Jobs
from darkstream.catalog.leases import Leases
from darkstream.catalog.libraries import Libraries
from darkstream.catalog.nodes import Nodes
from darkstream.catalog.outbox import Outbox, OutboxEvent
from darkstream.catalog.records import ENDED
from darkstream.catalog.results import Results
from darkstream.catalog.scans import Scans
from darkstream.catalog.schema import jobs
from darkstream.settings import LeaseSettings

__all__ = ["Catalog", "OutboxEvent"]


class Catalog:
    """One database; its attributes are the groups of what can be done with it.

    Every method of a group is one short transaction, thread-safe, timed by the database's clock.
    """

    def __init__(self, url: str, *, lease: LeaseSettings, settle_s: float = 2.0) -> None:
        self.database = Database(url)
        self.uuid = ""
        self.jobs = Jobs(self.database)
        self.dispatches = Dispatches(self.database, lease.max_attempts)
        self.leases = Leases(self.database, lease)
        self.results = Results(self.database)
        self.libraries = Libraries(self.database)
        self.scans = Scans(self.database, settle_s)
        self.nodes = Nodes(self.database)
        self.outbox = Outbox(self.database)

    def migrate(self) -> None:
        """Bring the schema up to date; safe in several processes at once."""
        self.uuid = self.database.migrate()

    def check(self) -> list[str]:
        """What breaks an invariant, one sentence each; empty when all is well."""
        broken: list[str] = []
        with self.database.read() as connection:
            for row in connection.execute(select(jobs)):
                ended = row.status in ENDED
                if ended != (row.ended is not None):
                    broken.append(f"I1: job {row.id} is {row.status} and its end is {row.ended}")
                if ended and row.lease_until is not None:
                    broken.append(f"I1: job {row.id} is {row.status} and still leased")
                if row.status == "dispatched" and row.dispatch_id is None:
                    broken.append(f"I1: job {row.id} is dispatched by nobody")
        return broken

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

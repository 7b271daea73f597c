"""The truth about libraries, files, jobs and results, in SQL."""

from __future__ import annotations

from darkstream.catalog.analyses import Analyses
from darkstream.catalog.batches import Batches
from darkstream.catalog.database import Database
from darkstream.catalog.dispatches import Dispatches
from darkstream.catalog.films import Films
from darkstream.catalog.forecasts import Forecasts
from darkstream.catalog.invariants import find_broken
from darkstream.catalog.jobs import Jobs
from darkstream.catalog.leases import Leases
from darkstream.catalog.libraries import Libraries
from darkstream.catalog.nodes import Nodes
from darkstream.catalog.outbox import Outbox, OutboxEvent
from darkstream.catalog.presets import Presets
from darkstream.catalog.replacements import Replacements
from darkstream.catalog.results import Results
from darkstream.catalog.scans import Scans
from darkstream.catalog.speeds import Speeds
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
        self.films = Films(self.database, lease)
        self.results = Results(self.database, lease.max_attempts)
        self.replacements = Replacements(self.database)
        self.libraries = Libraries(self.database)
        self.scans = Scans(self.database, settle_s)
        self.batches = Batches(self.database)
        self.nodes = Nodes(self.database)
        self.speeds = Speeds(self.database)
        self.forecasts = Forecasts(self.database)
        self.outbox = Outbox(self.database)
        self.presets = Presets(self.database)
        self.analyses = Analyses(self.database)

    def migrate(self) -> None:
        """Bring the schema up to date; safe in several processes at once."""
        self.uuid = self.database.migrate()

    def check(self) -> list[str]:
        """What breaks an invariant, one sentence each; empty when all is well."""
        with self.database.read() as connection:
            return find_broken(connection, self.database.now(connection))

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

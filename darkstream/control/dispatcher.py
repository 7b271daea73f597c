"""What control needs of Prefect, as a structural type: `dispatch` matches it, tests fake it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from darkstream.model.analyses import AnalysisRun
from darkstream.model.job import DispatchOrder
from darkstream.model.library import Library, Scan


class Dispatcher(Protocol):
    """Speaks to one Prefect API; every method raises PrefectUnreachable where none answers.

    Flow run ids are text (UUIDs). One call at a time is made of the methods that write.
    """

    async def setup(self) -> None:
        """Make work pools, queues, deployments and block types; safe to repeat."""

    async def create_flow_run(self, order: DispatchOrder, catalog_uuid: str) -> str:
        """Create the run of a dispatch and return its id; the same run when repeated.

        Of `encode-chunks` where the order helps with a film, else of `convert`.
        """

    async def create_scan_run(self, scan: Scan, catalog_uuid: str) -> str:
        """Create the `scan-library` run of a scan and return its id.

        The same run when repeated with the same `scan.attempts`: a scan whose walk was lost needs
        a new one, and Prefect never forgets an idempotency key.
        """

    async def create_settle_run(self, key: str, catalog_uuid: str) -> str:
        """Create the `settle` run of a key and return its id; the same when repeated."""

    async def create_analysis_run(self, analysis: AnalysisRun, catalog_uuid: str) -> str:
        """Create the `analyze` run of an analysis and return its id.

        The same run when repeated with the same `analysis.attempts`.
        """

    async def states(self, flow_run_ids: Sequence[str]) -> Mapping[str, str]:
        """Prefect's state type of each run (`RUNNING`, `CANCELLING`, …); unknown runs left out."""

    async def cancel(self, flow_run_id: str) -> None:
        """Ask Prefect to cancel a run; nothing happens when it has ended or is unknown."""

    async def crash(self, flow_run_id: str, reason: str) -> None:
        """Mark a run whose worker is lost as crashed; nothing happens when it has ended."""

    async def apply_schedules(self, libraries: Sequence[Library]) -> None:
        """Make Prefect's cron schedules those of the libraries: add, change and remove."""

    async def close(self) -> None:
        """Let go of connections."""

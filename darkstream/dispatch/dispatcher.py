"""The one door to Prefect for the server wing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import structlog

from darkstream.dispatch.connection import Connection
from darkstream.dispatch.definitions import read_text
from darkstream.dispatch.installation import Installation
from darkstream.dispatch.schedules import Wish, compare, local_timezone, wishes_of
from darkstream.errors import ServiceError
from darkstream.model.analyses import AnalysisRun
from darkstream.model.job import DispatchOrder
from darkstream.model.library import Library, Scan

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.client.schemas.schedules import CronSchedule

_log = structlog.get_logger(__name__)

_SCAN = "scan-library/control"
_SETTLE = "settle/control"
_ANALYZE = "analyze/control"
_PAGE = 200
"""Most flow runs Prefect's API gives in one answer."""


class PrefectDispatcher:
    """Makes, watches and ends flow runs by Prefect's client API; made for one event loop.

    Every method raises PrefectUnreachable when nothing answers at `api_url`, and ServiceError when
    a deployment is missing. Flow run ids are text.
    """

    def __init__(self, api_url: str) -> None:
        self._connection = Connection(api_url)
        self._deployments: dict[str, UUID] = {}

    async def __aenter__(self) -> Self:
        """Nothing is opened before it is used."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Let go of connections."""
        await self.close()

    async def close(self) -> None:
        """Let go of connections."""
        await self._connection.close()

    async def setup(self) -> None:
        """Make work pools, queues, deployments and block types; safe and cheap to repeat."""
        client = await self._connection.open()
        with self._connection.translated():
            self._deployments.update(await Installation(client).install(read_text()))

    async def create_flow_run(self, order: DispatchOrder, catalog_uuid: str) -> str:
        """Create the run of a dispatch and return its id; the same run when repeated.

        That is one of `convert`, or of `encode-chunks` where it helps with a film. The run of a
        batch gets tags of its jobs when it has done them: Prefect puts each tag of a flow run into
        every event of its tasks, so that a batch's cost would grow with its square.
        """
        jobs = order.jobs
        if order.film is not None:
            return await self._create(
                f"encode-chunks/{order.pool}",
                {
                    "name": f"help with job {order.film}",
                    "parameters": {"dispatch": order.id},
                    "idempotency_key": f"chunks-{catalog_uuid}-{order.id}",
                    "work_queue_name": order.queue,
                    "tags": [f"job-{order.film}"],
                },
            )
        return await self._create(
            f"convert/{order.pool}",
            {
                "name": f"convert {len(jobs)} files" if len(jobs) > 1 else f"convert job {jobs[0]}",
                "parameters": {"dispatch": order.id},
                "idempotency_key": f"convert-{catalog_uuid}-{order.id}",
                "work_queue_name": order.queue,
                "tags": [f"job-{job}" for job in jobs] if len(jobs) == 1 else [],
            },
        )

    async def create_scan_run(self, scan: Scan, catalog_uuid: str) -> str:
        """Create the `scan-library` run of a scan and return its id; the same when repeated.

        Prefect remembers keys for ever, and a number comes again once its library is removed.
        """
        return await self._create(
            _SCAN,
            {
                "name": f"{'dry run of' if scan.dry_run else 'scan'} {scan.library}",
                "parameters": {"scan": scan.id},
                "idempotency_key": f"scan-{catalog_uuid}-{scan.id}-{scan.attempts}-{_when(scan)}",
                "tags": [f"library-{scan.library}"],
            },
        )

    async def create_settle_run(self, key: str, catalog_uuid: str) -> str:
        """Create the `settle` run of a key and return its id; the same when repeated."""
        return await self._create(
            _SETTLE,
            {
                "name": "put originals and results where they belong",
                "parameters": {},
                "idempotency_key": f"settle-{catalog_uuid}-{key}",
            },
        )

    async def create_analysis_run(self, analysis: AnalysisRun, catalog_uuid: str) -> str:
        """Create the `analyze` run of an analysis and return its id; the same when repeated."""
        turn = f"{analysis.attempts + analysis.releases}-{_when(analysis)}"
        return await self._create(
            _ANALYZE,
            {
                "name": f"analyze {analysis.paths[0]}"
                + (f" and {more} more" if (more := analysis.path_count - 1) else ""),
                "parameters": {"analysis": analysis.id},
                "idempotency_key": f"analysis-{catalog_uuid}-{analysis.id}-{turn}",
                "tags": [f"analysis-{analysis.id}"],
            },
        )

    async def _create(self, deployment: str, run: Mapping[str, Any]) -> str:
        from prefect.exceptions import PrefectHTTPStatusError

        client = await self._connection.open()
        with self._connection.translated():
            remembered = deployment in self._deployments
            try:
                return await self._create_from(await self._deployment(deployment), client, run)
            except PrefectHTTPStatusError as error:
                if not remembered or error.response.status_code != HTTPStatus.NOT_FOUND:
                    raise
            del self._deployments[deployment]
            return await self._create_from(await self._deployment(deployment), client, run)

    async def _create_from(
        self, deployment: UUID, client: PrefectClient, run: Mapping[str, Any]
    ) -> str:
        created: FlowRun = await client.create_flow_run_from_deployment(deployment, **run)
        return str(created.id)

    async def _deployment(self, name: str) -> UUID:
        from prefect.exceptions import ObjectNotFound

        if name not in self._deployments:
            client = await self._connection.open()
            try:
                self._deployments[name] = (await client.read_deployment_by_name(name)).id
            except ObjectNotFound as error:
                raise ServiceError(
                    f"Prefect at {self._connection.api_url} has no deployment {name}: run "
                    "'darkstream prefect setup'"
                ) from error
        return self._deployments[name]

    async def states(self, flow_run_ids: Sequence[str]) -> Mapping[str, str]:
        """Prefect's state type of each run (`RUNNING`, `CANCELLING`, …); unknown runs left out."""
        client = await self._connection.open()
        found: dict[str, str] = {}
        with self._connection.translated():
            for start in range(0, len(flow_run_ids), _PAGE):
                wanted = list(flow_run_ids[start : start + _PAGE])
                answer = await client.request(
                    "POST",
                    "/flow_runs/filter",
                    json={"flow_runs": {"id": {"any_": wanted}}, "limit": _PAGE},
                )
                found |= {row["id"]: row["state_type"] for row in answer.json()}
        return found

    async def cancel(self, flow_run_id: str) -> None:
        """Ask Prefect to cancel a run; nothing happens when it has ended or is unknown.

        A run without a process is cancelled at once; a running one becomes `Cancelling` until its
        worker has ended it.
        """
        from prefect.states import Cancelling

        await self._set_state(flow_run_id, Cancelling(message="cancelled in DarkStream"))

    async def crash(self, flow_run_id: str, reason: str) -> None:
        """Mark a run whose worker is lost as crashed; nothing happens when it has ended."""
        from prefect.states import Crashed

        await self._set_state(flow_run_id, Crashed(message=reason))

    async def _set_state(self, flow_run_id: str, state: State[Any]) -> None:
        from prefect.exceptions import ObjectNotFound

        client = await self._connection.open()
        with self._connection.translated():
            try:
                result = await client.set_flow_run_state(flow_run_id, state)
            except ObjectNotFound:
                _log.info("flow_run_unknown", flow_run=flow_run_id)
                return
        _log.info("flow_run_state", flow_run=flow_run_id, wanted=state.type, answer=result.status)

    async def apply_schedules(self, libraries: Sequence[Library]) -> None:
        """Make Prefect's cron schedules those of the libraries: add, change and remove."""
        client = await self._connection.open()
        with self._connection.translated():
            deployment = await self._deployment(_SCAN)
            present = await client.read_deployment_schedules(deployment)
            todo = compare(present, wishes_of(libraries, local_timezone()))
            for schedule in todo.remove:
                with _gone_is_fine():
                    await client.delete_deployment_schedule(deployment, schedule)
            for schedule, wish in todo.change:
                with _gone_is_fine():
                    await client.update_deployment_schedule(
                        deployment,
                        schedule,
                        schedule=_cron(wish),
                        parameters={"library": wish.library},
                    )
            if todo.add:
                await client.create_deployment_schedules(
                    deployment, [_schedule(wish) for wish in todo.add]
                )
        if any(todo):
            _log.info("schedules_set", **{name: len(rows) for name, rows in todo._asdict().items()})


def _cron(wish: Wish) -> CronSchedule:
    from prefect.client.schemas.schedules import CronSchedule

    return CronSchedule(cron=wish.cron, timezone=wish.timezone)


def _schedule(wish: Wish) -> DeploymentScheduleCreate:
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    return DeploymentScheduleCreate(
        schedule=_cron(wish), slug=wish.slug, active=True, parameters={"library": wish.library}
    )


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    """Somebody may remove a schedule in Prefect's pages just now; the next round sees it."""
    from prefect.exceptions import ObjectNotFound

    try:
        yield
    except ObjectNotFound:
        _log.info("schedule_gone")


def _when(one: Scan | AnalysisRun) -> str:
    """When it was asked for, to the microsecond."""
    return f"{one.created.timestamp():.6f}"

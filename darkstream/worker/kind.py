"""The worker type `darkstream`: one pool's worker, whose flow runs are forks of a zygote."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from prefect.settings.context import get_current_settings
from prefect.workers.base import (
    BaseJobConfiguration,
    BaseVariables,
    BaseWorker,
    BaseWorkerResult,
)
from pydantic import PrivateAttr

from darkstream.worker import prefect_seam
from darkstream.worker.cancelling import CancelWatch, wait_or_cancel
from darkstream.worker.endings import lose, settle
from darkstream.worker.entrypoints import read_entrypoints
from darkstream.worker.hatching import spawn_zygote
from darkstream.worker.processes import FlowProcesses
from darkstream.worker.runs import abandoned_runs, run_directory

if TYPE_CHECKING:
    import anyio.abc
    from prefect.client.schemas.objects import Flow as ApiFlow
    from prefect.client.schemas.objects import FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

_log = structlog.get_logger(__name__)

_DIED = "its worker was killed"


class DarkstreamJobConfiguration(BaseJobConfiguration):
    """How one flow run is started: its environment, and which loaded flow it may use."""

    _entrypoint: str | None = PrivateAttr(default=None)

    @property
    def entrypoint(self) -> str | None:
        """The deployment's entrypoint where its code is what is installed here."""
        return self._entrypoint

    def own_environment(self) -> dict[str, str]:
        """What this flow run has in its environment beyond what the zygote inherited."""
        inherited = get_current_settings().to_environment_variables(exclude_unset=True)
        return {
            name: value
            for name, value in self.env.items()
            if value is not None and inherited.get(name) != value
        }

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: DeploymentResponse | None = None,
        flow: ApiFlow | None = None,
        work_pool: WorkPool | None = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        """Complete it for a flow run; raises ValueError where it asks for a command."""
        if self.command is not None:
            raise ValueError(
                "a pool of type 'darkstream' runs flows in warm interpreters and takes no command: "
                "use a pool of type 'process' for this deployment"
            )
        super().prepare_for_flow_run(
            flow_run, deployment, flow, work_pool, worker_name, worker_id=worker_id
        )
        if deployment is not None and prefect_seam.needs_no_pull(deployment):
            self._entrypoint = deployment.entrypoint


class DarkstreamWorkerResult(BaseWorkerResult):
    """The end of a flow process; the status is 0, for whatever went wrong was reported."""


class DarkstreamWorker(
    BaseWorker[DarkstreamJobConfiguration, BaseVariables, DarkstreamWorkerResult]
):
    """Runs the flow runs of one pool.

    In `darkstream worker` several of them share `processes`; started alone, by `prefect worker
    start`, each makes its own. `server_url` is the DarkStream server that is told of lost runs;
    `runs` holds the directories they work in, and so what a killed worker left unsaid.
    """

    type = "darkstream"
    job_configuration = DarkstreamJobConfiguration
    job_configuration_variables = BaseVariables
    _display_name = "DarkStream"
    _description = (
        "Run flows in warm interpreters: forks of a process that has imported Prefect and the "
        "flows. One `darkstream worker` serves several pools."
    )
    _documentation_url = "https://docs.prefect.io/v3/concepts/workers"
    _logo_url = ""

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - passed on to Prefect
        processes: FlowProcesses | None = None,
        server_url: str | None = None,
        runs: Path | None = None,
        **options: Any,  # noqa: ANN401 - passed on to Prefect
    ) -> None:
        super().__init__(*arguments, **options)
        self._processes = processes
        self._own_processes: FlowProcesses | None = None
        self._server_url = server_url
        self._runs = runs
        self._watch: CancelWatch | None = None
        self._burial: asyncio.Task[None] | None = None

    @property
    def pool(self) -> str:
        """Name of the pool it serves."""
        return self._work_pool_name

    async def setup(self) -> None:
        """Connect, and make a zygote where none is shared."""
        await super().setup()
        if self._server_url is None or self._runs is None:
            from darkstream.settings import Settings

            settings = Settings()
            self._server_url, self._runs = settings.server_url, settings.home / "runs"
        self._burial = asyncio.create_task(self._bury(self._server_url, self._runs))
        if self._processes is None:
            entrypoints = read_entrypoints()
            self._own_processes = FlowProcesses(spawn_zygote(entrypoints), entrypoints)
            self._processes = self._own_processes
        self._watch = CancelWatch(self.client)

    async def teardown(self, *exc_info: object) -> None:
        """Disconnect, and end an own zygote."""
        if self._burial is not None:
            self._burial.cancel()
            with suppress(asyncio.CancelledError):
                await self._burial
        try:
            await super().teardown(*exc_info)
        finally:
            if self._own_processes is not None:
                await self._own_processes.close()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: DarkstreamJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> DarkstreamWorkerResult:
        """Run one flow run in a process of its own, to its end."""
        processes, server_url, runs = self._processes, self._server_url, self._runs
        if processes is None or server_url is None or runs is None or self._watch is None:
            raise RuntimeError("the worker was not set up")
        with (
            run_directory(runs, str(flow_run.id)) as directory,
            self._watch.over(flow_run.id) as wanted,
        ):
            process = await processes.start(
                str(flow_run.id),
                entrypoint=configuration.entrypoint,
                directory=directory,
                environment=configuration.own_environment(),
            )
            pid = process.started.result()
            if task_status is not None:
                task_status.started(pid)
            _log.info("flow_process_started", flow_run=str(flow_run.id), pid=pid)
            code = await wait_or_cancel(process, wanted)
        _log.info("flow_process_ended", flow_run=str(flow_run.id), pid=pid, exit_code=code)
        await settle(self.client, server_url, flow_run.id, code=code, cancelled=wanted.is_set())
        return DarkstreamWorkerResult(identifier=f"{socket.gethostname()}:{pid}", status_code=0)

    async def _bury(self, server_url: str, runs: Path) -> None:
        """Tell of the runs that died with an earlier worker, so that nobody waits for them."""
        with abandoned_runs(runs) as names:
            lost = [lose(self.client, server_url, UUID(name), _DIED) for name in names]
            await asyncio.gather(*lost)

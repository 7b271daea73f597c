"""Makes a Prefect server ready for DarkStream: pools, queues, deployments, block types."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from darkstream.dispatch.definitions import (
    QUEUES,
    WORKER_TYPE,
    Definition,
    parse_definitions,
    pools_of,
)
from darkstream.dispatch.flow_reader import FlowFacts, fingerprint, read_flows
from darkstream.errors import ServiceError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate

_log = structlog.get_logger(__name__)

_VARIABLE = "darkstream_setup"
"""The Prefect variable that holds what was installed last."""

_BLOCKS = "blocks"


class Installation:
    """What of prefect.yaml is on a server; `install` makes the rest."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client

    async def install(self, text: str) -> Mapping[str, UUID]:
        """The deployments of a prefect.yaml by full name, brought up to date where they differ.

        Where the fingerprint is the server's and nothing was removed, that is one request
        per deployment and two more.
        """
        definitions = parse_definitions(text)
        packages = {each.package for each in definitions} | {_BLOCKS}
        wanted = await asyncio.to_thread(fingerprint, text, packages)
        present = await self._deployments(definitions)
        pools = {pool.name for pool in await self._client.read_work_pools()}
        complete = len(present) == len(definitions) and pools.issuperset(pools_of(definitions))
        if complete and await self._installed() == wanted:
            return present
        await self._make_all(definitions, present, pools)
        await self._remember(wanted)
        _log.info("prefect_set_up", deployments=sorted(each.full_name for each in definitions))
        return await self._deployments(definitions)

    async def _make_all(
        self, definitions: tuple[Definition, ...], present: Mapping[str, UUID], pools: set[str]
    ) -> None:
        facts = await read_flows(each.entrypoint for each in definitions)
        for pool in pools_of(definitions):
            await self._make_pool(pool, there=pool in pools)
        for definition in definitions:
            await self._deploy(definition, facts[definition.entrypoint], present)
        await self._register_blocks()

    async def _deployments(self, definitions: tuple[Definition, ...]) -> dict[str, UUID]:
        from prefect.exceptions import ObjectNotFound

        present = {}
        for definition in definitions:
            with suppress(ObjectNotFound):
                found = await self._client.read_deployment_by_name(definition.full_name)
                present[definition.full_name] = found.id
        return present

    async def _installed(self) -> object:
        variable = await self._client.read_variable_by_name(_VARIABLE)
        return None if variable is None else variable.value

    async def _remember(self, value: str) -> None:
        from prefect.client.schemas.actions import VariableCreate, VariableUpdate
        from prefect.exceptions import ObjectAlreadyExists

        if await self._client.read_variable_by_name(_VARIABLE) is not None:
            await self._client.update_variable(VariableUpdate(name=_VARIABLE, value=value))
            return
        with suppress(ObjectAlreadyExists):
            await self._client.create_variable(VariableCreate(name=_VARIABLE, value=value))

    async def _make_pool(self, name: str, *, there: bool) -> None:
        """A pool that is there is left as it is, whatever its type; it only gets our queues.

        The job template stays empty: Prefect's worker puts that of its type in when it starts.
        """
        from prefect.client.schemas.actions import WorkPoolCreate
        from prefect.exceptions import ObjectAlreadyExists

        if not there:
            with suppress(ObjectAlreadyExists):
                await self._client.create_work_pool(WorkPoolCreate(name=name, type=WORKER_TYPE))
        present = {queue.name for queue in await self._client.read_work_queues(name)}
        for queue, priority in QUEUES.items():
            if queue not in present:
                with suppress(ObjectAlreadyExists):
                    await self._client.create_work_queue(
                        queue, work_pool_name=name, priority=priority
                    )

    async def _deploy(
        self, definition: Definition, facts: FlowFacts, present: Mapping[str, UUID]
    ) -> None:
        if facts.name != definition.flow_name:
            raise ServiceError(
                f"prefect.yaml calls the flow of {definition.entrypoint} {definition.flow_name!r}, "
                f"but its name is {facts.name!r}"
            )
        identifier = present.get(definition.full_name)
        if identifier is None:
            await self._create(definition, facts)
        else:
            await self._update(identifier, definition, facts)

    async def _create(self, definition: Definition, facts: FlowFacts) -> None:
        flow_id = await self._client.create_flow_from_name(definition.flow_name)
        await self._client.create_deployment(
            flow_id,
            definition.name,
            schedules=_schedules(definition),
            description=facts.description,
            work_pool_name=definition.work_pool.name,
            work_queue_name=definition.work_pool.work_queue_name,
            tags=list(definition.tags),
            entrypoint=definition.entrypoint,
            parameter_openapi_schema=facts.parameters,
            pull_steps=[],
            enforce_parameter_schema=True,
        )

    async def _update(self, identifier: UUID, definition: Definition, facts: FlowFacts) -> None:
        """Leaves schedules alone that were made at run time: each has a slug of its own."""
        from prefect.client.schemas.actions import DeploymentUpdate

        values: dict[str, Any] = {
            "description": facts.description,
            "work_pool_name": definition.work_pool.name,
            "work_queue_name": definition.work_pool.work_queue_name,
            "tags": list(definition.tags),
            "entrypoint": definition.entrypoint,
            "parameter_openapi_schema": facts.parameters,
            "pull_steps": [],
            "enforce_parameter_schema": True,
        }
        if definition.schedules:
            values["schedules"] = [
                each.model_dump(mode="json", exclude_unset=True) for each in _schedules(definition)
            ]
        await self._client.update_deployment(identifier, DeploymentUpdate(**values))

    async def _register_blocks(self) -> None:
        """As `prefect block register -m blocks` does it."""
        from prefect.blocks.core import Block

        module = await asyncio.to_thread(import_module, _BLOCKS)
        for value in vars(module).values():
            if Block.is_block_class(value) and value.__module__.startswith(_BLOCKS):
                await value.aregister_type_and_schema(client=self._client)


def _schedules(definition: Definition) -> list[DeploymentScheduleCreate]:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    return [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=each.cron, timezone=each.timezone),
            slug=each.slug,
            active=True,
        )
        for each in definition.schedules
    ]

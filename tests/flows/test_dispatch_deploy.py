"""The deployments of prefect.yaml, made by setup and by Prefect's own command."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from fixtures_prefect import PrefectServer
from prefect.client.orchestration import PrefectClient

from darkstream.dispatch import PrefectDispatcher
from darkstream.dispatch.definitions import parse_definitions, read_text
from darkstream.model.base import LibraryId
from darkstream.model.library import Library

_ROOT = Path(str(resources.files("darkstream"))).parent
_SAME = (
    "entrypoint",
    "parameter_openapi_schema",
    "description",
    "tags",
    "work_pool_name",
    "work_queue_name",
    "pull_steps",
    "enforce_parameter_schema",
)


@pytest.fixture
def library_with_schedule() -> Library:
    return Library(
        id=LibraryId(4),
        name="movies",
        root=b"/in",
        destination=b"/out",
        preset="web",
        schedule="0 3 * * *",
        created=datetime.now(UTC),
    )


async def _deployments(server: PrefectServer) -> dict[str, dict[str, Any]]:
    async with PrefectClient(server.api_url) as client:
        found = {}
        for definition in parse_definitions(read_text()):
            deployment = await client.read_deployment_by_name(definition.full_name)
            found[definition.full_name] = {
                **{name: getattr(deployment, name) for name in _SAME},
                "schedules": sorted(each.slug or "" for each in deployment.schedules),
            }
        return found


def _deploy_all(server: PrefectServer) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        command,
        cwd=_ROOT,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prefects_own_deploy_gives_what_setup_gives(
    make_prefect: Callable[..., PrefectServer], library_with_schedule: Library
) -> None:
    server = make_prefect()
    server.start()

    async def set_up() -> dict[str, dict[str, Any]]:
        async with PrefectDispatcher(server.api_url) as dispatcher:
            await dispatcher.setup()
            await dispatcher.apply_schedules([library_with_schedule])
        return await _deployments(server)

    ours = asyncio.run(set_up())
    assert {"dispatch", "source", "preset"} <= set(
        ours["convert/cpu"]["parameter_openapi_schema"]["properties"]
    )
    assert {"scan", "library"} <= set(
        ours["scan-library/control"]["parameter_openapi_schema"]["properties"]
    )
    assert ours["scan-library/control"]["schedules"] == ["library-4"]
    _deploy_all(server)
    assert asyncio.run(_deployments(server)) == ours
    again = asyncio.run(set_up())
    assert again == ours

"""What Prefect must know of our flows, found out in a process of its own.

A flow is loaded by its entrypoint, as Prefect's own `deploy` does it. That imports the whole worker
wing, which the server must neither hold in memory nor depend on; it happens once per version.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from darkstream.errors import ServiceError


class FlowFacts(BaseModel):
    """A flow's name, its docstring, and its parameters as JSON schema."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str | None
    parameters: dict[str, Any]


async def read_flows(entrypoints: Iterable[str]) -> dict[str, FlowFacts]:
    """The facts of each flow; raises ServiceError naming what could not be loaded."""
    wanted = sorted(set(entrypoints))
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as reader:
        try:
            facts = await loop.run_in_executor(reader, _read_all, wanted)
        except (ImportError, AttributeError, BrokenProcessPool, RuntimeError) as error:
            raise ServiceError(
                f"the flows cannot be loaded ({type(error).__name__}: {error}): install "
                "DarkStream with its flows in this environment"
            ) from error
    return {name: FlowFacts.model_validate(each) for name, each in facts.items()}


def _read_all(entrypoints: list[str]) -> dict[str, dict[str, Any]]:
    """Runs in the child: plain values in, plain values out."""
    from prefect.flows import Flow, load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    facts = {}
    for entrypoint in entrypoints:
        try:
            flow: Flow[..., Any] = load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
        except Exception as error:  # noqa: BLE001 whatever it is may not cross to the parent
            raise RuntimeError(f"{entrypoint}: {error}") from None
        facts[entrypoint] = {
            "name": flow.name,
            "description": flow.description,
            "parameters": parameter_schema(flow).model_dump(mode="json", exclude_unset=True),
        }
    return facts


def fingerprint(text: str, packages: Iterable[str]) -> str:
    """Changes when prefect.yaml, the source of a package, DarkStream or Prefect changes."""
    digest = hashlib.sha256()
    for part in (text, version("darkstream"), version("prefect")):
        digest.update(part.encode() + b"\0")
    for path in (path for package in sorted(set(packages)) for path in _sources(package)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(package: str) -> list[Path]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ServiceError(f"the package {package} is not installed: reinstall DarkStream")
    origin = Path(spec.origin)
    return sorted(origin.parent.glob("*.py")) if spec.submodule_search_locations else [origin]

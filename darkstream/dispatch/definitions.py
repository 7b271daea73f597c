"""What prefect.yaml says: the deployments, and the work pools and queues they need."""

from __future__ import annotations

from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

WORKER_TYPE = "darkstream"
"""The type of the work pools; the worker of that type serves all of them in one process."""

QUEUES = {"urgent": 1, "normal": 2, "bulk": 3}
"""Work queues of each pool and their priorities; Prefect empties the lowest number first."""


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(_Read):
    """The work pool and queue of a deployment."""

    name: str
    work_queue_name: str


class CronEntry(_Read):
    """A schedule that is part of a deployment."""

    slug: str
    cron: str
    timezone: str


class Definition(_Read):
    """One deployment of prefect.yaml."""

    name: str
    flow_name: str
    entrypoint: str
    work_pool: Place
    tags: tuple[str, ...] = ()
    schedules: tuple[CronEntry, ...] = ()

    @cached_property
    def full_name(self) -> str:
        """What Prefect's commands call it: `convert/cpu`."""
        return f"{self.flow_name}/{self.name}"

    @property
    def package(self) -> str:
        """The package that holds the flow."""
        return self.entrypoint.partition(".")[0]


def read_text() -> str:
    """The text of prefect.yaml: beside the package in a clone, inside it when installed."""
    installed = resources.files("darkstream") / "prefect.yaml"
    if installed.is_file():
        return installed.read_text("utf-8")
    clone = Path(str(resources.files("darkstream"))).parent / "prefect.yaml"
    return clone.read_text("utf-8")


def parse_definitions(text: str) -> tuple[Definition, ...]:
    """The deployments that a prefect.yaml names; raises pydantic's ValidationError."""
    document: dict[str, Any] = yaml.safe_load(text)
    return tuple(Definition.model_validate(entry) for entry in document["deployments"])


def pools_of(definitions: tuple[Definition, ...]) -> tuple[str, ...]:
    """The work pools that the deployments need, each once, in order."""
    return tuple(dict.fromkeys(definition.work_pool.name for definition in definitions))

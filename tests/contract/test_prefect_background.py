"""What the server puts into Prefect's background: the names are there, and it does what it says."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from docket import Docket, Worker
from docket.worker import _ProcessingSession
from jsonschema.exceptions import SchemaError
from prefect.server.api import background_workers
from prefect.server.events import triggers
from prefect.server.events.ordering import get_triggers_causal_ordering
from prefect.server.events.services import event_persister
from prefect.server.events.services.triggers import ReactiveTriggers
from prefect.utilities.schema_tools import validation

from darkstream.server import prefect_background
from darkstream.server.prefect_background import (
    CheckOnce,
    FewEvents,
    PatientWorker,
    watch_for_automations,
)


def test_prefect_makes_its_worker_of_a_docket_alone() -> None:
    assert "Worker(docket)" in inspect.getsource(background_workers.background_worker)
    wanted = {"minimum_check_interval", "scheduling_resolution"}
    assert wanted <= set(inspect.signature(Worker.__init__).parameters)
    assert "self._cancellation_listener()" in inspect.getsource(Worker)
    assert {"cancellation_ready", "stopping"} <= set(_ProcessingSession.__annotations__)


async def test_a_patient_worker_does_its_tasks() -> None:
    done: list[str] = []

    async def task(name: str) -> None:
        done.append(name)

    async with Docket(name="test", url="memory://patient") as docket:
        docket.register(task)
        await docket.add(task)("now")
        async with PatientWorker(docket) as worker:
            assert worker.scheduling_resolution == timedelta(seconds=1)
            await worker.run_until_finished()
    assert done == ["now"]


async def test_the_event_feed_goes_without_task_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    @asynccontextmanager
    async def create_handler(**options: Any) -> AsyncIterator[Any]:
        assert options == {"batch_size": 7}

        async def write(message: Any) -> None:
            written.append(message.attributes.get("event"))

        yield write

    monkeypatch.setattr(prefect_background, "_create_handler", create_handler)
    cancels: list[str] = []
    few = FewEvents(lambda: cancels.append("cancel"))
    async with few.create_handler(batch_size=7) as handle:
        for attributes in (
            {"event": "prefect.task-run.Running"},
            {"event": "prefect.flow-run.Cancelling"},
            {"event": "prefect.task-run.Cancelled"},
            {"event": "prefect.task-runs-of-mine"},
            {},
        ):
            await handle(SimpleNamespace(attributes=attributes, data=b""))  # type: ignore[arg-type]
    assert written == ["prefect.flow-run.Cancelling", "prefect.task-runs-of-mine", None]
    assert cancels == ["cancel"]


def test_prefect_tells_the_event_beside_each_message() -> None:
    from prefect.server.events.messaging import EventPublisher

    assert '"event": event.event' in inspect.getsource(EventPublisher.publish_event)
    assert "create_handler(" in inspect.getsource(event_persister.EventPersister)


async def test_task_runs_are_evaluated_only_where_automations_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluated: list[str] = []

    @asynccontextmanager
    async def consumer() -> AsyncIterator[Any]:
        async def evaluate(message: Any) -> None:
            evaluated.append(message.data)

        yield evaluate

    monkeypatch.setattr(prefect_background, "_consumer", consumer)
    automations: dict[UUID, Any] = {}
    monkeypatch.setattr(triggers, "automations_by_id", automations)
    early, late = uuid4(), uuid4()

    def message(event: str, identifier: UUID, data: str) -> Any:
        attributes = {"event": event, "id": str(identifier)}
        return SimpleNamespace(attributes=attributes, data=data)

    async with watch_for_automations() as handle:
        await handle(message("prefect.task-run.Running", early, "unwatched"))
        await handle(message("prefect.flow-run.Running", uuid4(), "flow run"))
        await handle(SimpleNamespace(attributes={}, data="nameless"))  # type: ignore[arg-type]
        automations[uuid4()] = object()
        await handle(message("prefect.task-run.Completed", late, "watched"))
    assert evaluated == ["flow run", "nameless", "watched"]
    order = get_triggers_causal_ordering()
    assert await order.event_has_been_seen(early), "what follows it would be held up"
    assert not await order.event_has_been_seen(late), "Prefect's own evaluation notes that"


async def test_prefect_notes_by_its_id_alone_that_an_event_was_seen() -> None:
    order = type(get_triggers_causal_ordering())
    assert "event.id" in inspect.getsource(order.record_event_as_seen)
    assert inspect.getsource(order.record_event_as_seen).count("event.") == 1
    assert "triggers.consumer()" in inspect.getsource(ReactiveTriggers.start)
    assert "automations_by_id[" in inspect.getsource(triggers.load_automation)


def test_a_sound_schema_is_checked_once_and_another_each_time() -> None:
    checked: list[Any] = []

    def check(schema: Any, *, strict: bool = False) -> None:
        checked.append((schema, strict))
        if schema.get("type") == "wrong":
            raise SchemaError("no such type")

    once = CheckOnce(check, keep=2)
    once({"type": "object", "title": "a"}, strict=True)
    once({"title": "a", "type": "object"})
    assert checked == [({"type": "object", "title": "a"}, True)]
    for _ in range(2):
        with pytest.raises(SchemaError):
            once({"type": "wrong"})
    assert len(checked) == 3
    for title in ("b", "c", "a"):  # only two are kept
        once({"type": "object", "title": title})
    assert len(checked) == 6


def test_prefect_uses_all_of_it(tmp_path: Path) -> None:
    """In a process of its own: it changes modules of Prefect's for good."""
    check = (
        "from darkstream.server.prefect_background import settle_down\n"
        "settle_down(print); settle_down(print)\n"
        "from prefect.server.api import background_workers as b\n"
        "from prefect.server.events.services import event_persister as e\n"
        "from prefect.utilities.schema_tools import validation as v\n"
        "v.is_valid_schema({'type': 'object'}); v.is_valid_schema({'type': 'object'})\n"
        "v.validate({'a': 1}, {'type': 'object', 'properties': {'a': {'type': 'integer'}}}, True)\n"
        "from prefect.server.events import triggers as t\n"
        "print(b.Worker.__name__, e.create_handler.__func__.__name__, t.consumer.__name__)\n"
        "print(len(v._VALIDATOR.check_schema._sound))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["PatientWorker", "create_handler", "watch_for_automations", "2"]


def test_a_schema_that_is_wrong_is_still_refused() -> None:
    with pytest.raises(ValueError, match="Invalid schema"):
        validation.is_valid_schema({"type": "no such type"})

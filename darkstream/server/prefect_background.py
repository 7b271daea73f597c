"""What Prefect's server does in the background, made to fit one that runs thousands of small tasks.

All are names of Prefect's own modules, put in before its server starts; tests/contract pins them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from docket import Docket, Worker
from prefect.server.api import background_workers
from prefect.server.events import triggers
from prefect.server.events.ordering import get_triggers_causal_ordering
from prefect.server.events.services import event_persister
from prefect.utilities.schema_tools import validation

if TYPE_CHECKING:
    from prefect.server.events.schemas.events import ReceivedEvent
    from prefect.server.utilities.messaging import Message, MessageHandler

_LOOK_EVERY = timedelta(seconds=1)
_AT_ONCE = 100
"""As a worker that is busy looks for more after a look's time too."""
_OF_TASK_RUNS = "prefect.task-run."
_CANCELS = {"prefect.flow-run.Cancelling", "prefect.flow-run.Cancelled"}

_create_handler = event_persister.create_handler
_consumer = triggers.consumer


class PatientWorker(Worker):
    """Docket's worker, that looks once a second and listens for no cancel: Prefect sends none.

    By default it looks fourteen times a second, which is half of what an idle server does.
    """

    def __init__(self, docket: Docket) -> None:
        super().__init__(
            docket,
            concurrency=_AT_ONCE,
            minimum_check_interval=_LOOK_EVERY,
            scheduling_resolution=_LOOK_EVERY,
        )

    async def _cancellation_listener(self) -> None:
        if (session := self._processing_session) is not None:
            session.cancellation_ready.set()
            await session.stopping.wait()


class FewEvents:
    """Makes Prefect's writer of its event feed, that leaves out the events of task runs.

    Automations still hear of them, and each task run keeps its states. A file makes two dozen,
    each a row and six of its relations: a library of 100,000 files made gigabytes of them.
    `on_cancel` is called for each event that says that a flow run is being or was cancelled.
    """

    def __init__(self, on_cancel: Callable[[], None]) -> None:
        self._on_cancel = on_cancel

    @asynccontextmanager
    async def create_handler(self, **options: Any) -> AsyncIterator[MessageHandler]:  # noqa: ANN401 - Prefect's own
        """What Prefect's function of that name makes, with a choice before it."""
        async with _create_handler(**options) as write:

            async def choose(message: Message) -> None:
                event = str(message.attributes.get("event", ""))
                if event in _CANCELS:
                    self._on_cancel()
                if not event.startswith(_OF_TASK_RUNS):
                    await write(message)

            yield choose


@asynccontextmanager
async def watch_for_automations(**options: Any) -> AsyncIterator[MessageHandler]:  # noqa: ANN401 - Prefect's own
    """What Prefect's `triggers.consumer` makes, with a choice before it.

    While there are no automations, events of task runs are only noted as seen, so that what follows
    them is not held up once there are. To read them is up to a tenth of a job's cost to the server.
    """
    async with _consumer(**options) as evaluate:
        order = get_triggers_causal_ordering()

        async def choose(message: Message) -> None:
            told = message.attributes or {}
            of_task = str(told.get("event", "")).startswith(_OF_TASK_RUNS) and "id" in told
            if triggers.automations_by_id or not of_task:
                await evaluate(message)
            else:
                seen = SimpleNamespace(id=UUID(told["id"]))
                await order.record_event_as_seen(cast("ReceivedEvent", seen))

        yield choose


class CheckOnce:
    """A validator's `check_schema` that remembers which schemas are sound.

    Prefect checks those of a deployment's parameters and of its pool's variables with each flow
    run, which is most of the 50 ms that making one takes.
    """

    def __init__(self, check: Callable[..., None], keep: int = 256) -> None:
        self._check = check
        self._keep = keep
        self._sound: set[str] = set()

    def __call__(self, schema: Mapping[str, Any], **options: Any) -> None:  # noqa: ANN401 - theirs
        """Raises jsonschema's SchemaError, each time."""
        text = json.dumps(schema, sort_keys=True)
        if text in self._sound:
            return
        self._check(schema, **options)
        if len(self._sound) >= self._keep:
            self._sound.clear()
        self._sound.add(text)


def settle_down(on_cancel: Callable[[], None]) -> None:
    """Let Prefect's server use all four; call it before the server is started."""
    vars(background_workers)["Worker"] = PatientWorker
    vars(triggers)["consumer"] = watch_for_automations
    vars(event_persister)["create_handler"] = FewEvents(on_cancel).create_handler
    validator = validation._VALIDATOR
    if not isinstance(check := validator.check_schema, CheckOnce):
        setattr(validator, "check_schema", CheckOnce(check))  # noqa: B010 - mypy lets no method go

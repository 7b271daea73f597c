"""Prefect's own server inside ours: its API below `/api`, its pages below `/prefect`.

Importing Prefect takes seconds, and migrating a database of an older one may, so both happen in the
background: until then these paths answer 503, with the header that makes Prefect's clients wait as
long as it takes (`Prefect-Maintenance`, honoured by `prefect.client.base`).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from darkstream.errors import PrefectUnreachable
from darkstream.model.wire import Problem, ProblemKind

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from fastapi import FastAPI
    from starlette.routing import Mount
    from starlette.types import ASGIApp, Receive, Scope, Send

    from darkstream.settings import Settings

_log = structlog.get_logger(__name__)

_API = "/api"
_PAGES = "/prefect"
_DATABASE = "prefect.db"
_OURS = f"{_API}/v1"
_RETRY_AFTER_S = b"1"
_STOP_S = 2.0
_HANDSHAKE_S = 8.0
"""Less than the ten seconds that Prefect's websocket clients wait for an answer."""

_TRY_AGAIN_LATER = 1013
_NEW_RUN = re.compile(r"/create_flow_run(/bulk)?$|/flow_runs/$|/resume$")


class PrefectMount:
    """Prefect's unmodified application, started in the background and served once it is ready.

    Mount `routes()` behind our own; `start` and `stop` belong into the lifespan of our application,
    in one event loop. With `settings.prefect.api_url` set nothing is started, and the paths say
    where that server is. A start that failed is kept as `reason`. `on_new_run` is called after
    requests that may have made a flow run ready, `on_cancel` when one was cancelled, however.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_new_run: Callable[[], None] = lambda: None,
        on_cancel: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._on_new_run = on_new_run
        self._on_cancel = on_cancel
        self._app: ASGIApp | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._settled = asyncio.Event()
        self._failure: str | None = None

    @property
    def ready(self) -> bool:
        """Whether a Prefect server can be spoken to; one of the user's own counts as ready."""
        return self._elsewhere is not None or self._app is not None

    @property
    def reason(self) -> str | None:
        """Why it is not ready; None when it is."""
        if self.ready:
            return None
        return self._failure or "Prefect is still starting"

    @property
    def _elsewhere(self) -> str | None:
        return self._settings.prefect.api_url

    def routes(self) -> list[Mount]:
        """The routes to append behind our own `/api/v1`, which win because they come first."""
        from starlette.routing import Mount

        return [Mount(_API, app=self, name="prefect-api"), Mount(_PAGES, app=self, name="prefect")]

    def start(self) -> None:
        """Begin to start Prefect in the background and return at once."""
        _set_environment(self._settings)
        if self._elsewhere is None:
            self._task = asyncio.create_task(self._serve(), name="prefect")

    async def wait_ready(self) -> None:
        """Wait until Prefect answers; raises PrefectUnreachable when its start failed."""
        if self._elsewhere is not None:
            return
        await self._settled.wait()
        if self._app is None:
            raise PrefectUnreachable(self.reason or "Prefect has been stopped")

    async def stop(self) -> None:
        """Leave Prefect's lifespan; what does not end within two seconds is cancelled."""
        self._stop.set()
        if self._task is None:
            return
        _, late = await asyncio.wait({self._task}, timeout=_STOP_S)
        for task in late:
            _log.warning("prefect_stop_forced", after_s=_STOP_S)
            task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self) -> None:
        """Enter and leave Prefect's lifespan in one task, as its cancel scopes demand."""
        begun = time.monotonic()
        gc.disable()  # nearly all that an import makes stays: looking for garbage is a tenth of it
        try:
            home = self._settings.home / "prefect"
            home.mkdir(parents=True, exist_ok=True)
            app = await asyncio.to_thread(_create_prefect, home, self._on_cancel)
            async with _lifespan(app):
                await asyncio.to_thread(_settle_memory)
                self._app = app
                self._settled.set()
                _log.info("prefect_started", after_s=round(time.monotonic() - begun, 2))
                await self._stop.wait()
                self._app = None
        except Exception as error:  # noqa: BLE001 Prefect may fail in any way; `reason` says how
            first_line = str(error).partition("\n")[0]
            self._failure = f"Prefect could not start: {type(error).__name__}: {first_line}"
            _log.exception("prefect_failed")
        finally:
            gc.enable()
            self._app = None
            self._settled.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to Prefect as if it were mounted nowhere, or say why that cannot be."""
        if scope["type"] == "websocket":
            await self._wait_for_handshake()
        app = self._app
        if f"{scope['path']}/".startswith(f"{_OURS}/"):
            problem = _problem(
                HTTPStatus.NOT_FOUND, "there is no such route in /api/v1", "not_found"
            )
        elif app is not None:
            await app(_unmounted(scope), receive, send)
            if _is_new_run(scope):
                self._on_new_run()
            return
        else:
            problem = self._refusal()
        await _refuse(problem, scope, receive, send, wait=self._elsewhere is None)

    async def _wait_for_handshake(self) -> None:
        """Hold a websocket while Prefect starts: its clients take a refusal for final.

        Task run events that a refused client holds are lost when its process ends.
        """
        if self._task is not None and not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), _HANDSHAKE_S)

    def _refusal(self) -> Problem:
        if self._elsewhere is not None:
            detail = f"Prefect runs elsewhere: its API is {self._elsewhere}"
            return _problem(HTTPStatus.NOT_FOUND, detail, "not_found")
        return _problem(
            HTTPStatus.SERVICE_UNAVAILABLE, self.reason or "Prefect is stopping", "unavailable"
        )


def prefect_environment(settings: Settings) -> Mapping[str, str]:
    """What makes an embedded Prefect ours alone: its own home, database and address.

    Source: `prefect/settings/models` of the locked version. Times are seconds.
    """
    home = settings.home / "prefect"
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / _DATABASE}",
        "PREFECT_SERVER_UI_SERVE_BASE": _PAGES,
        "PREFECT_SERVER_UI_API_URL": _API,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "DO_NOT_TRACK": "1",
    }


def _tuning(settings: Settings) -> Mapping[str, str]:
    """Defaults that a variable in the environment overrules.

    A run that waits in our bounded window is not late; SQLite gets time to wait for its lock; what
    Prefect remembers is bounded, since the catalog keeps the truth. Task runs come in groups, a
    transaction a second: as they come, three for each step would be half the cost of the server.
    Services that look for what hardly ever happens here look less often.
    """
    return {
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(settings.home / "prefect" / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "3600",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "60",
        "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "30",
        "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "30",
        "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "30",
        "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "10",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 3600),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P2D",
        "PREFECT_CLIENT_MAX_RETRIES": "3",
    }


def _set_environment(settings: Settings) -> None:
    """Prefect reads the environment when it is imported: set it before."""
    os.environ.update(prefect_environment(settings))
    for name, value in _tuning(settings).items():
        os.environ.setdefault(name, value)


def _create_prefect(home: Path, on_cancel: Callable[[], None]) -> FastAPI:
    """Import Prefect's server and make its application; takes seconds, so call it in a thread."""
    from prefect.server.api.server import create_app

    from darkstream.server.prefect_background import settle_down
    from darkstream.server.prefect_database import take_turns
    from darkstream.server.prefect_schema import create_schema, read_schema

    create_schema(home / _DATABASE, read_schema())
    take_turns()
    settle_down(on_cancel)
    app: FastAPI = create_app(final=True)
    for name in ("uvicorn", "fastapi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    return app


def _settle_memory() -> None:
    """Let no collection look again at all that was imported: each would take 0.3 s."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _lifespan(app: FastAPI) -> AbstractAsyncContextManager[object]:
    return app.router.lifespan_context(app)


def _is_new_run(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and _NEW_RUN.search(scope["path"]) is not None
    )


def _unmounted(scope: Scope) -> Scope:
    """The scope before Starlette's Mount moved the prefix into `root_path`."""
    return {**scope, "root_path": scope.get("app_root_path", "")}


def _problem(status: HTTPStatus, detail: str, kind: ProblemKind) -> Problem:
    return Problem(title=status.phrase, status=status, detail=detail, error=kind)


async def _refuse(
    problem: Problem, scope: Scope, receive: Receive, send: Send, *, wait: bool
) -> None:
    from starlette.responses import Response

    if scope["type"] == "websocket":
        await send(
            {"type": "websocket.close", "code": _TRY_AGAIN_LATER, "reason": problem.detail[:120]}
        )
        return
    response = Response(
        problem.model_dump_json(exclude_none=True),
        problem.status,
        media_type="application/problem+json",
    )
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["retry-after"] = _RETRY_AFTER_S.decode()
        if wait:
            response.headers["prefect-maintenance"] = "true"
    await response(scope, receive, send)

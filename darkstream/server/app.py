"""The server: our API under /api/v1, and Prefect mounted beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from fastapi import FastAPI

from darkstream import __version__
from darkstream.catalog import Catalog
from darkstream.control.dispatcher import Dispatcher
from darkstream.control.loops import running_loops
from darkstream.control.wing import Wing
from darkstream.server import (
    routes_jobs,
    routes_libraries,
    routes_scans,
    routes_state,
    routes_walk,
    routes_work,
)
from darkstream.server.answers import install_error_answers
from darkstream.server.description import PROBLEM_RESPONSES, describe
from darkstream.server.guard import LocalOnly
from darkstream.server.request_id import RequestId
from darkstream.server.serving import serve_app
from darkstream.settings import Settings

_ROUTERS = (
    routes_state.router,
    routes_jobs.router,
    routes_libraries.router,
    routes_scans.router,
    routes_work.router,
    routes_walk.router,
)
_PREFECT_POLL_S = 0.1


class MountedPrefect(Protocol):
    """Prefect's server inside ours: starts in the background, and says when it is there."""

    @property
    def ready(self) -> bool:
        """Whether Prefect's routes answer; raises PrefectUnreachable where it cannot start."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Start it in the background; stop it at the end."""


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; raises SettingsError where host, port or home cannot be."""
    serve_app(settings, lambda: create_app(settings))


def create_app(
    settings: Settings,
    *,
    make_dispatcher: Callable[[], Dispatcher] | None = None,
    mount_prefect: Callable[[FastAPI, Settings], MountedPrefect] | None = None,
) -> FastAPI:
    """The whole server as one ASGI app.

    Tests give a `make_dispatcher` of their own. Where the settings name no Prefect API, Prefect's
    server is mounted by `mount_prefect`, unless there is a dispatcher already.
    """
    app = FastAPI(title="DarkStream", version=__version__, openapi_url=None)
    api = create_api()
    app.mount("/api/v1", api)
    app.add_middleware(LocalOnly)
    app.add_middleware(RequestId)
    install_error_answers(app)
    prefect: MountedPrefect | None = None
    if make_dispatcher is None and settings.prefect.api_url is None:
        prefect = (mount_prefect or _mount_prefect)(app, settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                catalog = await asyncio.to_thread(_open_catalog, settings)
            except Exception as error:
                app.state.failure = error
                raise
            stack.callback(catalog.close)
            api.state.wing = wing = Wing(settings, catalog)
            if prefect is not None:
                await stack.enter_async_context(prefect.running())

            async def connect() -> Dispatcher:
                return await _connect(settings, prefect, make_dispatcher)

            await stack.enter_async_context(running_loops(wing, connect))
            yield

    app.router.lifespan_context = lifespan
    return app


def create_api() -> FastAPI:
    """The routes under /api/v1, without anything behind them: `state.wing` is set at the start."""
    api = FastAPI(title="DarkStream", openapi_url=None, responses=PROBLEM_RESPONSES)
    for router in _ROUTERS:
        api.include_router(router)
    install_error_answers(api)
    describe(api)
    return api


def _open_catalog(settings: Settings) -> Catalog:
    settings.home.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(settings.catalog_url, lease=settings.lease)
    catalog.migrate()
    # Workers could not renew while the server was away: their leases go on, no encode is repeated.
    catalog.leases.extend_all()
    return catalog


def _mount_prefect(app: FastAPI, settings: Settings) -> MountedPrefect:
    from darkstream.server.prefect_mount import mount

    return mount(app, settings)


async def _connect(
    settings: Settings,
    prefect: MountedPrefect | None,
    make_dispatcher: Callable[[], Dispatcher] | None,
) -> Dispatcher:
    while prefect is not None and not prefect.ready:
        await asyncio.sleep(_PREFECT_POLL_S)
    # Importing Prefect takes seconds: not in the event loop.
    dispatcher = await asyncio.to_thread(make_dispatcher or (lambda: _make_dispatcher(settings)))
    if prefect is not None:
        await dispatcher.setup()
    return dispatcher


def _make_dispatcher(settings: Settings) -> Dispatcher:
    from darkstream.dispatch import PrefectDispatcher

    return PrefectDispatcher(settings.prefect_api_url)

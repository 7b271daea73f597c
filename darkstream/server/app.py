"""The server: our API under /api/v1, and Prefect mounted beside it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from darkstream import __version__
from darkstream.catalog import Catalog
from darkstream.control.dispatcher import Dispatcher
from darkstream.control.loops import running_loops
from darkstream.control.outbox import check_notify
from darkstream.control.wing import Wing
from darkstream.errors import DarkstreamError
from darkstream.observe.redaction import redact_text
from darkstream.server import (
    routes_analyses,
    routes_batches,
    routes_films,
    routes_jobs,
    routes_libraries,
    routes_presets,
    routes_replacements,
    routes_scans,
    routes_state,
    routes_walk,
    routes_work,
)
from darkstream.server.answers import install_error_answers
from darkstream.server.description import PROBLEM_RESPONSES, describe
from darkstream.server.guard import LocalOnly
from darkstream.server.prefect_mount import PrefectMount
from darkstream.server.request_id import RequestId
from darkstream.server.serving import serve_app
from darkstream.settings import Settings

_ROUTERS = (
    routes_state.router,
    routes_jobs.router,
    routes_batches.router,
    routes_replacements.router,
    routes_libraries.router,
    routes_presets.router,
    routes_scans.router,
    routes_analyses.router,
    routes_work.router,
    routes_films.router,
    routes_replacements.worker_router,
    routes_walk.router,
    routes_analyses.worker_router,
)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; raises SettingsError where host, port or home cannot be."""
    serve_app(settings, lambda: create_app(settings), on_stop=lambda app: app.state.stopping())


def create_app(
    settings: Settings, *, make_dispatcher: Callable[[], Dispatcher] | None = None
) -> FastAPI:
    """The whole server as one ASGI app, its catalog open and up to date.

    With a `make_dispatcher` of a test's own, Prefect's server is neither mounted nor imported.
    Raises SettingsError for a webhook that cannot be, DarkstreamError where the catalog cannot be
    opened.
    """
    check_notify(settings)
    app = FastAPI(title="DarkStream", version=__version__, openapi_url=None)
    catalog = _open_catalog(settings)
    wing = Wing(settings, catalog)
    api = create_api(wing)
    app.mount("/api/v1", api)
    app.add_middleware(LocalOnly)
    app.add_middleware(RequestId)
    install_error_answers(app)
    prefect = None
    if make_dispatcher is None:
        prefect = PrefectMount(
            settings, on_new_run=wing.runs_bell.ring, on_cancel=wing.wake_reconcilers
        )
    if prefect is not None:
        app.router.routes.extend(prefect.routes())
        app.add_route("/", _to_prefect, include_in_schema=False)

    async def connect() -> Dispatcher:
        if make_dispatcher is not None:
            return make_dispatcher()
        return await _connect(settings, prefect)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        gc.freeze()  # what was imported stays: no collection is to look at it again
        async with AsyncExitStack() as stack:
            stack.callback(catalog.close)
            if prefect is not None:
                prefect.start()
                stack.push_async_callback(prefect.stop)
            await stack.enter_async_context(running_loops(wing, connect))
            yield

    app.router.lifespan_context = lifespan
    app.state.stopping = wing.runs_bell.close
    return app


def create_api(wing: Wing) -> FastAPI:
    """The routes under /api/v1."""
    api = FastAPI(title="DarkStream", openapi_url=None, responses=PROBLEM_RESPONSES)
    api.state.wing = wing
    for router in _ROUTERS:
        api.include_router(router)
    install_error_answers(api)
    describe(api)
    return api


def _open_catalog(settings: Settings) -> Catalog:
    settings.home.mkdir(parents=True, exist_ok=True)
    try:
        catalog = Catalog(
            settings.catalog_url, lease=settings.lease, settle_s=settings.library.settle_s
        )
        catalog.migrate()
        # Workers could not renew while the server was away: their leases go on, and no encode is
        # repeated.
        catalog.leases.extend_all()
        catalog.analyses.extend_all()
        catalog.batches.settle()
    except DarkstreamError:
        raise
    except Exception as error:
        # The drivers of two databases raise many types; what they say is for the user either way.
        line = redact_text(" ".join(str(error).split()))
        raise DarkstreamError(
            f"the catalog cannot be opened ({line}): see DARKSTREAM_CATALOG__URL"
        ) from error
    return catalog


async def _to_prefect(_request: Request) -> Response:
    return RedirectResponse("/prefect")


async def _connect(settings: Settings, prefect: PrefectMount | None) -> Dispatcher:
    if prefect is not None:
        await prefect.wait_ready()
    # Importing Prefect takes seconds: not in the event loop.
    dispatcher = await asyncio.to_thread(_make_dispatcher, settings)
    if settings.prefect.api_url is None:
        await dispatcher.setup()
    return dispatcher


def _make_dispatcher(settings: Settings) -> Dispatcher:
    from darkstream.dispatch import PrefectDispatcher

    return PrefectDispatcher(settings.prefect_api_url)

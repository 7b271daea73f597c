"""An id for each request: in the answer's header, in problems and in the log."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def request_id() -> str | None:
    """The id of the request that is answered now."""
    return _current.get()


class RequestId:
    """Gives each HTTP request its id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; the answer carries `x-request-id`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = secrets.token_hex(8)
        _current.set(identifier)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-request-id", identifier.encode())]
                message = {**message, "headers": headers}
            await send(message)

        asked = f"{scope['method']} {scope['path']}"
        with structlog.contextvars.bound_contextvars(request=identifier, asked=asked):
            await self._app(scope, receive, send_with_id)

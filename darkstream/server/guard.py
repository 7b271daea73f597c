"""Lets only local programs and our own pages in, as long as there is no sign-in."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from darkstream.errors import SettingsError
from darkstream.model.wire import Problem
from darkstream.server.answers import problem_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


def require_loopback(host: str) -> None:
    """Raise SettingsError for an address that others could reach."""
    if not _is_loopback(host):
        raise SettingsError(
            f"the server cannot listen on {host!r}: without sign-in only this machine may reach "
            "it; set DARKSTREAM_SERVER__HOST to 127.0.0.1, ::1 or localhost"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LocalOnly:
    """Refuses requests a web page elsewhere could cause.

    A `Host` that is no loopback name means DNS rebinding; an `Origin` that is not ours means a
    foreign page. Both apply to Prefect's routes and to websockets as well.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        reason = None if scope["type"] == "lifespan" else _refusal(scope)
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            problem = Problem(title="Forbidden", status=403, detail=reason, error="usage")
            await problem_response(problem)(scope, receive, send)


def _refusal(scope: Scope) -> str | None:
    headers = {key.lower(): value.decode("latin-1") for key, value in scope["headers"]}
    host = headers.get(b"host", "")
    if not _is_loopback(_host_name(f"//{host}")):
        return f"the host {host!r} is not this machine: use 127.0.0.1 or localhost"
    origin = headers.get(b"origin")
    if origin is not None and _netloc(origin) != host:
        return f"a page of {origin} may not use this server"
    return None


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""

from __future__ import annotations

from typing import Any

import pytest

from darkstream.errors import SettingsError
from darkstream.server.guard import LocalOnly, require_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", ""])
def test_anything_others_reach_is_refused_with_what_to_set(host: str) -> None:
    with pytest.raises(SettingsError, match="DARKSTREAM_SERVER__HOST"):
        require_loopback(host)


async def _ask(kind: str = "http", **headers: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        sent.append({"type": "passed"})

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": kind, "method": "POST", "path": "/", "headers": raw}
    await LocalOnly(inner)(scope, receive, send)
    return sent


@pytest.mark.parametrize("host", ["127.0.0.1:4280", "localhost", "[::1]:4280", "LOCALHOST:1"])
async def test_local_names_pass(host: str) -> None:
    assert await _ask(host=host) == [{"type": "passed"}]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4280", "", "[::1", "10.0.0.1"])
async def test_other_names_are_dns_rebinding(host: str) -> None:
    sent = await _ask(host=host)
    assert sent[0]["status"] == 403


async def test_our_own_pages_pass() -> None:
    sent = await _ask(host="localhost:4280", origin="http://localhost:4280")
    assert sent == [{"type": "passed"}]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:9999", "http://["]
)
async def test_foreign_pages_do_not(origin: str) -> None:
    sent = await _ask(host="localhost:4280", origin=origin)
    assert sent[0]["status"] == 403
    assert b"may not use this server" in sent[1]["body"]


async def test_a_foreign_page_gets_no_websocket() -> None:
    sent = await _ask("websocket", host="localhost:4280", origin="https://evil.example")
    assert [message["type"] for message in sent] == ["websocket.close"]

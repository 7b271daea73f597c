"""Prefect inside our server: from nothing to ready, its pages, its websockets, its end."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from fixtures_prefect import PrefectServer
from starlette.types import Message

from darkstream.errors import PrefectUnreachable
from darkstream.server.prefect_mount import PrefectMount, prefect_environment
from darkstream.settings import PrefectSettings, ServerSettings, Settings
from flows.results import MOST_TAGS


def _app(mount: PrefectMount) -> FastAPI:
    app = FastAPI()

    @app.get("/api/v1/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    app.router.routes.extend(mount.routes())
    return app


@pytest.fixture
def waiting(tmp_path: Path) -> TestClient:
    """A mount that was never started, behind one route of ours."""
    return TestClient(_app(PrefectMount(Settings(home=tmp_path))))


def test_until_ready_prefects_paths_ask_to_try_again(waiting: TestClient) -> None:
    for path in ("/api/health", "/prefect/", "/api/flow_runs/filter"):
        answer = waiting.get(path)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["prefect-maintenance"] == "true"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "Prefect is still starting"


def test_our_routes_win_and_unknown_ones_are_not_prefects(waiting: TestClient) -> None:
    assert waiting.get("/api/v1/health").json() == {"status": "ok"}
    for path in ("/api/v1/nothing", "/api/v1"):
        answer = waiting.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"] == "not_found"


def test_a_prefect_elsewhere_is_named(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, prefect=PrefectSettings(api_url="http://prefect.example:4200/api")
    )
    mount = PrefectMount(settings)
    assert mount.ready
    assert mount.reason is None
    answer = TestClient(_app(mount)).get("/api/health")
    assert answer.status_code == 404
    assert "http://prefect.example:4200/api" in answer.json()["detail"]


def test_the_environment_keeps_prefect_in_our_home(tmp_path: Path) -> None:
    environment = prefect_environment(Settings(home=tmp_path, server=ServerSettings(port=4999)))
    assert environment["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert str(tmp_path) in environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:4999/api"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


@pytest.mark.logs_errors
async def test_a_failed_start_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> FastAPI:
        raise RuntimeError("no such library\nand a second line")

    monkeypatch.setattr("darkstream.server.prefect_mount._create_prefect", fail)
    monkeypatch.setattr("darkstream.server.prefect_mount._set_environment", lambda _: None)
    mount = PrefectMount(Settings(home=tmp_path))
    mount.start()
    with pytest.raises(PrefectUnreachable, match=r"no such library$"):
        await asyncio.wait_for(mount.wait_ready(), 10)
    assert mount.reason == "Prefect could not start: RuntimeError: no such library"
    answer = TestClient(_app(mount)).get("/api/health")
    assert answer.status_code == 503
    await mount.stop()


async def test_a_websocket_is_held_until_prefect_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = threading.Event()
    prefect = FastAPI()

    @prefect.websocket("/api/events/in")
    async def events(socket: WebSocket) -> None:
        await socket.accept()

    def create(*_: object) -> FastAPI:
        assert imported.wait(20)
        return prefect

    monkeypatch.setattr("darkstream.server.prefect_mount._create_prefect", create)
    monkeypatch.setattr("darkstream.server.prefect_mount._set_environment", lambda _: None)
    mount = PrefectMount(Settings(home=tmp_path))
    mount.start()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/api/events/in", "headers": [], "query_string": b""}
    handshake = asyncio.create_task(mount(scope, receive, send))
    await asyncio.wait({handshake}, timeout=0.2)
    assert not sent
    imported.set()
    await asyncio.wait_for(handshake, 10)
    assert sent[0]["type"] == "websocket.accept"
    await mount.stop()
    await mount(scope, receive, send)
    assert sent[-1]["type"] == "websocket.close"


def _get(url: str, **headers: str) -> tuple[int, str, str]:
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as response:
            return response.status, response.url, response.read().decode("utf-8", "replace")
    except HTTPError as error:
        return error.code, url, error.read().decode("utf-8", "replace")


def test_api_pages_and_websocket_of_the_mounted_server(
    make_prefect: Callable[..., PrefectServer],
) -> None:
    server = make_prefect(pages=True)
    server.launch()
    deadline = time.monotonic() + 120
    while not server.answers("/api/v1/ready"):
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)
    assert _get(f"{server.url}/api/health")[0] == 503, "it cannot be ready this soon"
    while not server.answers():
        assert time.monotonic() < deadline, server.log
        time.sleep(0.1)
    assert json.loads(_get(f"{server.url}/api/v1/ready")[2]) == {"ready": True, "reason": None}
    assert _get(f"{server.url}/api/admin/version")[2] == '"3.8.8"'
    status, url, page = _get(f"{server.url}/prefect", accept="text/html")
    assert (status, url) == (200, f"{server.url}/prefect/v2/")
    assert "/prefect/v2/assets/" in page
    settings = json.loads(_get(f"{server.url}/prefect/ui-settings")[2])
    assert settings["api_url"] == "/api"
    asyncio.run(_speak_by_websocket(server))
    assert "ERROR" not in server.log


async def _speak_by_websocket(server: PrefectServer) -> None:
    from prefect.events.clients import PrefectEventsClient
    from prefect.events.schemas.events import Event, Resource

    resource = Resource({"prefect.resource.id": "darkstream.test"})
    async with PrefectEventsClient(api_url=server.api_url) as client:
        await client.emit(Event(event="darkstream.tested", resource=resource))
    deadline = time.monotonic() + 20
    while True:
        body = json.dumps({"filter": {"event": {"name": ["darkstream.tested"]}}}).encode()
        request = Request(
            f"{server.api_url}/events/filter",
            data=body,
            headers={"content-type": "application/json"},
        )
        with urlopen(request, timeout=10) as response:
            if json.load(response)["total"] == 1:
                return
        assert time.monotonic() < deadline, "the event never arrived"
        await asyncio.sleep(0.2)


async def _make_run(http: httpx.AsyncClient, count: int = 0) -> httpx.Response:
    """A flow run with so many tags."""
    flow = (await http.post("/flows/", json={"name": "tagged"})).json()["id"]
    return await http.post("/flow_runs/", json={"flow_id": flow, "tags": [*map(str, range(count))]})


async def test_a_cancelled_flow_run_is_heard_of_at_once(prefect_server: PrefectServer) -> None:
    heard = f"{prefect_server.url}/api/v1/cancels"
    async with httpx.AsyncClient(base_url=prefect_server.api_url, timeout=60) as http:
        run = (await _make_run(http)).json()["id"]
        before = (await http.get(heard)).json()
        for state in ("RUNNING", "CANCELLING"):
            wish = {"state": {"type": state}, "force": True}
            assert (await http.post(f"/flow_runs/{run}/set_state", json=wish)).is_success
        deadline = time.monotonic() + 10
        while (await http.get(heard)).json() != before + 1:
            assert time.monotonic() < deadline, "nobody was told"
            await asyncio.sleep(0.05)


async def test_prefect_takes_as_many_tags_as_we_give_a_flow_run(
    prefect_server: PrefectServer,
) -> None:
    """It puts them into the event of each new state, and refuses a state with more than 100."""
    async with httpx.AsyncClient(base_url=prefect_server.api_url, timeout=60) as http:
        assert (await _make_run(http, MOST_TAGS + 20)).is_success
        assert (await _make_run(http, 150)).status_code == 500


async def test_many_writers_at_once_all_get_their_turn(prefect_server: PrefectServer) -> None:
    """Prefect's own way answers most of these with 503, 'database is locked'."""
    async with httpx.AsyncClient(base_url=prefect_server.api_url, timeout=60) as http:

        async def make(path: str, **body: object) -> dict[str, Any]:
            answer = await http.post(path, json=body)
            assert answer.is_success, answer.text
            made: dict[str, Any] = answer.json()
            return made

        flow = (await make("/flows/", name="many"))["id"]
        deployment = (await make("/deployments/", name="many", flow_id=flow))["id"]

        async def run_one() -> None:
            path = f"/deployments/{deployment}/create_flow_run"
            run = (await make(path, state={"type": "SCHEDULED"}))["id"]
            await make(f"/flow_runs/{run}/set_state", state={"type": "RUNNING"})

        await asyncio.gather(*(run_one() for _ in range(30)))


def test_it_starts_again_after_a_kill_and_ends_soon(prefect_server: PrefectServer) -> None:
    prefect_server.end(signal.SIGKILL)
    prefect_server.start()
    assert prefect_server.end() < 8

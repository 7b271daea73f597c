"""Workers hear at once of flow runs; a wait ends with a new run, the server, or by itself."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from fixtures_server import RunningServer, run_server, wait_until
from starlette.responses import Response

from darkstream.client.api import Client
from darkstream.control import announcements
from darkstream.model.wire import SubmitJob
from darkstream.server.prefect_mount import PrefectMount
from darkstream.settings import Settings
from darkstream.worker.announcements import Announcements


def test_a_new_flow_run_is_announced(server: RunningServer, client: Client) -> None:
    first = client.await_announcement(None)
    assert first.ask_again_s >= 1
    with ThreadPoolExecutor(1) as pool, Client(server.url) as other:
        news = pool.submit(other.await_announcement, first.mark)
        client.submit_job(SubmitJob(source="/films/a.mkv", preset="web"))
        assert news.result(timeout=10).mark != first.mark
    assert server.dispatcher.orders


def test_a_wait_without_news_ends_by_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcements, "_HOLD_S", 0.05)
    first = client.await_announcement(None)
    assert client.await_announcement(first.mark) == first


@pytest.mark.parametrize(
    ("path", "announced"),
    [
        ("/api/deployments/7/create_flow_run", True),
        ("/api/flow_runs/", True),
        ("/api/flow_runs/7/resume", True),
        ("/api/flow_runs/filter", False),
        ("/api/flow_runs/7/set_state", False),
        ("/api/work_pools/cpu/get_scheduled_flow_runs", False),
    ],
)
def test_requests_to_prefect_that_make_runs_are_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, announced: bool
) -> None:
    rings: list[str] = []
    prefect = FastAPI()
    prefect.add_route(path, lambda _: Response(), methods=["POST"])
    monkeypatch.setattr("darkstream.server.prefect_mount._create_prefect", lambda *_: prefect)
    monkeypatch.setattr("darkstream.server.prefect_mount._set_environment", lambda _: None)
    mount = PrefectMount(Settings(home=tmp_path), on_new_run=lambda: rings.append(path))
    app = FastAPI(on_startup=[mount.start], on_shutdown=[mount.stop])
    app.router.routes.extend(mount.routes())
    with TestClient(app) as client:
        wait_until(lambda: mount.ready, "the mount")
        assert client.post(path).status_code == 200
    assert rings == ([path] if announced else [])


async def test_a_worker_follows_them_and_knows_when_there_are_none(tmp_path: Path) -> None:
    with run_server(tmp_path) as server:
        heard = Announcements(server.url)
        assert heard.ask_again_s is None
        heard.start()
        await asyncio.wait_for(heard.wait(heard.mark, 60), 10)
        assert heard.ask_again_s is not None
        mark = heard.mark
        with Client(server.url) as client:
            client.submit_job(SubmitJob(source="/films/a.mkv", preset="web"))
        await asyncio.wait_for(heard.wait(mark, 60), 10)
        mark = heard.mark
    await asyncio.wait_for(heard.wait(mark, 60), 30)
    assert heard.ask_again_s is None
    heard.stop()

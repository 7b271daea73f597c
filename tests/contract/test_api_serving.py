from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fixtures_server import wait_until

from darkstream.client.api import Client
from darkstream.errors import DarkstreamError, ServerUnreachable, SettingsError
from darkstream.model.wire import AddLibrary
from darkstream.server.app import serve
from darkstream.server.serving import _listening
from darkstream.settings import Settings


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _settings(home: Path, **server: Any) -> Settings:
    return Settings.model_validate({"home": home, "server": server})


def test_an_address_that_others_reach_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="DARKSTREAM_SERVER__HOST"):
        serve(_settings(tmp_path, host="0.0.0.0"))


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, taken: int) -> None:
    with pytest.raises(SettingsError, match=f"port {taken} .* is taken") as caught:
        serve(_settings(tmp_path, port=taken))
    assert "\n" not in str(caught.value)


async def test_answers_are_not_held_back_by_nagles_algorithm(tmp_path: Path) -> None:
    """A header and a body are two packets: the second waited 40 ms for the first's receipt."""
    found: list[int] = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with _listening(_settings(tmp_path, port=_free_port())) as listener:
        server = await asyncio.start_server(answer, sock=listener)
        async with server:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            assert await reader.read() == b""
            writer.close()
    assert found == [1]


def test_a_home_has_one_server(tmp_path: Path) -> None:
    with _process(tmp_path, _free_port()) as (first, client):
        wait_until(lambda: _answers(client), "the first server", 60)
        with pytest.raises(SettingsError, match="another server works in"):
            serve(_settings(tmp_path, port=_free_port()))
        assert first.poll() is None


def test_a_home_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="DARKSTREAM_HOME"):
        serve(_settings(tmp_path / "file" / "home"))


def test_a_catalog_that_cannot_be_opened_ends_the_start(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "home": tmp_path,
            "server": {"port": _free_port()},
            "catalog": {"url": "postgresql+psycopg://me:hunter2@127.0.0.1:9/x"},
        }
    )
    with pytest.raises(DarkstreamError, match="DARKSTREAM_CATALOG__URL") as caught:
        serve(settings)
    assert "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("notify", "text"),
    [
        ({"webhook_url": "ftp://example.org"}, "must start with http"),
        ({"webhook_url": "http://example.org", "webhook_secret": "hunter2!"}, "whsec_ and base64"),
    ],
)
def test_a_webhook_that_cannot_be_called_ends_the_start(
    tmp_path: Path, notify: dict[str, str], text: str
) -> None:
    settings = Settings.model_validate(
        {"home": tmp_path, "server": {"port": _free_port()}, "notify": notify}
    )
    with pytest.raises(SettingsError, match=text) as caught:
        serve(settings)
    assert "hunter2" not in str(caught.value)


def test_sigterm_ends_the_server_cleanly_and_a_new_one_knows_everything(tmp_path: Path) -> None:
    port = _free_port()
    with _process(tmp_path, port) as (first, client):
        wait_until(lambda: _answers(client), "the first server", 60)
        client.add_library(AddLibrary(name="m", root="/a", destination="/b", preset="web"))
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0
    with _process(tmp_path, port) as (_, client):
        wait_until(lambda: _answers(client), "the second server", 60)
        assert [library.name for library in client.libraries()] == ["m"]


def test_a_worker_that_waits_for_news_does_not_keep_the_server(tmp_path: Path) -> None:
    port = _free_port()
    with _process(tmp_path, port) as (server, client), ThreadPoolExecutor(1) as pool:
        wait_until(lambda: _answers(client), "the server", 60)
        mark = client.await_announcement(None).mark
        news = pool.submit(client.await_announcement, mark)
        with pytest.raises(TimeoutError):
            news.result(timeout=0.5)
        server.send_signal(signal.SIGTERM)
        assert news.result(timeout=10).mark != mark
        assert server.wait(30) == 0


def _answers(client: Client) -> bool:
    try:
        client.health()
    except ServerUnreachable:
        return False
    return True


@contextmanager
def _process(home: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], Client]]:
    """A server as its own process; its Prefect is elsewhere and away."""
    environment = os.environ | {
        "DARKSTREAM_HOME": str(home),
        "DARKSTREAM_SERVER__PORT": str(port),
        "DARKSTREAM_PREFECT__API_URL": "http://127.0.0.1:9/api",
    }
    process = subprocess.Popen([sys.executable, "-m", "darkstream", "server"], env=environment)
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            yield process, client
    finally:
        process.kill()
        process.wait()

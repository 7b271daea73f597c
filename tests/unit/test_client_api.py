"""The client against programs that are no DarkStream server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from darkstream.client.api import Client
from darkstream.errors import NotFound, ServerUnreachable, ServiceError
from darkstream.model.base import ScanId


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404 if self.path.endswith("/jobs/1") else 200)
        self.end_headers()
        self.wfile.write(b"<html>It works!</html>\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[Client]:
    server = HTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with Client(f"http://127.0.0.1:{server.server_port}") as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


CALLS: tuple[Callable[[Client], object], ...] = (
    lambda client: client.health(),
    lambda client: client.ready(),
    lambda client: client.jobs(),
    lambda client: client.job(1),
    lambda client: client.libraries(),
    lambda client: client.files("films"),
    lambda client: client.nodes(),
    lambda client: client.presets(),
    lambda client: client.flow_run_dispatch("run"),
    lambda client: list(client.scan_report(1)),
)


@pytest.mark.parametrize("call", CALLS)
def test_a_strangers_answer_is_one_clear_line(
    stranger: Client, call: Callable[[Client], object]
) -> None:
    with pytest.raises(ServiceError, match="is another program listening") as caught:
        call(stranger)
    assert "\n" not in str(caught.value)


def test_nobody_there_is_said_with_the_address() -> None:
    with Client("http://127.0.0.1:9/") as client:
        with pytest.raises(ServerUnreachable, match=r"http://127\.0\.0\.1:9:"):
            client.health()
        with pytest.raises(ServerUnreachable):
            list(client.scan_report(ScanId(1)))


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_is_no_part_of_a_path_is_not_sent(name: str) -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(NotFound, match="no slash"):
        client.library(name)

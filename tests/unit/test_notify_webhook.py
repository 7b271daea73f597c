"""Webhooks against a real server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from darkstream.errors import ServiceError, SettingsError
from darkstream.notify.webhook import deliver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """Keeps what it was sent; answers with `status` after `gate` opened."""

    url: str = ""
    status: int = 204
    endless: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, dict[str, str], str]] = field(default_factory=list)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    state = Receiver()
    state.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.requests.append((self.path, headers, body))
            state.gate.wait(30)
            self.send_response(state.status)
            self.send_header("location", "/elsewhere")
            self.end_headers()
            while state.endless:
                try:
                    self.wfile.write(b"x" * 65536)
                except OSError:
                    return

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/hook?key=hunter2"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    state.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_event_arrives_signed(receiver: Receiver) -> None:
    deliver(receiver.url, SECRET, id="msg_1", event="job.ended", payload={"job": 7, "name": "ü"})
    ((path, headers, body),) = receiver.requests
    assert path == "/hook?key=hunter2"
    assert headers["webhook-id"] == "msg_1"
    assert headers["content-type"] == "application/json"
    verified = Webhook(SECRET).verify(body, headers)
    assert verified["type"] == "job.ended"
    assert verified["data"] == {"job": 7, "name": "ü"}
    assert verified["timestamp"].endswith("+00:00")


def test_another_secret_does_not_verify(receiver: Receiver) -> None:
    deliver(receiver.url, SECRET, id="msg_1", event="job.ended", payload={})
    ((_, headers, body),) = receiver.requests
    with pytest.raises(Exception, match="No matching signature"):
        Webhook("whsec_" + "QUJD" * 8).verify(body, headers)


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    deliver(receiver.url, None, id="msg_1", event="scan.ended", payload={})
    ((_, headers, body),) = receiver.requests
    assert "webhook-signature" not in headers
    assert json.loads(body)["type"] == "scan.ended"


@pytest.mark.parametrize(
    ("status", "said"), [(302, "redirects are not followed"), (410, "410"), (500, "500")]
)
def test_any_other_answer_is_one_clear_line(receiver: Receiver, status: int, said: str) -> None:
    receiver.status = status
    with pytest.raises(ServiceError, match=said) as caught:
        deliver(receiver.url, SECRET, id="msg_1", event="job.ended", payload={})
    assert len(receiver.requests) == 1
    assert "hunter2" not in str(caught.value)
    assert "hook?" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_endless_answer_is_not_read(receiver: Receiver) -> None:
    receiver.status = 200
    receiver.endless = True
    deliver(receiver.url, SECRET, id="msg_1", event="job.ended", payload={}, timeout=5)
    assert len(receiver.requests) == 1


def test_no_answer_in_time(receiver: Receiver) -> None:
    receiver.gate.clear()
    with pytest.raises(ServiceError, match="did not answer in time"):
        deliver(receiver.url, SECRET, id="msg_1", event="job.ended", payload={}, timeout=0.1)


def test_nobody_there_leaks_nothing(receiver: Receiver) -> None:
    url = "http://user:hunter2@127.0.0.1:9/token/hunter2?key=hunter2"
    with pytest.raises(ServiceError, match="cannot be reached: ConnectError") as caught:
        deliver(url, SECRET, id="msg_1", event="job.ended", payload={})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://example.org/x", "example.org/x", "http://", "http://[::1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(SettingsError, match="webhook's address"):
        deliver(url, SECRET, id="msg_1", event="job.ended", payload={})


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_a", "whsec_ü"])
def test_a_secret_that_is_none(secret: str) -> None:
    with pytest.raises(SettingsError, match="whsec_ and base64"):
        deliver("http://127.0.0.1:9", secret, id="msg_1", event="job.ended", payload={})

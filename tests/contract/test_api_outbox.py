from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from sqlalchemy import text

from darkstream.control.outbox import deliver_due, prune
from darkstream.control.wing import Wing


class _Receiver:
    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                receiver.bodies.append(self.rfile.read(length))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[_Receiver]:
    made = _Receiver()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def _telling(wing: Wing, url: str) -> Wing:
    notify = wing.settings.notify.model_copy(update={"webhook_url": url})
    settings = wing.settings.model_copy(update={"notify": notify})
    return Wing(settings, wing.catalog)


async def test_an_event_is_delivered_once(wing: Wing, receiver: _Receiver) -> None:
    wing.catalog.outbox.add("job.ended", {"job": 7})
    told = _telling(wing, receiver.url)
    assert not await deliver_due(told)
    assert not await deliver_due(told)
    (body,) = receiver.bodies
    assert b'"job.ended"' in body
    assert b'"job":7' in body


async def test_an_event_that_is_refused_stays_for_later(wing: Wing, receiver: _Receiver) -> None:
    receiver.status = 503
    wing.catalog.outbox.add("job.ended", {"job": 7})
    await deliver_due(_telling(wing, receiver.url))
    await deliver_due(_telling(wing, receiver.url))
    assert len(receiver.bodies) == 1


async def test_where_nobody_wants_to_know_the_outbox_stays_empty(
    wing: Wing, receiver: _Receiver
) -> None:
    for job in range(10):
        wing.catalog.outbox.add("job.ended", {"job": job})
    assert await deliver_due(wing)
    assert not await deliver_due(wing)
    await deliver_due(_telling(wing, receiver.url))
    assert receiver.bodies == []


async def test_old_events_are_forgotten_and_new_ones_are_not(
    wing: Wing, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = wing.catalog.database.now
    wing.catalog.outbox.add("job.ended", {"job": 7})
    await deliver_due(wing)
    assert not await prune(wing)
    assert _count(wing) == 1
    monkeypatch.setattr(wing.catalog.database, "now", lambda c: clock(c) + 31 * 86400)
    assert not await prune(wing)
    assert _count(wing) == 0


def _count(wing: Wing) -> int:
    with wing.catalog.database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM outbox")).scalar_one())

"""Somebody who listens for webhooks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlsplit


class _Receiver(BaseHTTPRequestHandler):
    heard: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def listening(url: str) -> Iterator[list[tuple[dict[str, str], bytes]]]:
    """Headers and bodies of what is posted to the address meanwhile."""
    heard: list[tuple[dict[str, str], bytes]] = []
    receiver = type("Receiver", (_Receiver,), {"heard": heard})
    with HTTPServer(("127.0.0.1", urlsplit(url).port or 0), receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()

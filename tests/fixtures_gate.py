"""A gate before a server: it passes connections on, or answers as a server that is not well."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

Weather = Literal["fine", "503", "garbage", "hang"]

_ANSWERS = {
    "503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "garbage": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n"
        b"Connection: close\r\n\r\n<html>"
    ),
}


class Gate:
    """Listens on a port of its own; `turn` closes what is open, so that nobody keeps the old."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._weather: Weather = "fine"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def turn(self, weather: Weather) -> None:
        """From now on."""
        self._weather = weather
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.turn("hang")

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.add(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if self._weather == "fine":
                with socket.create_connection(self._target) as server:
                    self._open.add(server)
                    back = threading.Thread(target=_pour, args=(server, client), daemon=True)
                    back.start()
                    _pour(client, server)
                    back.join()
                    self._open.discard(server)
            elif client.recv(1 << 16) and self._weather in _ANSWERS:
                client.sendall(_ANSWERS[self._weather])
            else:
                client.recv(1)  # for ever, until the gate is turned
        self._open.discard(client)


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(1 << 16):
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def gate_before(url: str) -> Iterator[Gate]:
    gate = Gate(url)
    try:
        yield gate
    finally:
        gate.close()

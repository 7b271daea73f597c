"""What the worker and its zygote say to each other: one JSON object a line, over a socket pair."""

from __future__ import annotations

import socket
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from darkstream.model.base import Frozen


class Start(Frozen):
    """Fork, and run one flow run in the child."""

    kind: Literal["start"] = "start"
    flow_run: str
    entrypoint: str | None
    """The deployment's entrypoint where the zygote may use the flow it has loaded."""
    directory: str
    environment: dict[str, str]


class Signal(Frozen):
    """Send a signal to the process of a flow run; SIGKILL goes to its whole process group."""

    kind: Literal["signal"] = "signal"
    flow_run: str
    number: int


class Ready(Frozen):
    """The flows are loaded; `threads` is 1 unless loading them started some."""

    kind: Literal["ready"] = "ready"
    loaded: tuple[str, ...]
    failed: dict[str, str]
    threads: int
    seconds: float


class Started(Frozen):
    """A child was forked."""

    kind: Literal["started"] = "started"
    flow_run: str
    pid: int


class NotStarted(Frozen):
    """No child could be forked."""

    kind: Literal["not_started"] = "not_started"
    flow_run: str
    reason: str


class Exited(Frozen):
    """A child is gone, with all that was in its process group; `code` < 0 is a signal."""

    kind: Literal["exited"] = "exited"
    flow_run: str
    code: int


Order = Annotated[Start | Signal, Field(discriminator="kind")]
News = Annotated[Ready | Started | NotStarted | Exited, Field(discriminator="kind")]

ORDER: TypeAdapter[Order] = TypeAdapter(Order)
NEWS: TypeAdapter[News] = TypeAdapter(News)


def encode(message: Frozen) -> bytes:
    """One line."""
    return message.model_dump_json().encode() + b"\n"


class OrderReader:
    """Whole orders out of a stream socket, for a process without an event loop."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._rest = b""

    def read(self) -> list[Order] | None:
        """The orders that arrived (waits for some bytes); None: the worker is gone."""
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [ORDER.validate_json(line) for line in lines]

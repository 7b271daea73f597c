"""What the steps of one process work with: made once, and only as far as they need it."""

from __future__ import annotations

import socket
from functools import cached_property
from types import TracebackType
from typing import Self

from darkstream.client.api import Client
from darkstream.media.capabilities import detect_capabilities
from darkstream.media.probe import Prober
from darkstream.media.process import Limits
from darkstream.media.sandbox import Sandbox
from darkstream.model.base import NodeName
from darkstream.model.capabilities import Capabilities
from darkstream.settings import Settings

_ANSWER_S = 10.0


class Toolbox:
    """Settings, client, prober, cage and capabilities; nothing is opened before it is used.

    A forked child makes its own. A context: at its end connections and the prober's child are gone.
    """

    def __init__(self, settings: Settings, *, flow_run: str) -> None:
        self.settings = settings
        self.flow_run = flow_run
        self.node = NodeName(settings.worker.name or socket.gethostname())

    def __enter__(self) -> Self:
        """This toolbox."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put everything away."""
        self.close()

    def close(self) -> None:
        """Close the connections and end the prober's child."""
        for name in ("client", "prober"):
            if (tool := self.__dict__.pop(name, None)) is not None:
                tool.close()

    @cached_property
    def client(self) -> Client:
        """The server's client; threads share it."""
        return Client(self.settings.server_url, timeout=_ANSWER_S)

    @cached_property
    def prober(self) -> Prober:
        """The prober; its caged child starts with the first file."""
        return Prober(self.settings.media)

    @cached_property
    def capabilities(self) -> Capabilities:
        """What this node's ffmpeg can do; proved once a machine, then read from disk."""
        return detect_capabilities(self.settings.media, self.settings.home / "capabilities")

    @cached_property
    def sandbox(self) -> Sandbox:
        """The cage of this machine."""
        return Sandbox.detect(self.settings.media.sandbox)

    @property
    def limits(self) -> Limits:
        """What one ffmpeg may use."""
        media = self.settings.media
        return Limits(no_progress_s=media.no_progress_s, memory_bytes=media.memory_limit)

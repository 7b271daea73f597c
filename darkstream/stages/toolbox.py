"""What the steps of one process work with: made once, and only as far as they need it."""

from __future__ import annotations

import socket
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from darkstream.client.api import Client
from darkstream.media.capabilities import detect_capabilities, forget_hardware
from darkstream.media.cgroup import scope_words
from darkstream.media.decoding import Decoder
from darkstream.media.probe import Prober
from darkstream.media.process import Limits
from darkstream.media.sandbox import Sandbox
from darkstream.model.base import ContentId, NodeName
from darkstream.model.capabilities import Capabilities
from darkstream.model.source import ChangeHint
from darkstream.observe.cancel import CancelToken
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
        self.contents: dict[bytes, tuple[ChangeHint, ContentId]] = {}
        """What sources were, read to their end by this process."""

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
        return detect_capabilities(self.settings.media, self._proofs)

    def prove_hardware_again(self) -> None:
        """Hardware failed that was proved: what it can do is asked anew, here and by others."""
        forget_hardware(self._proofs)
        self.__dict__.pop("capabilities", None)

    @property
    def _proofs(self) -> Path:
        return self.settings.home / "capabilities"

    @cached_property
    def sandbox(self) -> Sandbox:
        """The cage of this machine."""
        return Sandbox.detect(self.settings.media.sandbox)

    def decoder(self, cancel: CancelToken | None) -> Decoder:
        """This node's ffmpeg in its cage, for what one token may end."""
        return Decoder(
            self.capabilities,
            self.sandbox,
            self.limits,
            self.settings.media.max_pixels,
            self.settings.worker.threads,
            cancel=cancel,
        )

    @cached_property
    def limits(self) -> Limits:
        """What one ffmpeg may use."""
        media, worker = self.settings.media, self.settings.worker
        memory = media.memory_limit
        return Limits(
            no_progress_s=media.no_progress_s,
            memory_bytes=memory,
            nice=worker.nice,
            ionice=worker.ionice,
            scope=() if worker.cpus is None else scope_words(worker.cpus, memory),
        )

"""The prober: a warm, caged child that gets each file as a read-only descriptor."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from darkstream.errors import SourceRejected, SourceUnreadable, SourceVanished
from darkstream.media.process import Servant
from darkstream.media.sandbox import Sandbox
from darkstream.model.media import MediaInfo
from darkstream.model.paths import display
from darkstream.settings import MediaSettings

_FILES_A_CHILD = 200
_MEMORY_BYTES = 4 << 30


class Prober:
    """Looks into files, one at a time; threads may share it, a forked child makes its own.

    The child is started at the first probe, and anew after 200 files or any failure.
    """

    def __init__(self, settings: MediaSettings) -> None:
        self._settings = settings
        self._sandbox = Sandbox.detect(settings.sandbox)
        self._lock = threading.Lock()
        self._child: tuple[Servant, socket.socket] | None = None
        self._files = 0

    def __enter__(self) -> Prober:
        """This prober."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the child."""
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._end()

    def probe(self, path: bytes) -> MediaInfo:
        """What is in a file.

        Raises SourceVanished, SourceUnreadable, and SourceRejected with a sentence that says why
        where there is nothing DarkStream could convert.
        """
        descriptor = _open(path)
        try:
            with self._lock:
                answer = self._ask(descriptor, path)
        finally:
            os.close(descriptor)
        if "refused" in answer:
            raise SourceRejected(answer["refused"])
        return MediaInfo.model_validate(answer["media"])

    def _ask(self, descriptor: int, path: bytes) -> dict[str, Any]:
        if self._files >= _FILES_A_CHILD:
            self._end()
        peer = self._peer()
        try:
            socket.send_fds(peer, [b"probe"], [descriptor])
            (length,) = struct.unpack("!I", _receive(peer, 4))
            answer: dict[str, Any] = json.loads(_receive(peer, length))
        except TimeoutError as error:
            self._end()
            raise SourceRejected(
                f"looking into it took longer than {self._settings.probe_s:.0f} s"
            ) from error
        except (OSError, EOFError, ValueError) as error:
            self._end()
            raise SourceRejected(f"the prober crashed on {display(path)}") from error
        self._files += 1
        if answer.get("spent"):
            self._end()
        return answer

    def _peer(self) -> socket.socket:
        if self._child is None:
            ours, theirs = socket.socketpair()
            with theirs:
                process = Servant(
                    self._command(theirs.fileno()),
                    memory_bytes=_MEMORY_BYTES,
                    pass_fds=(theirs.fileno(),),
                )
            ours.settimeout(self._settings.probe_s)
            self._child, self._files = (process, ours), 0
        return self._child[1]

    def _command(self, descriptor: int) -> list[bytes]:
        script = Path(__file__).with_name("prober_child.py")
        python = [sys.executable, "-I", str(script), str(descriptor)]
        places = {sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))}
        read = sorted(os.fsencode(place) for place in places if not place.startswith("/usr"))
        argv = [os.fsencode(word) for word in (*python, str(self._settings.max_pixels))]
        return self._sandbox.wrap(argv, read=[*read, os.fsencode(script)])

    def _end(self) -> None:
        if self._child is not None:
            process, peer = self._child
            self._child = None
            peer.close()
            process.end()


def _receive(peer: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        block = peer.recv(count - len(data))
        if not block:
            raise EOFError("the prober ended")
        data += block
    return bytes(data)


def _open(path: bytes) -> int:
    name = display(path)
    try:
        # Not blocking: a FIFO without a writer would hold us here for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise SourceVanished(f"{name} is gone") from error
    except OSError as error:
        raise SourceUnreadable(
            f"cannot read {name}: {error.strerror}; give the worker's user read access"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceRejected(f"{name} is not a regular file")
    return descriptor

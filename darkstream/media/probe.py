"""The prober: a warm, caged child that gets each file as a read-only descriptor."""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from darkstream.errors import SourceRejected, SourceUnreadable, SourceVanished, ToolMissing
from darkstream.media.process import Servant, shell_quote
from darkstream.media.sandbox import Sandbox
from darkstream.model.media import MediaInfo
from darkstream.model.paths import display
from darkstream.model.survey import Hdr10Plus, PictureTimes, Survey
from darkstream.observe.cancel import CancelToken
from darkstream.settings import MediaSettings

_FILES_A_CHILD = 1000
_MEMORY_BYTES = 4 << 30
_ANSWER_BYTES = 64 << 20
_PROGRAM = """
import sys
sys.path.extend({paths!r})
from darkstream.media.prober.child import serve
serve({descriptor}, {pixels})
"""


class Prober:
    """Looks into files, one at a time; threads may share it, a forked child makes its own.

    The child is started at the first probe, and anew after 1000 files or any failure.
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

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is one."""
        return None if self._child is None else self._child[0].pid

    def probe(self, path: bytes) -> MediaInfo:
        """What is in a file.

        Raises SourceVanished, SourceUnreadable, and SourceRejected with a sentence that says why
        where there is nothing DarkStream could convert; ToolMissing where the prober itself cannot
        run here.
        """
        try:
            return MediaInfo.model_validate(self._look(path, b"probe").get("media"))
        except ValidationError as error:
            raise SourceRejected(f"the prober could make no sense of {display(path)}") from error

    def survey(self, path: bytes, cancel: CancelToken | None = None) -> Survey:
        """What all packets of a file say: it is read from its beginning to its end.

        Raises as `probe`, and what the token was given. Other threads wait for it.
        """
        alive = None if cancel is None else cancel.check
        try:
            return Survey.model_validate(self._look(path, b"survey", alive).get("survey"))
        except ValidationError as error:
            raise SourceRejected(f"the prober could make no sense of {display(path)}") from error

    def list_hdr10plus(
        self, path: bytes, index: int, cancel: CancelToken | None = None
    ) -> Hdr10Plus:
        """HDR10+ data of the stream with that index: the file is read from begin to end.

        Raises as `probe`, and what the token was given. Other threads wait for it.
        """
        alive = None if cancel is None else cancel.check
        wish = b"hdr10plus:%d" % index
        try:
            return Hdr10Plus.model_validate(self._look(path, wish, alive).get("hdr10plus"))
        except ValidationError as error:
            raise SourceRejected(f"the prober could make no sense of {display(path)}") from error

    def list_times(
        self, path: bytes, index: int, cancel: CancelToken | None = None
    ) -> PictureTimes:
        """When the pictures of the stream with that index are shown: the file is read to its end.

        Raises as `probe`, and what the token was given. Other threads wait for it.
        """
        alive = None if cancel is None else cancel.check
        try:
            found = self._look(path, b"times:%d" % index, alive).get("times")
            return PictureTimes.model_validate(found)
        except ValidationError as error:
            raise SourceRejected(f"the prober could make no sense of {display(path)}") from error

    def _look(
        self, path: bytes, wish: bytes, alive: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        descriptor = _open(path)
        try:
            with self._lock:
                answer = self._ask(descriptor, path, wish, alive)
        finally:
            os.close(descriptor)
        if "refused" in answer:
            raise SourceRejected(answer["refused"])
        return answer

    def _ask(
        self, descriptor: int, path: bytes, wish: bytes, alive: Callable[[], None] | None
    ) -> dict[str, Any]:
        """Ask the child; its death is the file's fault only if a fresh child dies of it too."""
        if self._files >= _FILES_A_CHILD:
            self._end()
        fresh = self._child is None
        peer = self._peer()
        try:
            answer = _exchange(peer, descriptor, wish, alive)
        except TimeoutError as error:
            self._end()
            raise SourceRejected(
                f"looking into it took longer than {self._settings.probe_s:.0f} s"
            ) from error
        except (OSError, EOFError, ValueError) as error:
            self._end()
            if fresh:
                raise SourceRejected(f"the prober crashed on {display(path)}") from error
            return self._ask(descriptor, path, wish, alive)
        except BaseException:
            self._end()
            raise
        self._files += 1
        if answer.get("spent"):
            self._end()
        return answer

    def _peer(self) -> socket.socket:
        if self._child is None:
            self._child, self._files = self._start(), 0
        return self._child[1]

    def _start(self) -> tuple[Servant, socket.socket]:
        ours, theirs = socket.socketpair()
        with theirs:
            command = self._command(theirs.fileno())
            servant = Servant(command, memory_bytes=_MEMORY_BYTES, pass_fds=(theirs.fileno(),))
        ours.settimeout(self._settings.probe_s)
        try:
            _receive(ours, 1)
        except (OSError, EOFError) as error:
            ours.close()
            raise ToolMissing(
                f"the prober cannot start here (exit code {servant.end(1.0)}); see why with: "
                f"{shell_quote(command)}"
            ) from error
        return servant, ours

    def _command(self, descriptor: int) -> list[bytes]:
        python = os.path.realpath(sys.executable)
        places = [*find_package("av"), *find_package("darkstream")]
        code = _PROGRAM.format(
            paths=sorted({os.path.dirname(place) for place in places}),
            descriptor=descriptor,
            pixels=self._settings.max_pixels,
        )
        read = {python, sys.base_prefix, *places}
        return self._sandbox.wrap(
            [python, "-I", "-S", "-c", code],
            read=sorted(os.fsencode(path) for path in read if not path.startswith("/usr")),
        )

    def _end(self) -> None:
        if self._child is not None:
            servant, peer = self._child
            self._child = None
            peer.close()
            servant.end()


def find_package(name: str) -> list[str]:
    """The directories of a package, not imported here, and of the libraries its wheel brings."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ToolMissing(f"the Python package {name} is not installed: install darkstream again")
    places = [os.path.abspath(place) for place in spec.submodule_search_locations]
    return [*places, *filter(os.path.isdir, [place + ".libs" for place in places])]


def _exchange(
    peer: socket.socket, descriptor: int, wish: bytes, alive: Callable[[], None] | None
) -> dict[str, Any]:
    socket.send_fds(peer, [wish], [descriptor])
    while not (length := struct.unpack("!I", _receive(peer, 4))[0]):
        if alive is not None:
            alive()
    if length > _ANSWER_BYTES:
        raise ValueError("an answer that long is no answer")
    answer = json.loads(_receive(peer, length))
    if not isinstance(answer, dict):
        raise ValueError("the answer is no object")  # noqa: TRY004 - it came over a wire
    return answer


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

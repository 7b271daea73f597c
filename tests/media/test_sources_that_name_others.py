"""Playlists and scripts with a video's name: refused, and nothing they name is opened."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkstream.errors import SourceRejected
from darkstream.media.probe import Prober
from darkstream.settings import MediaSettings

_HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n"
_DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="v" bandwidth="1" codecs="avc1"><BaseURL>{url}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>"
)
_ID3 = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
"""An empty tag, which libav steps over before it asks what a file is."""


class Bait:
    """A file and a server that tell whether anybody came."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "secret.mp4"
        os.mkfifo(self.path)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._opened = threading.Event()
        self._waiter = threading.Thread(target=self._wait)
        self._waiter.start()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._listener.getsockname()
        return host, port

    @property
    def urls(self) -> dict[str, str]:
        host, port = self.address
        return {"file": f"file://{self.path}", "http": f"http://{host}:{port}/secret.ts"}

    @property
    def taken(self) -> bool:
        """Whether the file was opened or the server called."""
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return self._opened.wait(0.05)  # the thread that saw it may not have had its turn
        return True

    def close(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._waiter.join()
        os.close(descriptor)
        self._listener.close()

    def _wait(self) -> None:
        """A FIFO opens for writing when somebody opens it for reading."""
        descriptor = os.open(self.path, os.O_WRONLY)
        self._opened.set()
        os.close(descriptor)


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Bait]:
    made = Bait(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["as it is here", "uncaged"])
def prober(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Prober]:
    """What keeps them shut must not be the cage alone, which not every machine has."""
    if request.param == "uncaged":
        monkeypatch.setenv("PATH", str(tmp_path))
    with Prober(MediaSettings()) as made:
        yield made


@pytest.mark.parametrize("scheme", ["file", "http"])
@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        (_HLS, "x.mp4", "an HLS playlist"),
        ("ffconcat version 1.0\nfile {url}\n", "x.mkv", "an ffconcat script"),
        (_DASH, "x.mp4", "an XML document"),
    ],
    ids=["hls", "ffconcat", "dash"],
)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", _ID3], ids=["plain", "bom", "id3"])
def test_nothing_that_a_playlist_names_is_opened(
    prober: Prober, bait: Bait, tmp_path: Path, text: str, name: str, reason: str, scheme: str,
    before: bytes,
) -> None:  # fmt: skip
    source = tmp_path / name
    source.write_bytes(before + text.format(url=bait.urls[scheme]).encode())
    with pytest.raises(SourceRejected) as refused:
        prober.probe(os.fsencode(source))
    assert not bait.taken
    assert reason in str(refused.value) or before == _ID3


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_the_bait_tells_that_somebody_came(bait: Bait, scheme: str) -> None:
    assert not bait.taken
    if scheme == "file":
        bait.path.read_bytes()
    else:
        socket.create_connection(bait.address).close()
    assert bait.taken

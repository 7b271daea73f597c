"""The first bytes of a file: what is text is refused before libav sees it."""

from __future__ import annotations

from typing import BinaryIO

_HEAD_BYTES = 4096
_TEXTS = (
    (b"#extm3u", "an HLS playlist"),
    (b"ffconcat", "an ffconcat script"),
    (b"<?xml", "an XML document (a DASH manifest, perhaps)"),
    (b"<mpd", "a DASH manifest"),
    (b"<smil", "a SMIL playlist"),
    (b"v=0", "an SDP session"),
    (b"[playlist]", "a playlist"),
    (b"#!", "a script"),
)


class Refused(Exception):
    """The file is not what DarkStream converts; the text says why."""


def check_head(stream: BinaryIO, size: int) -> None:
    """Raise Refused for an empty file, a playlist, and any other text."""
    if size == 0:
        raise Refused("it is empty (0 bytes)")
    head = stream.read(_HEAD_BYTES)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, what in _TEXTS:
        if start.startswith(mark):
            raise Refused(f"it is {what}, not a video")
    if not head.strip(b"\0"):
        raise Refused("it begins with nothing but zero bytes: its content was lost")
    if _is_text(head):
        raise Refused("it is text, not a video")


def _is_text(head: bytes) -> bool:
    if head.startswith(b"YUV4MPEG2") or any(byte < 9 for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 4  # a character cut in two
    return True

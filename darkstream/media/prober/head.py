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

_OTHERS = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"%PDF-", "a PDF document"),
    (b"PK\3\4", "a ZIP archive or an office document"),
    (b"Rar!\x1a\7", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\0", "a database"),
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
    for mark, what in _OTHERS:
        if head.startswith(mark):
            raise Refused(f"it is {what}, not a video")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        raise Refused("it is a WebP picture, not a video")
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

"""Paths are bytes; text is only their display form."""

from __future__ import annotations

import base64
import os
import unicodedata

_BIDIRECTIONAL = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def display(path: bytes) -> str:
    """The only form of a path shown to people, logs, pages, task names and JSON.

    UTF-8 with undecodable bytes as `\\xff`; control and bidirectional characters are escaped, so
    that a name can neither forge a log line nor turn a page's text around.
    """
    text = path.decode("utf-8", "backslashreplace")
    return "".join(_escape(char) for char in text)


def _escape(char: str) -> str:
    if char in _BIDIRECTIONAL or unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"}:
        return char.encode("unicode_escape").decode("ascii")
    return char


def is_text(path: bytes) -> bool:
    """Whether the path is valid UTF-8, so that JSON can hold it exactly."""
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def split_exact(path: bytes) -> tuple[str | None, str | None]:
    """The path as JSON carries it: as text where it is text, else as base64."""
    if is_text(path):
        return path.decode("utf-8"), None
    return None, base64.b64encode(path).decode("ascii")


def from_text(path: str) -> bytes:
    """The bytes the file system uses for a path given as text (surrogate escapes allowed)."""
    return os.fsencode(path)

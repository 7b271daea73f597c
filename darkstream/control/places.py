"""Paths as a request gives them: absolute, as text or as base64 of the exact bytes."""

from __future__ import annotations

import base64
import binascii
import os

from darkstream.errors import UsageError
from darkstream.model.paths import display, from_text
from darkstream.model.replacement import QUARANTINE

_URL_SAFE = str.maketrans("-_", "+/")


def absolute_path(text: str | None, exact: str | None, what: str) -> bytes:
    """The path a request means; whether it exists only the worker can see.

    One place has one name: without empty and '.' parts. Raises UsageError, which says that `what`
    is wrong, also for places in a quarantine of originals.
    """
    path = read_path(text, exact, what)
    if not os.path.isabs(path):
        raise UsageError(f"the {what} must be an absolute path, not {display(path)!r}")
    parts = [part for part in path.split(b"/") if part not in {b"", b"."}]
    if QUARANTINE in parts:
        raise UsageError(
            f"the {what} is in {display(QUARANTINE)!r}, where originals are kept until their time "
            "is over: nothing there is a library's"
        )
    return b"/" + b"/".join(parts)


def read_path(text: str | None, exact: str | None, what: str) -> bytes:
    """The bytes of a path; `exact` (base64) wins over `text`. Raises UsageError."""
    if exact is not None:
        path = _decode(exact, what)
    elif text:
        path = from_text(text)
    else:
        raise UsageError(f"the {what} is missing: give an absolute path")
    if b"\0" in path:
        raise UsageError(f"the {what} holds a NUL byte, which no path can")
    return path


def _decode(exact: str, what: str) -> bytes:
    try:
        return base64.b64decode(exact.translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"the {what} is not valid base64") from error

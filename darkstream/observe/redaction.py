"""Keeps secrets out of the logs, by the name of a field and by the look of a text."""

from __future__ import annotations

import re
from collections.abc import Mapping

_MASK = "***"
_SECRET_NAME = re.compile(
    r"secret|password|passwd|authorization|api[_-]?key|auth_string|cookie", re.I
)
_SECRET_TEXT = (
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), _MASK),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), f"whsec_{_MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {_MASK}"),
)


def redact(value: object, name: str = "") -> object:
    """The value without its secrets; mappings and sequences are looked through."""
    if isinstance(value, Mapping):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item, name) for item in value]
    if value is not None and _SECRET_NAME.search(name):
        return _MASK
    return redact_text(value) if isinstance(value, str) else value


def redact_text(text: str) -> str:
    """The text without passwords in URLs, webhook secrets and authorization values."""
    for pattern, mask in _SECRET_TEXT:
        text = pattern.sub(mask, text)
    return text

"""What is wrong, and by which rule."""

from __future__ import annotations

from darkstream.model.base import Frozen


class Violation(Frozen):
    """One rule that one file breaks: 'video-0.m3u8: … (RFC 8216bis 4.4.3.1)'."""

    rule: str
    file: str
    message: str

    def __str__(self) -> str:
        """As it is told."""
        return f"{self.file}: {self.message} ({self.rule})"

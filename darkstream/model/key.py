"""The key that the content of a package is encrypted with."""

from __future__ import annotations

from dataclasses import dataclass, field

BYTES = 16
"""Of a key and of its id: AES-128."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A content key and its public id, 16 bytes each.

    No pydantic model: it is shown nowhere, and no record that is stored can hold it. Raises
    ValueError for other lengths.
    """

    id: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Check the lengths."""
        if len(self.id) != BYTES or len(self.secret) != BYTES:
            raise ValueError(f"a key and its id have {BYTES} bytes each")

"""What an attempt put at its final name, or in the place of its original."""

from __future__ import annotations

from dataclasses import dataclass

from darkstream.model.job import OutputFile
from darkstream.model.replacement import FileNow, Replacement


@dataclass(frozen=True, slots=True)
class Published:
    """What is at its final name now; `presentation` is what to open first.

    `replacement` says whose place it took; without `placed` it waits to be approved.
    """

    outputs: tuple[OutputFile, ...]
    presentation: bytes
    replacement: Replacement | None = None
    placed: FileNow | None = None

    @property
    def size(self) -> int:
        """Bytes published."""
        return sum(output.size for output in self.outputs)

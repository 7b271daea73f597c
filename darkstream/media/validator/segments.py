"""Segments as a validator sees them: read from their boxes, each file once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from darkstream.media.boxes import BrokenBoxes, Fragment, Init, find_spans, read_fragment, read_init
from darkstream.media.decryption import Protection, read_protection, read_vectors
from darkstream.media.samples import take_apart


class Segments:
    """The files of one presentation; what cannot be read is None."""

    def __init__(self, directory: bytes) -> None:
        self._directory = directory
        self.init = cache(self._init)
        self.fragment = cache(self._fragment)
        self.protection = cache(self._protection)
        self.encrypted = cache(self._encrypted)

    def size(self, name: str) -> int | None:
        """Bytes of a file."""
        try:
            return os.stat(self._path(name)).st_size
        except OSError:
            return None

    def text(self, name: str) -> str | None:
        """A file as text."""
        try:
            with open(self._path(name), encoding="utf-8") as file:
                return file.read()
        except (OSError, UnicodeDecodeError):
            return None

    def _init(self, name: str) -> Init | None:
        try:
            return read_init(self._path(name))
        except (OSError, BrokenBoxes, IndexError):
            return None

    def _fragment(self, name: str) -> Fragment | None:
        try:
            return read_fragment(self._path(name))
        except (OSError, BrokenBoxes, IndexError):
            return None

    def _protection(self, name: str) -> Protection | None:
        try:
            return read_protection(self._bytes(name))
        except (OSError, BrokenBoxes, IndexError):
            return None

    def _encrypted(self, name: str, vector_bytes: int) -> tuple[int, int] | None:
        """Encrypted bytes, and all bytes, of the samples of a segment in Common Encryption."""
        try:
            data = self._bytes(name)
            samples = [len(sample) for sample in take_apart(data).samples]
            vectors = read_vectors(data, vector_bytes)
        except (OSError, BrokenBoxes, IndexError):
            return None
        found = 0
        for size, vector in zip(samples, vectors, strict=True):
            found += sum(part for _, part in vector.ranges) if vector.ranges else size
        return found, sum(samples)

    def _bytes(self, name: str) -> bytes:
        with open(self._path(name), "rb") as file:
            return file.read()

    def _path(self, name: str) -> bytes:
        return os.path.join(self._directory, os.fsencode(name))


def spans(
    segments: Segments, init: Init, names: Sequence[str]
) -> tuple[tuple[Fraction, Fraction], ...] | None:
    """Begin and length in seconds of each segment of a track; None where one cannot be read."""
    found = [segments.fragment(name) for name in names]
    known = [fragment for fragment in found if fragment is not None]
    return find_spans(init, known) if len(known) == len(found) else None

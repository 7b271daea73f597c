"""Which content is in a source: every byte read once, of a file that stayed the same."""

from __future__ import annotations

from darkstream.library import identity
from darkstream.model.source import Identity, SourceFile
from darkstream.observe.cancel import CancelToken


def identify(source: SourceFile, cancel: CancelToken) -> Identity:
    """Sample and blake3 of a file.

    Raises SourceVanished, SourceUnreadable, and SourceChanged when it is not what was discovered.
    """
    found = identity.identify(source.path, cancel)
    identity.check_unchanged(source.path, source.hint)
    return found

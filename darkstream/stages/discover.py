"""Finding the source: it is there, and nobody writes to it."""

from __future__ import annotations

from darkstream.errors import SourceChanged
from darkstream.library.identity import stat_hint
from darkstream.library.settling import GROWING, settled
from darkstream.model.paths import display
from darkstream.model.source import SourceFile
from darkstream.observe.cancel import CancelToken


def discover(path: bytes, settle_s: float, cancel: CancelToken) -> SourceFile:
    """The file as it is now (`path` absolute), once it was still for `settle_s` seconds.

    Raises SourceVanished, SourceUnreadable, SourceChanged while it is being written.
    """
    hint = stat_hint(path)
    if not settled(path, hint, settle_s, cancel):
        stat_hint(path)  # gone is not growing
        raise SourceChanged(f"{display(path)} is {GROWING}")
    return SourceFile(path=path, hint=hint)

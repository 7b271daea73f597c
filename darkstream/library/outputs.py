"""Whether published files are still where they were put."""

from __future__ import annotations

import os

from darkstream.library.identity import source_error
from darkstream.model.library import ScanOrder
from darkstream.observe.cancel import CancelToken


def missing_outputs(order: ScanOrder, cancel: CancelToken | None = None) -> tuple[bytes, ...]:
    """Sources of which a published file is gone, each once, in path order.

    Raises SourceUnreadable where the destination cannot be asked: that is not 'gone'.
    """
    cancel = cancel or CancelToken()
    missing: set[bytes] = set()
    for source, output in order.outputs:
        cancel.check()
        path = os.path.join(order.library.destination, output)
        if source not in missing and not _present(path):
            missing.add(source)
    return tuple(sorted(missing))


def _present(path: bytes) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise source_error(path, error) from error
    return True

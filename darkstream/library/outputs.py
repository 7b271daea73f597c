"""Whether published files are still where they were put."""

from __future__ import annotations

import os

from darkstream.errors import SourceUnreadable
from darkstream.library.identity import source_error
from darkstream.model.library import ScanOrder
from darkstream.model.paths import display
from darkstream.observe.cancel import CancelToken


def missing_outputs(order: ScanOrder, cancel: CancelToken | None = None) -> tuple[bytes, ...]:
    """Sources of which a published file is gone, each once, in path order.

    Raises SourceUnreadable where the destination cannot be asked, or is gone as a whole, as when
    its disk is not mounted: that is not 'gone'.
    """
    cancel = cancel or CancelToken()
    _check_mounted(order)
    missing: set[bytes] = set()
    for source, output in order.outputs:
        cancel.check()
        path = os.path.join(order.library.destination, output)
        if source not in missing and not _present(path):
            missing.add(source)
    return tuple(sorted(missing))


def _check_mounted(order: ScanOrder) -> None:
    destination = order.library.destination
    if order.outputs and not os.path.isdir(destination):
        raise SourceUnreadable(
            f"{display(destination)} is gone, and with it the files that were published there; is "
            "its disk mounted? To have them all made again, make the directory again"
        )


def _present(path: bytes) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise source_error(path, error) from error
    return True

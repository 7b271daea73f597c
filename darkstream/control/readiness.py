"""Whether the server is alive, and whether jobs would be worked on now."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import structlog

from darkstream import __version__
from darkstream.control.wing import Wing
from darkstream.errors import DarkstreamError
from darkstream.model.wire import Health, Readiness

_log = structlog.get_logger(__name__)

_DISK_BYTES = 64 << 20
"""Less than this in the home, and the databases may soon fail to write."""


def check_health(wing: Wing) -> Health:
    """The server is alive: it answered."""
    return Health(version=__version__, uptime_s=round(time.monotonic() - wing.started, 3))


def check_readiness(wing: Wing) -> Readiness:
    """Look at the database, the disk and Prefect."""
    reasons = tuple(_reasons(wing))
    return Readiness(ready=not reasons, reasons=reasons)


def _reasons(wing: Wing) -> Iterator[str]:
    try:
        wing.catalog.jobs.counts()
    except Exception as error:  # noqa: BLE001 whatever the driver raises, the answer is "not ready"
        _log.warning("catalog_failed", reason=str(error))
        known = isinstance(error, DarkstreamError)
        yield str(error) if known else f"the catalog's database fails ({type(error).__name__})"
    free = shutil.disk_usage(wing.settings.home).free
    if free < _DISK_BYTES:
        yield f"the disk of {wing.settings.home} is nearly full: {free >> 20} MiB are left"
    yield from wing.troubles.reasons()

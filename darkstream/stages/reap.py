"""Clearing away what crashes left: part files in destinations, work directories."""

from __future__ import annotations

import os
from dataclasses import dataclass

from darkstream.stages.toolbox import Toolbox
from darkstream.storage.parts import reap_parts, reap_work

PARTS_AFTER_S = 6 * 3600.0
"""A part file nobody wrote to for so long is no attempt's any more."""
WORK_AFTER_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Reaped:
    """What was removed, as absolute paths."""

    parts: tuple[bytes, ...]
    work: tuple[bytes, ...]


def reap(tools: Toolbox) -> Reaped:
    """Clear the destinations of all libraries, and this node's work directory.

    Raises ServiceError when the server does not say which destinations there are.
    """
    destinations = sorted({library.destination for library in tools.client.libraries()})
    parts = [
        path
        for destination in destinations
        for path in reap_parts(destination, (), older_than_s=PARTS_AFTER_S)
    ]
    home = os.fsencode(tools.settings.work_directory)
    return Reaped(tuple(parts), reap_work(home, older_than_s=WORK_AFTER_S))

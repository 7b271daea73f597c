"""Clearing away what crashes left: part files in destinations, work directories."""

from __future__ import annotations

import os
from dataclasses import dataclass

from darkstream.media.encode import read_verified
from darkstream.stages.toolbox import Toolbox
from darkstream.storage.chunks import reap_chunks
from darkstream.storage.parts import reap_parts, reap_work

PARTS_AFTER_S = 6 * 3600.0
"""A part file nobody wrote to for so long is no attempt's any more."""
VERIFIED_AFTER_S = 24 * 3600.0
"""Verified work spares the next attempt at its job an encode."""
CHUNKS_AFTER_S = 7 * 24 * 3600.0
"""A job that failed or waits goes on with its chunks, if it is tried again within so long."""
UNVERIFIED_AFTER_S = 3600.0
"""The next attempt would begin anew all the same, and each takes space."""


@dataclass(frozen=True, slots=True)
class Reaped:
    """What was removed, as absolute paths."""

    parts: tuple[bytes, ...]
    work: tuple[bytes, ...]


def reap(tools: Toolbox) -> Reaped:
    """Clear the destinations of all libraries and single jobs, and this node's work directory.

    Raises ServiceError when the server does not say which destinations there are.
    """
    destinations = sorted({library.destination for library in tools.client.libraries()})
    places = [(destination, True) for destination in destinations]
    places += [(place, False) for place in tools.client.leftover_places()]
    parts = [
        path
        for place, deep in places
        for path in reap_parts(place, (), older_than_s=PARTS_AFTER_S, deep=deep)
    ]
    for place, _ in places:
        parts += reap_chunks(place, CHUNKS_AFTER_S)
    home = os.fsencode(tools.settings.work_directory)
    return Reaped(tuple(parts), reap_work(home, _kept_s))


def _kept_s(work: bytes) -> float:
    return UNVERIFIED_AFTER_S if read_verified(work) is None else VERIFIED_AFTER_S

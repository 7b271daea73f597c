"""How many flow runs one worker works on at once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkstream.settings import WorkerSettings

CONTROL_POOL = "control"
"""Scans and upkeep: light work that must never wait behind encodes."""
CONTROL_SLOTS = 2


def count_slots(settings: WorkerSettings) -> int:
    """Encodes at once: as set, else 2 on up to 8 cores and a quarter of them above.

    One encoder uses several cores well, so there are never more slots than cores unless asked for.
    """
    cores = _count_cores()
    if settings.slots is not None:
        return settings.slots
    return min(cores, 2 if cores <= 8 else cores // 4)


def _count_cores() -> int:
    """Cores this process may run on: a container may have fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

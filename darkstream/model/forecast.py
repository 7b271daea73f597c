"""When the work on a library will probably be done, and what it will save."""

from __future__ import annotations

from datetime import datetime

from darkstream.model.base import Frozen, ScanId


class Range(Frozen):
    """A figure that is not known yet: at least, probably, at most."""

    low: float
    likely: float
    high: float


class Finish(Frozen):
    """When the last job ends: at the earliest, probably, at the latest."""

    earliest: datetime
    likely: datetime
    latest: datetime


class Forecast(Frozen):
    """What is left to do of one library with the machines of today.

    `low` and `earliest` are for jobs that all take as little as the quicker quarter of those that
    were measured, `high` and `latest` for the slower quarter; a guess is taken three times as low
    and as high.
    """

    library: str
    at: datetime
    files: int
    """Jobs of it that wait or run, and files that a dry scan would add."""
    new_files: int
    """Those of a dry scan."""
    scan: ScanId | None = None
    """The dry scan they are of."""
    source_bytes: int
    work_hours: Range
    """Hours of one slot."""
    saved_bytes: Range | None = None
    """Less than 0: results are larger. None: nothing tells."""
    finish: Finish | None = None
    """None: no machine takes work, or it would take more than a year."""
    nodes: tuple[str, ...]
    """The machines that are counted on."""
    guessed: int
    """Files of which nothing like them was measured yet."""
    notes: tuple[str, ...] = ()
    """What makes it less certain, a sentence each."""

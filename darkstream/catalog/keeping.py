"""How long originals have been kept, whatever becomes of the clock that people can set.

`kept_until` is a moment of the database's clock. Between two looks that clock may have been set:
then all such moments move along with it, so that what is left of an original's time only ever gets
less by time that passed.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, update

from darkstream.catalog.schema import meta, replacements
from darkstream.model.replacement import ReplacementState

_KEY = "originals_seen"
_DAY_S = 86_400.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_OWN_ID = str(uuid.uuid4())
_DRIFT_S = 1.0
"""No clock is quite as quick as another: what is less between two looks is not put right."""


def keep_time(connection: Connection, now: float) -> None:
    """Look at the clocks; to be done before `kept_until` is written or held against `now`.

    While the machine runs, its steady clock says how much time passed. While it was off nothing
    can be known, and at most a day of that counts.
    """
    boot, steady = steady_clock()
    text = connection.scalar(select(meta.c.value).where(meta.c.key == _KEY))
    if text is not None:
        seen = json.loads(text)
        passed = max(0.0, min(now - seen["now"], _DAY_S))
        if seen["boot"] == boot and steady >= seen["steady"]:
            passed = steady - seen["steady"]
        slip = now - seen["now"] - passed
        if abs(slip) > _DRIFT_S:
            kept = replacements.c.state == ReplacementState.placed.value
            later = replacements.c.kept_until + slip
            connection.execute(update(replacements).where(kept).values(kept_until=later))
    connection.execute(delete(meta).where(meta.c.key == _KEY))
    value = json.dumps({"now": now, "boot": boot, "steady": steady})
    connection.execute(insert(meta).values(key=_KEY, value=value))


def steady_clock() -> tuple[str, float]:
    """Which run of the machine this is, and its seconds so far, in sleep too; nobody sets them."""
    try:
        boot = _BOOT_ID.read_text().strip()
        return boot, time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):  # not Linux: only this process knows how much time passed
        return _OWN_ID, time.monotonic()

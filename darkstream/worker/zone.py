"""The time zone of this machine."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from pydantic import TypeAdapter, ValidationError

from darkstream.model.node import Zone

_LOCALTIME = "/etc/localtime"
_DIRECTORY = "/zoneinfo/"


def machine_zone(localtime: str = _LOCALTIME) -> str:
    """Its name in IANA's database: by TZ, else by /etc/localtime, else by the present offset."""
    named = [os.environ.get("TZ", "").removeprefix(":")]
    named.append(os.path.realpath(localtime).rpartition(_DIRECTORY)[2])
    known = TypeAdapter(Zone)
    for name in named:
        with suppress(ValidationError):
            if name:
                return known.validate_python(name)
    # The names of fixed offsets have the sign of POSIX: Etc/GMT-2 is two hours ahead of UTC.
    return f"Etc/GMT{-round(time.localtime().tm_gmtoff / 3600):+d}"

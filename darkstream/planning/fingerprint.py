"""The name of a plan: equal names make equal files of equal content."""

from __future__ import annotations

import json

from blake3 import blake3

from darkstream.model.base import Fingerprint
from darkstream.model.plan import EncodePlan

_SAID_NOT_DONE = {"reason", "findings"}


def fingerprint(plan: EncodePlan) -> Fingerprint:
    """blake3 of the plan's canonical JSON; the ffmpeg build and the planner's version are in it.

    What is only said about the file (reason, findings) does not count: better wording is no reason
    to encode a library again.
    """
    return Fingerprint(blake3(canonical_json(plan)).hexdigest())


def canonical_json(plan: EncodePlan) -> bytes:
    """The one JSON form of a plan: sorted keys, no blanks, UTF-8."""
    values = plan.model_dump(mode="json", exclude=_SAID_NOT_DONE)
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

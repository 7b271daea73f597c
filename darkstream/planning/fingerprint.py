"""The name of a plan: equal names make equal files of equal content."""

from __future__ import annotations

import json
from typing import Any

from blake3 import blake3

from darkstream.model.base import Fingerprint
from darkstream.model.plan import EncodePlan

_SAID_NOT_DONE: Any = {
    "reason": True,
    "findings": True,
    "renditions": {"__all__": {"probes": True}},
}


def fingerprint(plan: EncodePlan) -> Fingerprint:
    """blake3 of the plan's canonical JSON; the ffmpeg build and the planner's version are in it.

    What is only said (reason, findings, how a quality was found) does not count: better wording is
    no reason to encode a library again.
    """
    return Fingerprint(blake3(canonical_json(plan)).hexdigest())


def canonical_json(plan: EncodePlan) -> bytes:
    """The one JSON form of a plan: sorted keys, no blanks, UTF-8, nothing that is as usual.

    So a plan that does not use what a new version can do keeps its name.
    """
    values = plan.model_dump(mode="json", exclude=_SAID_NOT_DONE, exclude_defaults=True)
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

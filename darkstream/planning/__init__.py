"""Pure decisions: what is done to a file, and why. Knows no process, no file and no clock."""

from __future__ import annotations

from darkstream.planning.estimates import estimate_bytes, estimate_seconds, estimate_work
from darkstream.planning.fingerprint import fingerprint
from darkstream.planning.naming import extension_of, output_candidates
from darkstream.planning.plan import PLANNER, make_plan
from darkstream.planning.reasons import damage_note
from darkstream.planning.validation import merge_findings, validate

__all__ = [
    "PLANNER",
    "damage_note",
    "estimate_bytes",
    "estimate_seconds",
    "estimate_work",
    "extension_of",
    "fingerprint",
    "make_plan",
    "merge_findings",
    "output_candidates",
    "validate",
]

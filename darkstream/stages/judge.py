"""What an encode and its verification mean for the job: worth publishing, and what to say of it."""

from __future__ import annotations

import os

from darkstream.model.encoded import Encoded, Verification
from darkstream.model.media import Finding
from darkstream.model.plan import EncodePlan
from darkstream.planning.reasons import damage_note
from darkstream.stages.attempt import Attempt


def note_encode(attempt: Attempt, encoded: Encoded) -> None:
    """Keep what an encode said, for the job's log."""
    attempt.command = encoded.command
    attempt.tell(encoded.log)
    attempt.findings = _merge(attempt.findings, encoded.findings)


def note_verification(attempt: Attempt, verification: Verification) -> None:
    """Keep what verification measured."""
    attempt.verification = verification.model_dump(mode="json", exclude={"findings"})
    attempt.findings = _merge(attempt.findings, verification.findings)


def is_smaller(attempt: Attempt, plan: EncodePlan, encoded: Encoded) -> bool:
    """Whether the output is as much smaller than the source as the plan demands."""
    if encoded.outgrown:
        return False
    if plan.smaller_by is None or attempt.source is None:
        return True
    size, source = _size_of(encoded), attempt.source.hint.size
    return size < source and size <= source * (1 - plan.smaller_by)


def not_smaller(plan: EncodePlan) -> str:
    """The reason a source is kept for which no output is published."""
    by = f" by {plan.smaller_by:.0%}" if plan.smaller_by else ""
    return f"the output would not be smaller{by}: the source is kept"


def reason_of(plan: EncodePlan, encoded: Encoded, verification: Verification) -> str:
    """Why it was done, and what was lost that the plan did not know of yet."""
    known = {finding.code for finding in plan.findings}
    found = _merge(encoded.findings, verification.findings)
    lost = damage_note(tuple(one for one in found if one.code not in known))
    return f"{plan.reason}; {lost}" if lost else plan.reason


def _merge(*groups: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """All findings, each code once; the later says more."""
    found = {finding.code: finding for group in groups for finding in group}
    return tuple(found.values())


def _size_of(encoded: Encoded) -> int:
    return sum(
        os.lstat(os.path.join(directory, name)).st_size
        for directory, _, names in os.walk(encoded.directory)
        for name in names
    )

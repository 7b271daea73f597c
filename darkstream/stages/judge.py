"""What an encode and its verification mean for the job: worth publishing, and what to say of it."""

from __future__ import annotations

from darkstream.media.manifests import directory_size
from darkstream.model.encoded import Encoded, Verification
from darkstream.model.media import Finding
from darkstream.model.plan import EncodePlan
from darkstream.planning import damage_note, merge_findings
from darkstream.stages.attempt import Attempt


def note_encode(attempt: Attempt, encoded: Encoded) -> None:
    """Keep what an encode said, and in which cage, for the job's log."""
    attempt.command = encoded.command
    attempt.tell(f"sandbox: {attempt.tools.sandbox.level}")
    attempt.tell(encoded.log)
    attempt.findings = merge_findings(attempt.findings, encoded.findings)


def note_verification(attempt: Attempt, verification: Verification) -> None:
    """Keep what verification measured."""
    attempt.verification = verification.model_dump(mode="json", exclude={"findings"})
    attempt.findings = merge_findings(attempt.findings, verification.findings)


def is_smaller(attempt: Attempt, plan: EncodePlan, encoded: Encoded) -> bool:
    """Whether the output is as much smaller than the source as the plan demands."""
    if encoded.outgrown:
        return False
    if plan.smaller_by is None or attempt.source is None:
        return True
    size, source = directory_size(encoded.directory), attempt.source.hint.size
    return size < source and size <= source * (1 - plan.smaller_by)


def not_smaller(plan: EncodePlan) -> str:
    """The reason a source is kept for which no output is published."""
    by = f" by {plan.smaller_by:.0%}" if plan.smaller_by else ""
    return f"the output would not be smaller{by}: the source is kept"


def reason_of(plan: EncodePlan, findings: tuple[Finding, ...]) -> str:
    """Why it was done, and what was lost on the way."""
    return "; ".join(filter(None, (plan.reason, damage_note(findings))))

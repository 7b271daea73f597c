"""Hardware that fails in the middle of a job: planned around, or waited for."""

from __future__ import annotations

import structlog

from darkstream.errors import HardwareFailed
from darkstream.model.media import Finding, Severity
from darkstream.model.wire import Release
from darkstream.stages.attempt import Attempt

_log = structlog.get_logger(__name__)

_BUSY_S = 60.0
"""Sessions and memory are free again when another program's encode has ended."""
_LOST_S = 10.0
"""By then this node has said that it has no such hardware any more."""


def plan_around(attempt: Attempt, error: HardwareFailed) -> None:
    """Leave hardware that failed out of this attempt's next plan, and say so in its findings.

    Raises the error where the preset demands hardware: then the job waits, or goes elsewhere.
    """
    if not error.passing:
        attempt.tools.prove_hardware_again()
    rule = attempt.claim.preset.video
    demanded = rule is not None and rule.hardware == "require"
    known = set(error.families) <= set(attempt.failed)
    if demanded or known:
        raise error
    message = f"{error}; it was planned again without it"
    for family in error.families:
        attempt.failed[family] = Finding(
            code="hardware-failed", severity=Severity.ok, message=message
        )
    _log.warning("hardware_failed", job=attempt.claim.job, file=str(attempt), reason=str(error))
    attempt.tell(error.stderr)
    attempt.tell(message)


def wait_for_hardware(attempt: Attempt, error: HardwareFailed) -> Release:
    """The job of a preset that demands hardware goes back into the queue, for any node.

    What passes is waited for as long as it takes; what was lost counts as an attempt.
    """
    reason = f"{str(error).splitlines()[0]}, and the preset demands hardware (video.hardware)"
    return Release(
        token=attempt.claim.token,
        reason=reason,
        count_attempt=not error.passing,
        delay_s=_BUSY_S if error.passing else _LOST_S * attempt.claim.attempt,
    )

"""How attempts end: the outcome, or the lease given back, that stands for each error."""

from __future__ import annotations

import traceback
from typing import Any, Literal

from darkstream.errors import (
    Cancelled,
    DarkstreamError,
    HardwareFailed,
    NodePaused,
    ProcessFailed,
    ProcessKilled,
    SourceChanged,
    SourceError,
    SourceRejected,
    SourceShared,
    SourceVanished,
)
from darkstream.media.process import shell_quote
from darkstream.model.base import JobId
from darkstream.model.job import DecisionName, Outcome
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import Reject, Skip
from darkstream.model.wire import Release
from darkstream.stages.attempt import Attempt
from darkstream.stages.hardware import wait_for_hardware
from darkstream.stages.published import Published

CHANGES = 3
"""Attempts at a file that is written to again and again, before the job counts as failed."""
_CHANGED_DELAY_S = 10.0

Status = Literal["done", "failed", "skipped", "rejected", "cancelled"]


def skipped(attempt: Attempt, reason: str, kept: Published | None = None) -> Outcome:
    """The source stays as it is; `kept` is what was put at the destination in its place."""
    return _outcome(attempt, "skipped", "skip", reason, kept)


def decided(attempt: Attempt, decision: Skip | Reject, kept: Published | None = None) -> Outcome:
    """The end of a job whose plan is to do nothing."""
    attempt.findings = decision.findings
    if isinstance(decision, Reject):
        return _outcome(attempt, "rejected", "reject", decision.reason)
    return skipped(attempt, decision.reason, kept)


def done(
    attempt: Attempt,
    decision: Literal["convert", "remux"],
    reason: str,
    published: Published,
    *,
    reused: JobId | None = None,
) -> Outcome:
    """The end of a job that published something; `reused` made it before."""
    return _outcome(attempt, "done", decision, reason, published, reused)


def ended_by(attempt: Attempt, error: Exception) -> Outcome | Release:
    """What an error means for the job. LeaseLost is not one of them: nothing may be said then."""
    if (given_back := _give_back(attempt, error)) is not None:
        return given_back
    _keep_evidence(attempt, error)
    if isinstance(error, SourceError) and (ending := _left_alone(attempt, error)) is not None:
        return ending
    decision: DecisionName | None = _decision(attempt)
    if isinstance(error, Cancelled):
        return _outcome(attempt, "cancelled", decision, str(error))
    return _outcome(attempt, "failed", decision, _reason(error))


def _give_back(attempt: Attempt, error: Exception) -> Release | None:
    """The release of a job that may go better another time, or elsewhere."""
    if isinstance(error, SourceChanged) and attempt.claim.attempt < CHANGES:
        return Release(
            token=attempt.claim.token,
            reason=str(error),
            count_attempt=True,
            delay_s=_CHANGED_DELAY_S * attempt.claim.attempt,
        )
    if isinstance(error, NodePaused):
        return Release(token=attempt.claim.token, reason=str(error))
    if isinstance(error, ProcessKilled):
        # The server knows how many attempts there are.
        return Release(token=attempt.claim.token, reason=_reason(error), count_attempt=True)
    if isinstance(error, HardwareFailed):
        return wait_for_hardware(attempt, error)
    return None


def _left_alone(attempt: Attempt, error: SourceError) -> Outcome | None:
    """The end of a job whose source is at fault, if that is no failure."""
    if isinstance(error, SourceVanished) and attempt.claim.library is not None:
        gone = _outcome(attempt, "skipped", "skip", str(error))
        return gone.model_copy(update={"source_gone": True})
    if isinstance(error, SourceShared):
        left = _outcome(attempt, "skipped", "skip", str(error))
        return left.model_copy(update={"source_gone" if error.passing else "shared": True})
    if isinstance(error, SourceRejected):
        refusal = Finding(code="unreadable", severity=Severity.reject, message=str(error))
        attempt.findings = (*attempt.findings, refusal)
        return _outcome(attempt, "rejected", "reject", str(error))
    return None


def _outcome(
    attempt: Attempt,
    status: Status,
    decision: DecisionName | None,
    reason: str,
    published: Published | None = None,
    reused: JobId | None = None,
) -> Outcome:
    files: dict[str, Any] = {}
    if published is not None:
        files = {
            "outputs": published.outputs,
            "presentation": published.presentation,
            "output_bytes": published.size,
            "replacement": published.replacement,
            "placed": published.placed,
        }
    return Outcome(
        status=status,
        decision=decision,
        reason=reason,
        findings=attempt.findings,
        media=attempt.media,
        plan=attempt.plan,
        verification=attempt.verification,
        command=attempt.command,
        log=attempt.log,
        reused=reused,
        source_bytes=attempt.source.hint.size if attempt.source else None,
        **attempt.costs(),
        **files,
    )


def _decision(attempt: Attempt) -> DecisionName | None:
    name = (attempt.plan or {}).get("decision")
    return name if name in ("convert", "remux", "skip", "reject") else None


def _reason(error: Exception) -> str:
    """One line; the command an error was about is in the outcome already."""
    if isinstance(error, SourceChanged):
        return f"{error}; it was so {CHANGES} times: convert it again once nobody writes to it"
    if isinstance(error, DarkstreamError):
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"an error in DarkStream ({type(error).__name__}: {error}); please report it"


def _keep_evidence(attempt: Attempt, error: Exception) -> None:
    if isinstance(error, ProcessFailed):
        attempt.command = shell_quote(error.argv)
        attempt.tell(error.stderr)
    elif not isinstance(error, DarkstreamError):
        attempt.tell("".join(traceback.format_exception(error)))

"""Telling the server how an attempt ended; it tells everybody else."""

from __future__ import annotations

from darkstream.model.job import Job, Outcome
from darkstream.model.wire import Commit, Release
from darkstream.observe.cancel import CancelToken
from darkstream.stages.attempt import Attempt
from darkstream.stages.patience import outlast

_FAREWELL_S = 2.0


def commit(attempt: Attempt, outcome: Outcome, *, at_most_s: float | None = None) -> Job:
    """Commit an outcome, however long the server is away; raises LeaseLost.

    With `at_most_s` raises ServiceError after that many seconds.
    """
    identity = attempt.identity
    body = Commit(
        token=attempt.claim.token,
        outcome=outcome,
        content=identity.content if identity else None,
        key=attempt.key if outcome.status == "done" and outcome.reused is None else None,
    )
    client, job = attempt.tools.client, attempt.claim.job
    # Not the attempt's own token: a job that ended is committed even if it was cancelled meanwhile.
    return outlast(lambda: client.commit(job, body), CancelToken(), at_most_s=at_most_s)


def release(attempt: Attempt, release: Release, *, at_most_s: float | None = None) -> None:
    """Give the job back; raises LeaseLost, and ServiceError after `at_most_s` seconds."""
    client, job = attempt.tools.client, attempt.claim.job
    outlast(lambda: client.release(job, release), CancelToken(), at_most_s=at_most_s)


def leave(attempt: Attempt, reason: str) -> None:
    """End an attempt at once, because this process is ended: no attempt is counted.

    What was finished and only not committed yet is committed. Raises LeaseLost and ServiceError.
    """
    if attempt.outcome is not None:
        commit(attempt, attempt.outcome, at_most_s=_FAREWELL_S)
        return
    release(attempt, Release(token=attempt.claim.token, reason=reason), at_most_s=_FAREWELL_S)

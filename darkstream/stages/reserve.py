"""Asking before encoding: the same content and plan is never encoded twice."""

from __future__ import annotations

from darkstream.model.base import JobId
from darkstream.model.job import Reservation
from darkstream.model.media import MediaInfo
from darkstream.model.plan import EncodePlan
from darkstream.model.wire import PlanReport
from darkstream.planning.speeds import work_of
from darkstream.stages.attempt import Attempt
from darkstream.stages.patience import outlast


def reserve(attempt: Attempt, refused: tuple[JobId, ...] = ()) -> Reservation:
    """Report the plan; the answer says whether to encode, to reuse, or that another does it.

    `refused` are earlier jobs whose files turned out to be gone. Raises LeaseLost, and what the
    attempt was cancelled with.
    """
    if attempt.key is None or attempt.identity is None or attempt.source is None:
        raise ValueError("only a plan of a source that was identified is reported")
    chosen = EncodePlan.model_validate(attempt.plan)
    report = PlanReport(
        token=attempt.claim.token,
        key=attempt.key,
        sample=attempt.identity.sample,
        size=attempt.source.hint.size,
        media=attempt.media or {},
        plan=attempt.plan or {},
        work=work_of(chosen, MediaInfo.model_validate(attempt.media)),
        refused=refused,
    )
    client, job = attempt.tools.client, attempt.claim.job
    return outlast(lambda: client.report_plan(job, report), attempt.cancel)

"""What workers do with jobs: claim, renew, plan, reserve, commit, give back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from darkstream.control.wing import Wing
from darkstream.model.base import DispatchId, JobId
from darkstream.model.job import Claim, Job, PublishTarget, Reservation
from darkstream.model.wire import (
    ClaimRequest,
    Commit,
    Heartbeat,
    HeartbeatAnswer,
    PlanReport,
    Release,
    TargetRequest,
)
from darkstream.planning.naming import output_candidates

if TYPE_CHECKING:
    from darkstream.catalog.jobs import UntoldAttempt


def claim_job(wing: Wing, dispatch: DispatchId, request: ClaimRequest) -> Claim | None:
    """The next job of a dispatch; None when none is left. Raises NotFound."""
    claim = wing.catalog.leases.claim(
        dispatch, request.node, request.flow_run, asked=request.id, adopt_s=request.adopt_s
    )
    if claim is not None:
        wing.board.forget([claim.job])
    return claim


def find_dispatch(wing: Wing, flow_run: str) -> DispatchId:
    """The dispatch bound to a flow run that submitted its job itself; raises NotFound."""
    return wing.catalog.jobs.dispatch_of_flow_run(flow_run)


def end_dispatch(wing: Wing, dispatch: DispatchId) -> None:
    """Close a dispatch; jobs it did not claim are queued again."""
    wing.catalog.dispatches.end(dispatch)
    wing.jobs_wake.set()


def lose_flow_run(wing: Wing, flow_run: str, reason: str) -> None:
    """The process of a flow run died: its jobs are queued again."""
    wing.catalog.dispatches.lose_flow_run(flow_run, reason)
    wing.jobs_wake.set()


def find_leftover_places(wing: Wing) -> tuple[bytes, ...]:
    """Directories where attempts may have left part files or chunks.

    Those below the destinations of libraries are left out.
    """
    untold = wing.catalog.jobs.untold_attempts()
    places = {_place_of(attempt) for attempt in untold}
    return tuple(sorted(places | {attempt.destination for attempt in untold}))


def _place_of(attempt: UntoldAttempt) -> bytes:
    """Beside the best name of its output, whatever the extension."""
    names = output_candidates(attempt.preset, attempt.relative, "", attempt.job)
    return os.path.dirname(os.path.join(attempt.destination, names[0]))


def renew_leases(wing: Wing, heartbeat: Heartbeat) -> HeartbeatAnswer:
    """Renew leases and remember progress; the answer names the jobs to stop."""
    answer = wing.catalog.leases.beat(heartbeat)
    wing.board.note(heartbeat.leases, except_for=(*answer.lost, *answer.cancel))
    return answer


def report_plan(wing: Wing, job: JobId, report: PlanReport) -> Reservation:
    """Decide whether a plan is encoded, reused or waited for; raises LeaseLost."""
    reservation = wing.catalog.results.report_plan(job, report)
    if reservation.action == "wait":
        wing.board.forget([job])
    return reservation


def reserve_targets(wing: Wing, job: JobId, request: TargetRequest) -> tuple[PublishTarget, ...]:
    """Names for the files of a job; raises LeaseLost."""
    return wing.catalog.results.reserve_targets(job, request)


def commit_job(wing: Wing, job: JobId, commit: Commit) -> Job:
    """End an attempt; raises LeaseLost where a newer token holds the job."""
    ended = wing.catalog.results.commit(job, commit)
    wing.board.forget([job])
    wing.jobs_wake.set()
    return ended


def release_job(wing: Wing, job: JobId, release: Release) -> None:
    """Take a lease back before the end: the job is queued again; raises LeaseLost."""
    wing.catalog.results.release(job, release)
    wing.board.forget([job])
    wing.jobs_wake.set()

"""Routes for workers: nodes, dispatches, leases, results."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from darkstream.control import nodes, work
from darkstream.control.announcements import await_announcement
from darkstream.model.base import DispatchId, JobId
from darkstream.model.job import Claim, Job, Reservation
from darkstream.model.node import NodeOrders
from darkstream.model.wire import (
    Announcement,
    ClaimRequest,
    Commit,
    Heartbeat,
    HeartbeatAnswer,
    NodeReport,
    Places,
    PlanReport,
    Reason,
    Release,
    TargetRequest,
    Targets,
)
from darkstream.server.requests import Id, InWing, json_body, takes

router = APIRouter(prefix="/worker", tags=["worker: jobs"])

Known = Annotated[int | None, Query(description="The mark of the last one; omit it at first.")]


@router.put("/nodes/{name}", openapi_extra=takes(NodeReport))
def report_node(
    wing: InWing, name: str, body: Annotated[NodeReport, Depends(json_body(NodeReport))]
) -> NodeOrders:
    """Say what a node can do, and that it is alive; the answer is whether it is to rest."""
    return nodes.report_node(wing, name, body)


@router.get("/announcement")
async def find_announcement(wing: InWing, known: Known = None) -> Announcement:
    """Wait, for some seconds at most, until flow runs may be waiting in Prefect."""
    return await await_announcement(wing, known)


@router.post(
    "/dispatches/{dispatch}/claim",
    response_model=Claim,
    responses={204: {"description": "No job is left."}},
    openapi_extra=takes(ClaimRequest),
)
def claim_job(
    wing: InWing, dispatch: Id, body: Annotated[ClaimRequest, Depends(json_body(ClaimRequest))]
) -> Claim | Response:
    """Take the next job of a dispatch."""
    claim = work.claim_job(wing, DispatchId(dispatch), body)
    return Response(status_code=204) if claim is None else claim


@router.post("/dispatches/{dispatch}/end", status_code=204)
def end_dispatch(wing: InWing, dispatch: Id) -> None:
    """Close a dispatch; what it did not claim is queued again."""
    work.end_dispatch(wing, DispatchId(dispatch))


@router.get("/flow-runs/{flow_run}/dispatch")
def find_dispatch(wing: InWing, flow_run: str) -> int:
    """Find the dispatch of a flow run that submitted its job itself."""
    return work.find_dispatch(wing, flow_run)


@router.post("/flow-runs/{flow_run}/lost", status_code=204, openapi_extra=takes(Reason))
def lose_flow_run(
    wing: InWing, flow_run: str, body: Annotated[Reason, Depends(json_body(Reason))]
) -> None:
    """Say that the process of a flow run died: its jobs are queued again."""
    work.lose_flow_run(wing, flow_run, body.reason)


@router.get("/leftovers")
def find_leftover_places(wing: InWing) -> Places:
    """Say where attempts that ended without a word may have left part files."""
    return Places(paths=work.find_leftover_places(wing))


@router.post("/heartbeats", openapi_extra=takes(Heartbeat))
def renew_leases(
    wing: InWing, body: Annotated[Heartbeat, Depends(json_body(Heartbeat))]
) -> HeartbeatAnswer:
    """Renew leases; the answer names the jobs to stop."""
    return work.renew_leases(wing, body)


@router.post("/jobs/{job}/plan", openapi_extra=takes(PlanReport))
def report_plan(
    wing: InWing, job: Id, body: Annotated[PlanReport, Depends(json_body(PlanReport))]
) -> Reservation:
    """Say what is about to be encoded; the answer is what to do next."""
    return work.report_plan(wing, JobId(job), body)


@router.post("/jobs/{job}/targets", openapi_extra=takes(TargetRequest))
def reserve_targets(
    wing: InWing, job: Id, body: Annotated[TargetRequest, Depends(json_body(TargetRequest))]
) -> Targets:
    """Reserve final names for the files of a job."""
    return Targets(targets=work.reserve_targets(wing, JobId(job), body))


@router.post("/jobs/{job}/commit", openapi_extra=takes(Commit))
def commit_job(wing: InWing, job: Id, body: Annotated[Commit, Depends(json_body(Commit))]) -> Job:
    """End an attempt; the same commit may be sent again."""
    return work.commit_job(wing, JobId(job), body)


@router.post("/jobs/{job}/release", status_code=204, openapi_extra=takes(Release))
def release_job(
    wing: InWing, job: Id, body: Annotated[Release, Depends(json_body(Release))]
) -> None:
    """Give a lease back before the end."""
    work.release_job(wing, JobId(job), body)

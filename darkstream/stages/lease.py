"""The lease of a running job: renewed with its progress until the job ends."""

from __future__ import annotations

from darkstream.errors import Cancelled, LeaseLost, NodePaused
from darkstream.model.wire import Heartbeat, LeaseReport
from darkstream.stages.attempt import Attempt
from darkstream.stages.pulse import Pulse


def keep_lease(attempt: Attempt) -> Pulse:
    """A context that keeps an attempt's lease alive in a thread.

    A server that is away is waited for: the encode goes on. The attempt's cancel token is set to
    Cancelled when somebody cancelled the job, to LeaseLost when it is not this worker's any more,
    to NodePaused when this node is to rest at once. `attempt.rest` says how it is to rest.
    """
    return Pulse(lambda: renew(attempt), attempt.claim.heartbeat_s, name="lease")


def renew(attempt: Attempt) -> None:
    """Renew once; raises ServiceError."""
    claim = attempt.claim
    attempt.in_touch = False
    lease = LeaseReport(job=claim.job, token=claim.token, progress=attempt.progress)
    answer = attempt.tools.client.beat(Heartbeat(node=attempt.tools.node, leases=(lease,)))
    attempt.in_touch = True
    attempt.rest = answer.rest
    if claim.job in answer.cancel:
        attempt.cancel.cancel(Cancelled("the job was cancelled"))
    if claim.job in answer.lost:
        attempt.cancel.cancel(LeaseLost(f"job {claim.job} is no longer this worker's"))
    if answer.rest == "hard":
        attempt.cancel.cancel(NodePaused(f"the node {attempt.tools.node} was paused"))

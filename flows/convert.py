"""The flow `convert`: works a dispatch off, job by job."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import structlog
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from blocks.preset import Preset
from darkstream.errors import DarkstreamError, LeaseLost, UsageError
from darkstream.model.base import DispatchId
from darkstream.model.job import Claim, Job, JobStatus, Outcome
from darkstream.model.wire import Release
from darkstream.stages.attempt import Attempt
from darkstream.stages.chunks import forget_chunks
from darkstream.stages.claim import claim_next, leave_dispatch, submit
from darkstream.stages.ending import ended_by
from darkstream.stages.lease import keep_lease
from darkstream.stages.notify import commit, leave, release
from darkstream.stages.toolbox import Toolbox
from flows.results import Row, log_result, rename_run, show_results, summarise
from flows.walk import walk
from flows.wiring import THREADS, enter, undisturbed

log = structlog.get_logger(__name__)

_STOP_S = 4.0
_BATCHES = 5
"""A flow run goes on for the time of so many."""


@flow(
    name="convert",
    task_runner=THREADS,
    retries=0,
    persist_result=False,
)
def convert(
    dispatch: int | None = None,
    source: str | None = None,
    preset: str | Preset | None = None,
    destination: str | None = None,
) -> State[Any]:
    """Convert the jobs of a dispatch, or one file.

    Args:
        dispatch: Set by DarkStream itself: which jobs to work on.
        source: Absolute path of one file to convert.
        preset: Name of a preset, or a block that holds one; for `source`.
        destination: Absolute path of the directory for the result; default: beside the source.
    """
    settings = enter()
    with Toolbox(settings, flow_run=str(flow_run.id)) as tools:
        try:
            number = _find_work(tools, dispatch, source, preset, destination)
        except DarkstreamError as error:
            return Failed(message=str(error))
        try:
            rows = _work_off(tools, number, alone=source is not None)
        finally:
            leave_dispatch(tools, number)
        if source is None:
            rename_run(rows)
        show_results(rows, settings.server_url)
    return _final_state([row.job for row in rows], single=source is not None)


def _find_work(
    tools: Toolbox,
    dispatch: int | None,
    source: str | None,
    preset: str | Preset | None,
    destination: str | None,
) -> DispatchId:
    if source is not None:
        wished = preset.to_model() if isinstance(preset, Preset) else preset
        return submit(tools, source, wished, destination)
    if dispatch is None:
        raise UsageError("nothing to convert: give a source and a preset")
    return DispatchId(dispatch)


def _work_off(tools: Toolbox, dispatch: DispatchId, *, alone: bool) -> list[Row]:
    """Work on the jobs of a dispatch, then on others while the run is young: to go on costs less.

    A run of its own (`alone`) ends with its job.
    """
    rows: list[Row] = []
    batch_s = 0.0 if alone else tools.settings.prefect.batch_seconds
    ends = time.monotonic() + _BATCHES * batch_s
    while claim := claim_next(tools, dispatch, go_on=time.monotonic() < ends):
        if (row := _work_on(tools, claim)) is not None:
            rows.append(row)
            log_result(row)
    return rows


def _work_on(tools: Toolbox, claim: Claim) -> Row | None:
    """Bring one job to its end; None when it is not this flow run's any more."""
    attempt = Attempt(claim, tools)
    with keep_lease(attempt):
        try:
            job = _tell(attempt, _end(attempt))
        except LeaseLost as error:
            log.warning("lease_lost", job=claim.job, reason=str(error))
            return None
        except Exception:
            raise
        except BaseException:  # a signal: Prefect's TerminationSignal, or Ctrl-C
            _give_back(attempt)
            raise
    return None if job is None else Row(job, attempt.plan, attempt.verification)


def _end(attempt: Attempt) -> Outcome | Release | None:
    try:
        return _walk(attempt)
    except LeaseLost:
        raise
    except Exception as error:
        if not isinstance(error, DarkstreamError):
            log.exception("step_failed", job=attempt.claim.job, file=str(attempt))
        return ended_by(attempt, error)


def _walk(attempt: Attempt) -> Outcome | None:
    try:
        return walk(attempt)
    except CancelledRun:
        attempt.cancel.check()  # says why
        raise


def _tell(attempt: Attempt, ending: Outcome | Release | None) -> Job | None:
    if isinstance(ending, Outcome):
        attempt.outcome = ending
        job = commit(attempt, ending)
        if ending.status in {"done", "skipped", "rejected"}:
            # Else another attempt goes on with them. `darkstream run` stops once it is committed.
            with undisturbed():
                forget_chunks(attempt)
        return job
    if ending is not None:
        release(attempt, ending)
    return None


def _give_back(attempt: Attempt) -> None:
    """End the running step and let another worker have the job; no attempt is counted."""
    reason = "the worker was stopped"
    if not attempt.stop(reason, within_s=_STOP_S):
        log.warning("step_did_not_stop", job=attempt.claim.job, step=attempt.progress.step)
    with suppress(DarkstreamError):  # the lease runs out by itself
        leave(attempt, reason)


def _final_state(jobs: list[Job], *, single: bool) -> State[Any]:
    """A batch has done its work even if files of it could not be converted; a single file not."""
    message = summarise(jobs)
    if jobs and all(job.status is JobStatus.cancelled for job in jobs):
        return Cancelled(message=message)
    if single and jobs and jobs[0].status is JobStatus.failed:
        return Failed(message=jobs[0].reason)
    return Completed(message=message)

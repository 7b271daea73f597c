"""Results that take the place of their originals: approve, keep, undo, and what workers ask."""

from __future__ import annotations

import asyncio

from darkstream.control.jobs import get_job
from darkstream.control.wing import Wing
from darkstream.model.base import JobId, ScanId
from darkstream.model.job import Job
from darkstream.model.wire import (
    JobList,
    Judge,
    ReplacementEnd,
    ReplacementOrders,
    ReplacementReport,
    Undo,
)


def undo_job(wing: Wing, job: JobId, request: Undo) -> Job:
    """Ask for an original to be put back; raises NotFound, Conflict where it cannot be."""
    wing.catalog.replacements.request(job, "undo", force=request.force)
    wing.replacements_wake.set()
    return get_job(wing, job)


def undo_scan(wing: Wing, scan: ScanId, request: Undo) -> JobList:
    """Ask for all originals of a scan to be put back; raises NotFound."""
    asked = wing.catalog.replacements.request_scan(scan, force=request.force)
    wing.replacements_wake.set()
    return JobList(jobs=tuple(asked))


def approve_job(wing: Wing, job: JobId) -> Job:
    """Ask for a result that waits to be put in place; raises NotFound, Conflict."""
    wing.catalog.replacements.request(job, "approve")
    wing.replacements_wake.set()
    return get_job(wing, job)


def approve_all(wing: Wing, request: Judge) -> JobList:
    """Ask for all results that wait to be put in place; raises NotFound."""
    asked = wing.catalog.replacements.request_waiting("approve", request.library)
    wing.replacements_wake.set()
    return JobList(jobs=tuple(asked))


def keep_job(wing: Wing, job: JobId) -> Job:
    """Ask for a result that waits to be thrown away; raises NotFound, Conflict."""
    wing.catalog.replacements.request(job, "keep")
    wing.replacements_wake.set()
    return get_job(wing, job)


def keep_all(wing: Wing, request: Judge) -> JobList:
    """Ask for all results that wait to be thrown away; raises NotFound."""
    asked = wing.catalog.replacements.request_waiting("keep", request.library)
    wing.replacements_wake.set()
    return JobList(jobs=tuple(asked))


def report_replacement(wing: Wing, job: JobId, report: ReplacementReport) -> None:
    """An attempt is about to replace its original; raises LeaseLost."""
    wing.catalog.replacements.report(job, report)


def find_orders(wing: Wing) -> ReplacementOrders:
    """What a worker is to do now with replacements."""
    return ReplacementOrders(orders=wing.catalog.replacements.orders())


def settle_replacement(wing: Wing, job: JobId, end: ReplacementEnd) -> None:
    """A worker did what was to be done, or could not."""
    wing.catalog.replacements.settle(job, end)


async def keep_time(wing: Wing) -> bool:
    """See how much of the originals' time has passed, whatever the clock says."""
    await asyncio.to_thread(wing.catalog.replacements.keep_time)
    return False

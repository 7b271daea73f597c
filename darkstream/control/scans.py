"""Scans: start and look for people; order, listings and end for the worker that walks."""

from __future__ import annotations

from collections.abc import Iterator

from darkstream.control.nodes import Pool, choose_pool
from darkstream.control.wing import Wing
from darkstream.errors import Conflict
from darkstream.model.base import ScanId
from darkstream.model.job import ReportLine
from darkstream.model.library import Candidate, Scan, ScanOrder, ScanSummary
from darkstream.model.wire import Listings, SampledFiles, ScanKeepAlive, ScanLines, StartScan


def start_scan(wing: Wing, library: str, request: StartScan) -> Scan:
    """Queue a scan.

    Raises NotFound, and Conflict while one of that library runs or where its preset demands a GPU
    that no live worker has proved.
    """
    scan = wing.catalog.scans.start(library, request)
    try:
        _pool(wing, scan.id)
    except Conflict as error:
        wing.catalog.scans.fail(scan.id, str(error))
        raise
    wing.scan_runs.note(scan.id, request.flow_run)
    wing.scans_wake.set()
    return scan


def get_scan(wing: Wing, scan: ScanId) -> Scan:
    """One scan; raises NotFound."""
    return wing.catalog.scans.get(scan)


def read_report(wing: Wing, scan: ScanId) -> Iterator[ReportLine]:
    """The report in path order; raises NotFound at once, not at the first line."""
    wing.catalog.scans.get(scan)
    return wing.catalog.scans.report(scan)


def cancel_scan(wing: Wing, scan: ScanId) -> Scan:
    """End a scan and cancel the jobs it made; raises NotFound."""
    ended = wing.catalog.scans.cancel(scan)
    wing.scan_runs.cancel(scan)
    return ended


def order_scan(wing: Wing, scan: ScanId, request: ScanKeepAlive) -> ScanOrder:
    """Give the walk to a worker; raises NotFound, Conflict where it is over or another's."""
    order = wing.catalog.scans.order(scan, request)
    wing.scan_runs.note(scan, request.flow_run)
    return order


def keep_scan(wing: Wing, scan: ScanId, request: ScanKeepAlive) -> bool:
    """Renew a scan; false once it is over."""
    go_on = wing.catalog.scans.alive(scan, request)
    if go_on:
        wing.scan_runs.note(scan, request.flow_run)
    return go_on


def list_directories(wing: Wing, scan: ScanId, listings: Listings) -> tuple[Candidate, ...]:
    """Compare directories with the catalog; the answer names the files to sample."""
    return wing.catalog.scans.list_directories(scan, listings)


def add_files(wing: Wing, scan: ScanId, files: SampledFiles) -> tuple[bytes, ...]:
    """Make jobs of the files that need one; the answer names those to be hashed in full."""
    wanted = wing.catalog.scans.add_files(scan, files, pool=_pool(wing, scan))
    wing.jobs_wake.set()
    return wanted


def add_lines(wing: Wing, scan: ScanId, lines: ScanLines) -> None:
    """Remember report lines that need no job."""
    wing.catalog.scans.add_lines(scan, lines)


def finish_scan(wing: Wing, scan: ScanId, summary: ScanSummary) -> None:
    """The walk is complete; its end is told once all its jobs ended."""
    wing.catalog.scans.finish(scan, summary)
    wing.scan_runs.forget(scan)
    wing.jobs_wake.set()


def fail_scan(wing: Wing, scan: ScanId, reason: str) -> None:
    """The walk could not be completed."""
    wing.catalog.scans.fail(scan, reason)
    wing.scan_runs.forget(scan)


def _pool(wing: Wing, scan: ScanId) -> Pool:
    return choose_pool(wing.catalog.scans.preset(scan), wing.catalog.nodes.all())

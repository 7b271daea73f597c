"""Analyses: ask for and look for people; order, results and end for the worker."""

from __future__ import annotations

from collections.abc import Iterator

from darkstream.control.places import absolute_path
from darkstream.control.wing import Wing
from darkstream.errors import UsageError
from darkstream.model.analyses import (
    MOST_PATHS,
    AnalysisEnd,
    AnalysisOrder,
    AnalysisProgress,
    AnalysisPulse,
    AnalysisResults,
    AnalysisRun,
    AnalysisWorker,
    StartAnalysis,
)
from darkstream.model.analysis import Depth
from darkstream.model.base import AnalysisId

_LONGEST = 4095
"""Bytes: nobody could open a longer one."""


def start_analysis(wing: Wing, request: StartAnalysis) -> AnalysisRun:
    """Queue an analysis; raises UsageError where there is no path, or one that cannot be."""
    paths = [absolute_path(path, None, "path") for path in request.paths]
    paths += [absolute_path(None, path, "path") for path in request.paths_b64]
    if not 0 < len(paths) <= MOST_PATHS:
        raise UsageError(f"name at least one path, and {MOST_PATHS} at most, not {len(paths)}")
    if max(map(len, paths)) > _LONGEST:
        raise UsageError(f"no path has more than {_LONGEST} bytes")
    depth = {name: getattr(request, name) for name in Depth.model_fields}
    run = wing.catalog.analyses.add(AnalysisOrder(**depth, paths=tuple(paths)))
    wing.analyses_wake.set()
    return run


def get_analysis(wing: Wing, analysis: AnalysisId) -> AnalysisRun:
    """One analysis, and how far it is; raises NotFound."""
    return wing.catalog.analyses.get(analysis)


def get_progress(wing: Wing, analysis: AnalysisId) -> AnalysisProgress:
    """How far one is; raises NotFound."""
    return wing.catalog.analyses.progress(analysis)


def find_analyses(wing: Wing, *, after: AnalysisId | None, limit: int) -> list[AnalysisRun]:
    """Analyses with the first of their paths, newest first: older than `after`, at most `limit`."""
    return wing.catalog.analyses.find(after=after, limit=limit)


def read_results(wing: Wing, analysis: AnalysisId) -> Iterator[str]:
    """What was found so far, as JSON; raises NotFound at once, not at the first line."""
    wing.catalog.analyses.progress(analysis)
    return wing.catalog.analyses.results(analysis)


def remove_analysis(wing: Wing, analysis: AnalysisId) -> None:
    """Forget an analysis, and end it where it is under way; raises NotFound."""
    wing.catalog.analyses.remove(analysis)
    wing.analyses_wake.set()


def order_analysis(wing: Wing, analysis: AnalysisId, worker: AnalysisWorker) -> AnalysisOrder:
    """Give it to a worker; raises NotFound, Conflict where it is over or another's."""
    return wing.catalog.analyses.order(analysis, worker)


def keep_analysis(wing: Wing, analysis: AnalysisId, pulse: AnalysisPulse) -> bool:
    """Renew it; false once it is over."""
    return wing.catalog.analyses.keep(analysis, pulse)


def add_results(wing: Wing, analysis: AnalysisId, results: AnalysisResults) -> bool:
    """Remember results; false once it is over."""
    go_on = wing.catalog.analyses.add_results(analysis, results)
    if not go_on:
        wing.analyses_wake.set()
    return go_on


def release_analysis(wing: Wing, analysis: AnalysisId, worker: AnalysisWorker) -> None:
    """Its worker is stopped: another one begins it anew."""
    wing.catalog.analyses.release(analysis, worker)
    wing.analyses_wake.set()


def finish_analysis(wing: Wing, analysis: AnalysisId, end: AnalysisEnd) -> None:
    """There are no more results."""
    wing.catalog.analyses.finish(analysis, end)
    wing.analyses_wake.set()

"""Analyses that the server has made by a worker: what was asked for, and how far it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from darkstream.model.analysis import Analysis, Depth
from darkstream.model.base import AnalysisId, Frozen, NodeName

MOST_PATHS = 500
"""Files and folders of one analysis."""
SHOWN_PATHS = 3
"""Of these, how many a list of analyses shows."""
MOST_FILES = 10_000
"""Files that they may name and hold."""
MOST_BYTES = 64 << 20
"""What the results of one analysis may take, as JSON."""
MOST_LINE = 1 << 20
"""What the result of one file may."""

AnalysisStatus = Literal["queued", "running", "done", "failed", "cancelled"]


class StartAnalysis(Depth):
    """Files and folders to be analysed by a worker; of a folder, what a library of it holds."""

    paths: tuple[str, ...] = Field(
        (), max_length=MOST_PATHS, description="Absolute paths on the workers' machines."
    )
    paths_b64: tuple[str, ...] = Field(
        (), max_length=MOST_PATHS, description="More of them, as base64 where they are not UTF-8."
    )


class AnalysisProgress(Frozen):
    """How far an analysis is: small, for those who wait for its end."""

    id: AnalysisId
    status: AnalysisStatus
    """It is `done` also where some of its files could not be read."""
    created: datetime
    ended: datetime | None = None
    node: NodeName | None = None
    reason: str = ""
    """Why it ended before all files were analysed."""
    files: int | None = None
    """How many there are; None until that is known."""
    analysed: int = 0
    failed: int = 0
    """Of these, how many could not be read."""
    attempts: int = 0
    """How many workers were lost while they were at it."""
    releases: int = 0
    """How many workers were stopped meanwhile and gave it back, which counts as no loss."""

    @property
    def is_over(self) -> bool:
        """Whether nobody works on it any more."""
        return self.status not in {"queued", "running"}


class AnalysisRun(AnalysisProgress, Depth):
    """What was asked for, and how far it is; each file has a result of its own."""

    paths: tuple[str, ...]
    """In lists of analyses only the first few."""
    paths_b64: tuple[str, ...] | None = None
    """The same as base64, where one of them is not UTF-8."""
    path_count: int
    """How many paths there are."""


class AnalysisOrder(Depth):
    """What a worker is to analyse: absolute paths, in this order."""

    paths: tuple[bytes, ...]


class AnalysisWorker(Frozen):
    """Who is at it."""

    node: NodeName
    flow_run: str


class AnalysisPulse(AnalysisWorker):
    """It still is; `files`: how many there are, once that is known."""

    files: int | None = Field(None, ge=0, le=MOST_FILES)


class AnalysisResults(AnalysisWorker):
    """The next results; `first` is how many there were before them."""

    first: int = Field(ge=0)
    results: tuple[Analysis, ...]


class AnalysisEnd(AnalysisWorker):
    """There are no more results; `reason`: why some are missing, else it is complete."""

    reason: str = ""

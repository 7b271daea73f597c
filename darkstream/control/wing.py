"""What every use-case of the server wing works with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from darkstream.catalog import Catalog
from darkstream.control.progress import ProgressBoard
from darkstream.control.scan_runs import ScanRuns
from darkstream.control.troubles import Troubles
from darkstream.control.wake import Wake
from darkstream.observe.bell import Bell
from darkstream.settings import Settings


@dataclass(frozen=True)
class Wing:
    """The catalog, the settings, and what is kept in memory only.

    The wakes tell the loops that there is something to do: three, that a flow run was cancelled;
    `runs_bell` tells the workers that Prefect may have a flow run for them.
    """

    settings: Settings
    catalog: Catalog
    board: ProgressBoard = field(default_factory=ProgressBoard)
    scan_runs: ScanRuns = field(default_factory=ScanRuns)
    troubles: Troubles = field(default_factory=Troubles)
    jobs_wake: Wake = field(default_factory=Wake)
    scans_wake: Wake = field(default_factory=Wake)
    schedules_wake: Wake = field(default_factory=Wake)
    replacements_wake: Wake = field(default_factory=Wake)
    analyses_wake: Wake = field(default_factory=Wake)
    job_states_wake: Wake = field(default_factory=Wake)
    scan_states_wake: Wake = field(default_factory=Wake)
    analysis_states_wake: Wake = field(default_factory=Wake)
    # No two servers count alike: a worker that knew another one hears of this one at once.
    runs_bell: Bell = field(default_factory=lambda: Bell(time.time_ns() // 1_000_000))
    started: float = field(default_factory=time.monotonic)

    def wake_reconcilers(self) -> None:
        """Have the states of flow runs looked at now."""
        self.job_states_wake.set()
        self.scan_states_wake.set()
        self.analysis_states_wake.set()

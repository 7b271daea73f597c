"""Which flow run walks which scan: in memory, since every keep-alive says it again."""

from __future__ import annotations

import threading

from darkstream.model.base import ScanId


class ScanRuns:
    """Flow runs of scans that have not ended, and of scans just cancelled; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._walking: dict[ScanId, str] = {}
        self._cancelled: list[str] = []

    def note(self, scan: ScanId, flow_run: str | None) -> None:
        """A flow run works, or will work, on a scan."""
        if flow_run is not None:
            with self._lock:
                self._walking[scan] = flow_run

    def forget(self, scan: ScanId) -> None:
        """The scan is over."""
        with self._lock:
            self._walking.pop(scan, None)

    def cancel(self, scan: ScanId) -> None:
        """The scan is over, and its flow run need not begin."""
        with self._lock:
            flow_run = self._walking.pop(scan, None)
            if flow_run is not None:
                self._cancelled.append(flow_run)

    def walking(self) -> dict[ScanId, str]:
        """The flow run of each scan that has not ended."""
        with self._lock:
            return dict(self._walking)

    def cancelled(self) -> list[str]:
        """Flow runs to be cancelled in Prefect."""
        with self._lock:
            return list(self._cancelled)

    def settle(self, flow_run: str) -> None:
        """A cancelled flow run was dealt with."""
        with self._lock:
            self._cancelled.remove(flow_run)

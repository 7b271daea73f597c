"""Report lines of files that need no job, sent in batches."""

from __future__ import annotations

import base64
from typing import Literal

from darkstream.model.base import ScanId
from darkstream.model.job import DecisionName, ReportLine
from darkstream.model.paths import display, is_text
from darkstream.model.wire import ScanLines
from darkstream.observe.cancel import CancelToken
from darkstream.stages.patience import outlast
from darkstream.stages.toolbox import Toolbox

_BATCH = 500


class ReportLines:
    """Collects lines and posts them; `flush` sends the rest."""

    def __init__(self, tools: Toolbox, scan: ScanId, cancel: CancelToken) -> None:
        self._tools = tools
        self._scan = scan
        self._cancel = cancel
        self._lines: list[ReportLine] = []

    def add(self, line: ReportLine) -> None:
        """Take one line."""
        self._lines.append(line)
        if len(self._lines) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Send what is left."""
        if not self._lines:
            return
        body = ScanLines(lines=tuple(self._lines))
        outlast(lambda: self._tools.client.add_lines(self._scan, body), self._cancel)
        self._lines = []


def line_of(
    path: bytes,
    size: int,
    decision: DecisionName,
    status: Literal["failed", "skipped", "planned"],
    reason: str,
) -> ReportLine:
    """The line of a file (path relative to the library's root) that got no job."""
    text = is_text(path)
    return ReportLine(
        source=path.decode() if text else display(path),
        source_b64=None if text else base64.b64encode(path).decode(),
        decision=decision,
        status=status,
        reason=reason,
        source_bytes=size,
        output_bytes=0,
        wall_s=0.0,
        cpu_s=0.0,
        attempts=0,
        job=None,
    )

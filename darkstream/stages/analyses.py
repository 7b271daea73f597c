"""Analysing what the server was asked to: file by file, each with a result of its own."""

from __future__ import annotations

from dataclasses import dataclass

from darkstream.errors import Cancelled, DarkstreamError, NotFound, SourceError, UsageError
from darkstream.model.analyses import (
    MOST_FILES,
    MOST_LINE,
    AnalysisEnd,
    AnalysisOrder,
    AnalysisPulse,
    AnalysisResults,
    AnalysisWorker,
)
from darkstream.model.analysis import Analysis, Depth
from darkstream.model.base import AnalysisId
from darkstream.observe.cancel import CancelToken
from darkstream.planning.words import spoken
from darkstream.stages.analyse import analyse, failed, find_files
from darkstream.stages.patience import outlast
from darkstream.stages.pulse import Pulse
from darkstream.stages.toolbox import Toolbox

_OVER = "the analysis is over: it was forgotten, given to another, or has too many results"
_FAREWELL_S = 2.0
MOST_SHOWN = 200
"""Files in the table that Prefect shows; the server has them all."""


@dataclass(frozen=True, slots=True)
class Analysed:
    """How many files were analysed, and how many of them could not be read."""

    files: int = 0
    failed: int = 0
    shown: tuple[tuple[str, str, str, str], ...] = ()
    """Of the first of them: file, video, sound, and what is wrong or why it could not be read."""


def do_analysis(tools: Toolbox, number: AnalysisId, cancel: CancelToken) -> Analysed:
    """Do an analysis that the server knows, whole.

    What cannot be read is a result. Raises Cancelled when it was forgotten, also before it began,
    and Conflict where there is nothing to do; where something keeps all files from being analysed
    the analysis counts as failed, and that is raised.
    """
    work = _Work(tools, number, cancel)
    order = work.begin()
    with Pulse(work.tell, tools.settings.lease.heartbeat_s, name="analysis"):
        try:
            done = work.do(order)
            work.end()
        except Cancelled:
            raise
        except Exception as error:
            work.end(str(error) if isinstance(error, DarkstreamError) else repr(error))
            raise
    return done


def give_back(tools: Toolbox, number: AnalysisId) -> None:
    """Let another worker have an analysis, because this process is ended: no loss is counted.

    Raises DarkstreamError where the server does not hear of it in time.
    """
    me = AnalysisWorker(node=tools.node, flow_run=tools.flow_run)
    outlast(lambda: tools.client.release_analysis(number, me), at_most_s=_FAREWELL_S)


class _Work:
    """One analysis under way, and what the server is told of it."""

    def __init__(self, tools: Toolbox, number: AnalysisId, cancel: CancelToken) -> None:
        self._tools = tools
        self._number = number
        self._cancel = cancel
        self._me = {"node": tools.node, "flow_run": tools.flow_run}
        self._files: int | None = None
        self._done = Analysed()

    def begin(self) -> AnalysisOrder:
        """Take it on; raises Cancelled and Conflict where there is nothing to do."""
        me, client = AnalysisWorker.model_validate(self._me), self._tools.client
        try:
            return outlast(lambda: client.analysis_order(self._number, me), self._cancel)
        except NotFound as error:
            gone = Cancelled(f"nothing to do: {error}, or until somebody has them forgotten")
            self._cancel.cancel(gone)
            raise gone from error

    def tell(self) -> None:
        """Say that it goes on, and of how many files; what is over is cancelled."""
        pulse = AnalysisPulse.model_validate({**self._me, "files": self._files})
        if not self._tools.client.keep_analysis(self._number, pulse):
            self._cancel.cancel(Cancelled(_OVER))

    def do(self, order: AnalysisOrder) -> Analysed:
        """Analyse all files, in their order."""
        depth = Depth(**{name: getattr(order, name) for name in Depth.model_fields})
        found = find_all(order.paths, self._cancel)
        self._files = len(found)
        outlast(self.tell, self._cancel)
        for one in found:
            self._cancel.check()
            self._send(one if isinstance(one, Analysis) else self._analyse(one, depth))
        return self._done

    def _analyse(self, path: bytes, depth: Depth) -> Analysis:
        """The result of a file, unless it is so long that nobody would read it."""
        found = analyse(self._tools, path, depth, self._cancel)
        if len(found.model_dump_json()) <= MOST_LINE:
            return found
        told = f"what there is to say of it takes more than {MOST_LINE >> 20} MiB"
        return failed(path, SourceError(told))

    def end(self, reason: str = "") -> None:
        """Say that there are no more results, and why where some are missing."""
        end = AnalysisEnd.model_validate({**self._me, "reason": reason})
        client = self._tools.client
        outlast(lambda: client.finish_analysis(self._number, end), self._cancel)

    def _send(self, one: Analysis) -> None:
        results = AnalysisResults.model_validate(
            {**self._me, "first": self._done.files, "results": (one,)}
        )
        client = self._tools.client
        if not outlast(lambda: client.add_analysis_results(self._number, results), self._cancel):
            self._cancel.cancel(Cancelled(_OVER))
            self._cancel.check()
        done, failed_now = self._done, one.status == "failed"
        row = (_row(one),) if done.files < MOST_SHOWN else ()
        self._done = Analysed(done.files + 1, done.failed + failed_now, done.shown + row)


def _row(one: Analysis) -> tuple[str, str, str, str]:
    if one.media is None:
        return (one.source, "-", "-", one.reason or "")
    video = [f"{spoken(v.codec)} {v.width}x{v.height}" for v in one.media.video]
    sound = [
        " ".join(filter(None, (spoken(a.codec), a.layout, a.language))) for a in one.media.audio
    ]
    wrong = [finding.message for finding in one.findings]
    return (one.source, ", ".join(video) or "-", ", ".join(sound) or "-", "; ".join(wrong) or "-")


def find_all(paths: tuple[bytes, ...], cancel: CancelToken) -> list[bytes | Analysis]:
    """The files that paths name or hold; of a folder that cannot be read, what is to be said.

    Raises UsageError where they are too many, and what `cancel` was given.
    """
    found: list[bytes | Analysis] = []
    for path in paths:
        cancel.check()
        for one in find_files(path, cancel):
            found.append(one)
            if len(found) > MOST_FILES:
                raise UsageError(
                    f"these are more than {MOST_FILES:,} files: name folders that hold fewer"
                )
    return found

"""The flow `analyze`: what is in files and folders, for somebody who asked the server."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import structlog
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run
from prefect.states import Cancelled as CancelledState
from prefect.states import Completed, Failed

from darkstream.errors import Cancelled, DarkstreamError
from darkstream.model.base import AnalysisId
from darkstream.observe.cancel import CancelToken
from darkstream.stages.analyses import Analysed, do_analysis, give_back
from darkstream.stages.toolbox import Toolbox
from flows.results import escape
from flows.wiring import FRESH, THREADS, enter, stoppable, submit

log = structlog.get_logger(__name__)

_HEAD = "| file | video | sound | what is wrong |"
_RULE = "| --- | --- | --- | --- |"


class Analysing:
    """An analysis on its way: what its task is given, named after it."""

    def __init__(self, tools: Toolbox, number: AnalysisId) -> None:
        self.tools = tools
        self.number = number
        self.cancel = CancelToken()

    def __str__(self) -> str:
        """What Prefect's UI calls it."""
        return f"analysis {self.number}"


@task(name="analyze", task_run_name="analyze for {analysing}", **FRESH)
@stoppable
def analyse_files(analysing: Analysing) -> Analysed:
    """Analyse file by file, and send what was found."""
    return do_analysis(analysing.tools, analysing.number, analysing.cancel)


@flow(
    name="analyze",
    task_runner=THREADS,
    retries=0,
    persist_result=False,
)
def analyse(analysis: int) -> State[Any]:
    """Say what is in files and folders; they are only read.

    Args:
        analysis: Set by DarkStream itself: the analysis to do.
    """
    with Toolbox(enter(), flow_run=str(flow_run.id)) as tools:
        try:
            done = _do(Analysing(tools, AnalysisId(analysis)))
        except Cancelled as error:
            return CancelledState(message=str(error))
        except DarkstreamError as error:
            return Failed(message=str(error))
    told = f"{done.files} files, {done.failed} of them could not be read"
    show_analysis(done, told)
    return Completed(message=told)


def show_analysis(done: Analysed, told: str) -> None:
    """Write the table; a Prefect that does not take it is no reason to fail the run."""
    rows = [f"| {' | '.join(map(escape, row))} |" for row in done.shown]
    left = [f"\nand {done.files - len(rows)} more"] if done.files > len(rows) else []
    try:
        create_markdown_artifact(
            "\n".join([_HEAD, _RULE, *rows, *left]), key="darkstream-analysis", description=told
        )
    except Exception as error:  # noqa: BLE001 - the results are kept, only their picture is not
        log.warning("analysis_not_shown", reason=str(error))


def _do(analysing: Analysing) -> Analysed:
    working = submit(analyse_files, analysing)
    try:
        return working.result()
    except CancelledRun:
        analysing.cancel.check()  # says why
        raise
    except Exception:
        raise
    except BaseException:  # a signal: the server gives it to another worker
        analysing.cancel.cancel(Cancelled("the worker was stopped"))
        with suppress(DarkstreamError):  # a worker that is not heard of is followed by another too
            give_back(analysing.tools, analysing.number)
        raise

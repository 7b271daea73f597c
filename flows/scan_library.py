"""The flow `scan-library`: looks over a library and makes jobs of what needs converting."""

from __future__ import annotations

from typing import Any

import structlog
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run
from prefect.states import Cancelled as CancelledState
from prefect.states import Completed, Failed

from blocks.library import Library
from darkstream.errors import Cancelled, DarkstreamError, UsageError
from darkstream.model.base import ScanId
from darkstream.model.library import ScanSummary
from darkstream.model.wire import StartScan
from darkstream.observe.cancel import CancelToken
from darkstream.stages.scan import scan as do_scan
from darkstream.stages.toolbox import Toolbox
from flows.wiring import FRESH, THREADS, enter, stoppable, submit

log = structlog.get_logger(__name__)


class Walk:
    """A scan on its way: what its task is given, named after the scan."""

    def __init__(self, tools: Toolbox, number: ScanId) -> None:
        self.tools = tools
        self.number = number
        self.cancel = CancelToken()

    def __str__(self) -> str:
        """What Prefect's UI calls it."""
        return f"scan {self.number}"


@task(
    name="walk",
    task_run_name="walk for {walk}",
    **FRESH,
)
@stoppable
def walk_library(walk: Walk) -> ScanSummary:
    """Walk, find what differs, sample it and post it."""
    return do_scan(walk.tools, walk.number, walk.cancel)


@flow(
    name="scan-library",
    task_runner=THREADS,
    retries=0,
    persist_result=False,
)
def scan_library(scan: int | None = None, library: str | Library | None = None) -> State[Any]:
    """Look over a library: what is new or changed becomes jobs.

    Args:
        scan: Set by DarkStream itself: the scan to do.
        library: Name of a library, or a block that describes one.
    """
    settings = enter()
    with Toolbox(settings, flow_run=str(flow_run.id)) as tools:
        try:
            walk = Walk(tools, _find_scan(tools, scan, library))
            summary = _do(walk)
        except Cancelled as error:
            return CancelledState(message=str(error))
        except DarkstreamError as error:
            return Failed(message=str(error))
    _show(summary)
    return Completed(message=f"{summary.met} files met, {summary.unchanged} unchanged")


def _find_scan(tools: Toolbox, scan: int | None, library: str | Library | None) -> ScanId:
    if scan is not None:
        return ScanId(scan)
    if library is None:
        raise UsageError("nothing to scan: give a library")
    if isinstance(library, Library):
        request = library.to_request().model_copy(update={"replace": True})
        library = tools.client.add_library(request).name
    return tools.client.start_scan(library, StartScan(flow_run=tools.flow_run)).id


def _do(walk: Walk) -> ScanSummary:
    walking = submit(walk_library, walk)
    try:
        return walking.result()
    except CancelledRun:
        walk.cancel.check()  # says why
        raise
    except Exception:
        raise
    except BaseException:  # a signal: the server gives the scan to another worker
        walk.cancel.cancel(Cancelled("the worker was stopped"))
        raise


def _show(summary: ScanSummary) -> None:
    text = (
        "| met | ignored | unchanged | outputs gone | time |\n"
        "| ---: | ---: | ---: | ---: | ---: |\n"
        f"| {summary.met} | {summary.ignored} | {summary.unchanged} "
        f"| {len(summary.missing_outputs)} | {summary.wall_s:.1f} s |"
    )
    try:
        create_markdown_artifact(text, key="darkstream-scan")
    except Exception as error:  # noqa: BLE001 - the scan is done, only its picture is not
        log.warning("scan_not_shown", reason=str(error))

"""The flow `maintain`: clears away what is over, and proves ffmpeg again when it changed."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.states import Completed, Failed

from darkstream.errors import DarkstreamError
from darkstream.stages.reap import Reaped, reap
from darkstream.stages.toolbox import Toolbox
from flows.caching import PREFIX
from flows.settle import settle_replacements
from flows.wiring import FRESH, THREADS, enter, submit

_RESULTS_AFTER_S = 30 * 24 * 3600.0


@task(name="reap", **FRESH)
def reap_leftovers(tools: Toolbox) -> Reaped:
    """Remove abandoned part files and work directories."""
    return reap(tools)


@task(name="prove ffmpeg", **FRESH)
def prove_ffmpeg(tools: Toolbox) -> str:
    """Prove what this node's ffmpeg can do, unless this very build was proved before."""
    return tools.capabilities.build


@task(name="forget results", **FRESH)
def forget_results(directory: Path) -> int:
    """Remove cached results of steps that are too old to be used; how many."""
    oldest, count = time.time() - _RESULTS_AFTER_S, 0
    for one in directory.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another node's `maintain` was quicker
            if one.stat().st_mtime < oldest:
                one.unlink()
                count += 1
    return count


@flow(
    name="maintain",
    task_runner=THREADS,
    retries=0,
    persist_result=False,
)
def maintain() -> State[Any]:
    """Clear away what crashes left; safe at any time, once an hour is plenty."""
    with Toolbox(enter(), flow_run=str(flow_run.id)) as tools:
        reaping = submit(reap_leftovers, tools)
        proving = submit(prove_ffmpeg, tools)
        forgetting = submit(forget_results, PREFECT_LOCAL_STORAGE_PATH.value())
        settling = submit(settle_replacements, tools)
        try:
            reaped, build, old = reaping.result(), proving.result(), forgetting.result()
            settled = settling.result()
        except DarkstreamError as error:
            return Failed(message=str(error))
    return Completed(
        message=f"{len(reaped.parts)} part files, {len(reaped.work)} work directories and "
        f"{old} old results removed; {settled.done} replacements settled; ffmpeg {build}"
    )

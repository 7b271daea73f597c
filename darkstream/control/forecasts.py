"""The forecast of a library: when its work will be done by the machines of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from darkstream.control.nodes import choose_pool
from darkstream.control.wing import Wing
from darkstream.errors import Conflict
from darkstream.model.base import JobId
from darkstream.model.forecast import Forecast, Range
from darkstream.model.preset import Preset
from darkstream.model.wire import Node
from darkstream.model.work import Estimate, Rates, Work, WorkClass
from darkstream.planning.estimates import estimate_work
from darkstream.planning.forecast import (
    Bench,
    Task,
    finish_of,
    guess_saving,
    relative_speeds,
    saving_of,
    scale,
    sum_of,
)
from darkstream.planning.speeds import class_of

if TYPE_CHECKING:
    from darkstream.catalog.forecasts import Outlook

_Speeds = Mapping[str, Mapping[WorkClass, Rates]]


def forecast_library(wing: Wing, name: str) -> Forecast:
    """What is left to do of a library, and when it is done; raises NotFound."""
    outlook = wing.catalog.forecasts.collect(name)
    nodes = [node for node in wing.catalog.nodes.all() if node.live and _encodes(node)]
    counted = [node for node in nodes if node.pause is None]
    speeds = wing.catalog.speeds.of_nodes()
    tasks = list(_tasks(outlook, speeds, wing.board.shares(), _pool(outlook.preset, nodes)))
    mine = [task.estimate for task in tasks if task.mine]
    jobs = [job for job in outlook.waiting if job.mine]
    guessed = sum(estimate.basis == "table" for estimate in mine)
    saved = _saving(outlook)
    finish = finish_of(tasks, _benches(counted, speeds), outlook.now)
    return Forecast(
        library=name,
        at=outlook.now,
        files=len(mine),
        new_files=len(outlook.found),
        scan=outlook.scan,
        source_bytes=sum(job.source_bytes for job in jobs)
        + sum(file.line.source_bytes for file in outlook.found),
        work_hours=sum_of(mine),
        saved_bytes=saved,
        finish=finish,
        nodes=tuple(node.name for node in counted),
        guessed=guessed,
        notes=tuple(_notes(outlook, nodes, guessed=guessed, saved=saved, ends=finish is not None)),
    )


def _encodes(node: Node) -> bool:
    return "cpu" in node.pools or "gpu" in node.pools


def _pool(preset: Preset, nodes: Sequence[Node]) -> str:
    """Where new files of the library would go."""
    try:
        return choose_pool(preset, nodes)
    except Conflict:  # no machine could do them: then none of them ends
        return "gpu"


def _benches(nodes: Sequence[Node], speeds: _Speeds) -> list[Bench]:
    relative = relative_speeds(speeds)
    return [
        Bench(_pools(node), node.slots, node.hours, relative.get(node.name, 1.0)) for node in nodes
    ]


def _pools(node: Node) -> frozenset[str]:
    proved = any(encoder.hardware for encoder in node.capabilities.encoders)
    return frozenset(pool for pool in node.pools if pool != "gpu" or proved)


def _tasks(
    outlook: Outlook, speeds: _Speeds, progress: Mapping[JobId, float], pool: str
) -> Iterator[Task]:
    """What is to be done, in order: the queue, then what a dry scan found, the longest first."""
    for job in outlook.waiting:
        share = 1.0 if job.work is not None or not job.mine else outlook.worked
        left = share * (1 - progress.get(job.job, 0.0)) if job.running else share
        estimate = scale(_judge(job.work, job.estimate, speeds), left)
        yield Task(estimate, job.pool, job.mine, job.due)
    new = [_judge(file.line.work, file.estimate, speeds) for file in outlook.found]
    for estimate in sorted(new, key=lambda one: -one.seconds):
        yield Task(estimate, pool, mine=True)


def _judge(work: Work | None, estimate: Estimate, speeds: _Speeds) -> Estimate:
    """By what all nodes did of such work, where it is planned; else by its size."""
    if work is None:
        return estimate
    kind = class_of(work)
    rates = tuple(rate for known in speeds.values() for rate in known.get(kind, ()))
    planned = estimate_work(work, rates)
    # A pace that was measured is nearer to the truth than a guess for planned work.
    return planned if rates or estimate.basis == "table" else estimate


def _saving(outlook: Outlook) -> Range | None:
    waiting = sum(job.source_bytes for job in outlook.waiting if job.mine)
    found = [file.line for file in outlook.found]
    if outlook.shares:
        new = sum(line.source_bytes for line in found)
        return saving_of(round(waiting * outlook.worked) + new, outlook.shares)
    if waiting:
        return None
    encodes = [line for line in found if line.decision == "convert"]
    before = sum(line.source_bytes for line in encodes)
    return guess_saving(before, sum(line.output_bytes for line in encodes))


def _notes(
    outlook: Outlook, nodes: Sequence[Node], *, guessed: int, saved: Range | None, ends: bool
) -> Iterator[str]:
    if not nodes:
        yield "no machine that encodes is there: start a worker ('darkstream worker')"
    for node in nodes:
        if node.pause is not None:
            yield f"{node.name} is paused, and not counted on until it is resumed"
    if nodes and not ends:
        yield "with these machines it does not end within a year, or none of them can do it"
    if guessed:
        yield f"{guessed} files are guesses: nothing like them was converted yet"
    if saved is None:
        yield "what is saved is not known before some files of the library were converted"
    if outlook.scan is None:
        yield (
            "only files with a job are counted: new ones are found by a dry scan"
            " ('darkstream scan LIBRARY --dry-run')"
        )

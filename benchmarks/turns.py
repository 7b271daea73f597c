"""Ways to do the same that take turns, so that what disturbs one disturbs the others too."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure

Work = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of CPU time: this process's and those of all it waited for."""

    wall_s: float
    cpu_s: float


def cost_of(work: Work) -> Cost:
    """What a piece of work costs."""
    cpu, began = spent_cpu(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - began, spent_cpu() - cpu)


def take_turns(ways: Mapping[str, Work], rounds: int) -> dict[str, list[Cost]]:
    """The costs of each way in each round; every other round goes backwards."""
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            costs[name].append(cost_of(ways[name]))
    return costs


def compare(
    what: str,
    unit: str,
    ours: Sequence[float],
    peer: str,
    theirs: Sequence[float],
    *,
    at_most: float | None = None,
    note: str = "",
) -> Figure:
    """The row of two ways: the median of the rounds' ratios, and half of what lies between them."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    middle = statistics.median(ours)
    return Figure(
        what,
        middle,
        unit,
        peer,
        middle / statistics.median(ratios),
        noise=(max(ratios) - min(ratios)) / 2 if len(ratios) > 1 else None,
        at_most=at_most,
        note=note,
    )


def bound(what: str, walls: Sequence[float], cpus: Sequence[float], cores: int) -> Figure:
    """The physical limit: no machine is through before its cores have done the CPU seconds."""
    least = [cpu / cores for cpu in cpus]
    return compare(what, "s", walls, f"CPU seconds / {cores} cores", least)


def spent_cpu() -> float:
    """CPU seconds of this process and of all children that it waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)

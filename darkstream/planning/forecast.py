"""The queue played through: which slot takes which job when, and when all are done."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from darkstream.model.forecast import Finish, Range
from darkstream.model.node import Hours
from darkstream.model.work import Estimate, Rates, WorkClass
from darkstream.planning.hours import openings
from darkstream.planning.speeds import typical

_HORIZON = timedelta(days=366)
_STEP = timedelta(days=30)
_GUESS = 1.5
"""A guess of a result's size may be so many times too low or too high."""


@dataclass(frozen=True)
class Task:
    """One job of the queue; `mine`: it is of the library that is asked about."""

    estimate: Estimate
    pool: str
    mine: bool
    due: datetime | None = None
    """Not before."""


@dataclass(frozen=True)
class Bench:
    """A node that takes work in its hours; `speed` is that of the others times so much."""

    pools: frozenset[str]
    slots: int
    hours: Hours | None = None
    speed: float = 1.0


def finish_of(tasks: Sequence[Task], benches: Sequence[Bench], now: datetime) -> Finish | None:
    """When the last of mine ends, the tasks taken in order; None: not within a year."""
    ends = [
        _last_end(tasks, benches, now, [one.estimate.low for one in tasks]),
        _last_end(tasks, benches, now, [one.estimate.seconds for one in tasks]),
        _last_end(tasks, benches, now, [one.estimate.high for one in tasks]),
    ]
    earliest, likely, latest = ends
    if earliest is None or likely is None or latest is None:
        return None
    # A longer job that goes elsewhere may let the last one end sooner (Graham 1969).
    return Finish(
        earliest=min(earliest, likely), likely=likely, latest=max(latest, likely, earliest)
    )


def scale(estimate: Estimate, share: float) -> Estimate:
    """A share of what was estimated."""
    low, likely, high = (value * share for value in (estimate.low, estimate.seconds, estimate.high))
    return Estimate(low=low, seconds=likely, high=high, basis=estimate.basis)


def sum_of(estimates: Iterable[Estimate]) -> Range:
    """Hours of one slot in all."""
    kept = list(estimates)
    low, likely, high = (
        sum(one.low for one in kept),
        sum(one.seconds for one in kept),
        sum(one.high for one in kept),
    )
    return Range(low=low / 3600, likely=likely / 3600, high=high / 3600)


def saving_of(source_bytes: int, shares: Rates) -> Range | None:
    """What is saved where results have these shares of their sources' sizes; None: no share."""
    if not shares:
        return None
    low, likely, high = typical(shares)
    kept = [source_bytes * (1 - share) for share in (high, likely, low)]
    return Range(low=kept[0], likely=kept[1], high=kept[2])


def guess_saving(source_bytes: int, output_bytes: int) -> Range:
    """What is saved where results become as large as a dry scan guessed."""
    return Range(
        low=source_bytes - output_bytes * _GUESS,
        likely=source_bytes - output_bytes,
        high=source_bytes - output_bytes / _GUESS,
    )


def relative_speeds(speeds: Mapping[str, Mapping[WorkClass, Rates]]) -> dict[str, float]:
    """How fast each node is by all that did like work, where something is known of it."""
    together: dict[WorkClass, dict[str, float]] = {}
    for node, known in speeds.items():
        for kind, rates in known.items():
            together.setdefault(kind, {})[node] = median(rates)
    ratios: dict[str, list[float]] = {}
    for rates_of in together.values():
        middle = sum(rates_of.values()) / len(rates_of)
        for node, rate in rates_of.items():
            ratios.setdefault(node, []).append(rate / middle)
    return {node: median(found) for node, found in ratios.items()}


class _Calendar:
    """When a bench is open, as far as it was asked for."""

    def __init__(self, hours: Hours | None, now: datetime) -> None:
        self._hours = hours
        self._until, self._end = now, now + _HORIZON
        self._begins: list[datetime] = []
        self._ends: list[datetime] = []

    def begin(self, at: datetime) -> datetime:
        """The first moment from then on at which it takes a job; beyond a year: any."""
        if self._hours is None:
            return at
        while (found := bisect_right(self._ends, at)) == len(self._ends):
            if self._until >= self._end:
                return at
            for begin, end in openings(self._hours, self._until, self._until + _STEP):
                self._begins.append(begin)
                self._ends.append(end)
            self._until += _STEP
        return max(self._begins[found], at)


def _last_end(
    tasks: Sequence[Task], benches: Sequence[Bench], now: datetime, seconds: Sequence[float]
) -> datetime | None:
    calendars = [_Calendar(bench.hours, now) for bench in benches]
    slots: dict[frozenset[str], list[tuple[datetime, int]]] = {}
    for number, bench in enumerate(benches):
        free = [(calendars[number].begin(now), number)] * bench.slots
        slots.setdefault(bench.pools, []).extend(free)
    for heap in slots.values():
        heapq.heapify(heap)
    last = now
    for task, long in zip(tasks, seconds, strict=True):
        able = [heap for pools, heap in slots.items() if task.pool in pools and heap]
        if not able:
            if task.mine:
                return None
            continue
        heap = min(able, key=lambda one: one[0])
        begin, number = heap[0]
        if task.due is not None and task.due > begin:
            begin = calendars[number].begin(task.due)
        end = begin + timedelta(seconds=long / benches[number].speed)
        last = max(last, end) if task.mine else last
        if last - now > _HORIZON:
            return None
        heapq.heapreplace(heap, (calendars[number].begin(end), number))
    return last

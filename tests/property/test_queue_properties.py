"""The order of the queue: long jobs first, priorities before that, and nobody starves."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from darkstream.catalog.schema import turn

POINT_S = 600.0
"""Waiting this long is one point of priority."""
COSTS = st.floats(0.5, 200_000)
PRIORITIES = st.integers(0, 100)


def makespan(costs: Sequence[float], slots: int) -> float:
    """When the last job ends, where each slot takes the next one as soon as it is free."""
    free = [0.0] * slots
    for cost in costs:
        heapq.heappush(free, heapq.heappop(free) + cost)
    return max(free)


def in_turn(costs: Sequence[float]) -> list[float]:
    return sorted(costs, key=lambda cost: turn(50, 1e9, cost))


@given(costs=st.lists(COSTS, min_size=1, max_size=40), slots=st.integers(1, 8), data=st.data())
def test_no_order_is_much_quicker(costs: list[float], slots: int, data: st.DataObject) -> None:
    """Graham, "Bounds on multiprocessing timing anomalies" (1969): at most 4/3 - 1/3m of the best.

    So of any other order.
    """
    other = data.draw(st.permutations(costs))
    bound = 4 / 3 - 1 / (3 * slots)
    assert makespan(in_turn(costs), slots) <= makespan(other, slots) * bound * (1 + 1e-9)


def test_a_mixed_queue_ends_sooner() -> None:
    """A film that was found last does not begin when everything else is through."""
    clips, films = [60.0] * 120, [7200.0, 5400.0]
    as_found = makespan([*clips, *films], 2)
    assert as_found == 3600 + 7200
    assert makespan(in_turn([*clips, *films]), 2) < 0.93 * as_found
    assert makespan(in_turn([*clips, *films]), 2) <= (sum(clips) + sum(films)) / 2 + 60


@given(high=PRIORITIES, low=PRIORITIES, costs=st.tuples(COSTS, COSTS), at=st.floats(0, 4e9))
def test_priority_wins_whatever_it_costs(
    high: int, low: int, costs: tuple[float, float], at: float
) -> None:
    first, second = turn(max(high, low), at, costs[0]), turn(min(high, low), at, costs[1])
    assert high == low or first < second


@given(high=PRIORITIES, low=PRIORITIES, costs=st.tuples(COSTS, COSTS), at=st.floats(0, 4e9))
def test_who_waits_long_enough_is_next_whatever_comes(
    high: int, low: int, costs: tuple[float, float], at: float
) -> None:
    waits_s = (abs(high - low) + 1) * POINT_S
    waiting = turn(min(high, low), at, costs[0])
    assert waiting <= turn(max(high, low), at + waits_s, costs[1]) + 1e-3


def test_bulk_is_done_while_longer_and_more_urgent_work_keeps_coming() -> None:
    """Every 100 s a job of 200 s comes for one slot, more than it can do; one of bulk waits."""
    waiting = [(turn(5, 0.0, 30.0), "bulk", 30.0)]
    now, comes, begun = 0.0, 0.0, None
    while begun is None and now < 40 * 3600:
        while comes <= now:
            heapq.heappush(waiting, (turn(50, comes, 200.0), "normal", 200.0))
            comes += 100.0
        _, name, cost = heapq.heappop(waiting)
        begun = now if name == "bulk" else None
        now += cost
    assert begun is not None
    assert begun <= 2 * (50 - 5 + 1) * POINT_S + 200


@given(costs=st.tuples(COSTS, COSTS), ages=st.tuples(st.floats(0, 1e7), st.floats(0, 1e7)))
def test_of_the_same_age_the_longer_is_first(
    costs: tuple[float, float], ages: tuple[float, float]
) -> None:
    short, long = sorted(costs)
    assert turn(50, ages[0], long) <= turn(50, ages[0], short)
    assert turn(50, ages[0], long) <= turn(50, max(ages), long)

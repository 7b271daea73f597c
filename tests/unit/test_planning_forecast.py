"""The queue played through: when all is done, by slots, hours and speeds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkstream.model.forecast import Finish, Range
from darkstream.model.node import Hours, parse_windows
from darkstream.model.work import Estimate, WorkClass
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

NOW = datetime(2030, 1, 7, 12, tzinfo=UTC)
CPU = frozenset({"cpu", "control"})
NIGHTS = Hours(windows=parse_windows("22:00-06:00"), zone="UTC")
HOUR = 3600.0


def known(seconds: float, spread: float = 1.0) -> Estimate:
    low, high = seconds / spread, seconds * spread
    return Estimate(seconds=seconds, low=low, high=high, basis="node")


def task(seconds: float, *, mine: bool = True, pool: str = "cpu", spread: float = 1.0) -> Task:
    return Task(known(seconds, spread), pool, mine)


def likely(tasks: list[Task], *benches: Bench) -> float | None:
    """Hours until all of mine are done."""
    finish = finish_of(tasks, benches, NOW)
    return None if finish is None else (finish.likely - NOW).total_seconds() / HOUR


def test_slots_work_side_by_side_and_queue_up() -> None:
    assert likely([task(HOUR)] * 5, Bench(CPU, 2)) == 3
    assert likely([task(HOUR)] * 5, Bench(CPU, 2), Bench(CPU, 3)) == 1
    assert likely([], Bench(CPU, 2)) == 0


def test_what_others_wait_for_goes_first_and_ends_when_it_likes() -> None:
    others = task(2 * HOUR, mine=False)
    assert likely([others, task(HOUR)], Bench(CPU, 1)) == 3
    assert likely([task(HOUR), others], Bench(CPU, 1)) == 1


def test_a_quicker_node_does_more() -> None:
    assert likely([task(HOUR)] * 3, Bench(CPU, 1, speed=2.0), Bench(CPU, 1)) == 1


def test_work_begins_in_the_hours_and_is_finished_after_them() -> None:
    assert likely([task(HOUR)], Bench(CPU, 1, NIGHTS)) == 11
    assert likely([task(9 * HOUR)], Bench(CPU, 1, NIGHTS)) == 10 + 9
    assert likely([task(5 * HOUR)] * 3, Bench(CPU, 1, NIGHTS)) == 24 + 10 + 5
    assert likely([task(5 * HOUR)] * 3, Bench(CPU, 1, NIGHTS), Bench(CPU, 1)) == 15


def test_a_job_for_later_waits_for_its_time() -> None:
    later = Task(known(HOUR), "cpu", mine=True, due=NOW + timedelta(hours=5))
    assert likely([later], Bench(CPU, 1)) == 6
    assert likely([later], Bench(CPU, 1, NIGHTS)) == 11
    much_later = Task(known(HOUR), "cpu", mine=True, due=NOW + timedelta(days=500))
    assert likely([much_later], Bench(CPU, 1, NIGHTS)) is None


def test_what_nobody_can_do_does_not_end() -> None:
    assert likely([task(HOUR)]) is None
    assert likely([task(HOUR)], Bench(CPU, 0)) is None
    assert likely([task(HOUR, pool="gpu")], Bench(CPU, 1)) is None
    assert likely([task(HOUR, pool="gpu", mine=False), task(HOUR)], Bench(CPU, 1)) == 1
    assert likely([task(400 * 24 * HOUR)], Bench(CPU, 1)) is None


def test_what_would_take_more_than_a_year_does_not_end() -> None:
    mondays = Hours(windows=parse_windows("mon 00:00-00:01"), zone="UTC")
    weeks = [task(30 * HOUR)] * 55
    assert likely(weeks, Bench(CPU, 1, mondays)) is None


def test_the_range_is_of_jobs_that_all_take_long_or_short() -> None:
    finish = finish_of([task(HOUR, spread=2.0)] * 4, [Bench(CPU, 2)], NOW)
    hours = [NOW + timedelta(hours=number) for number in (1, 2, 4)]
    assert finish == Finish(earliest=hours[0], likely=hours[1], latest=hours[2])


def test_hours_are_summed_and_scaled() -> None:
    assert sum_of([known(HOUR, 2.0), known(HOUR)]) == Range(low=1.5, likely=2, high=3)
    half = scale(known(HOUR, 2.0), 0.5)
    assert (half.low, half.seconds, half.high, half.basis) == (900, 1800, 3600, "node")


def test_savings_follow_from_shares_and_guesses() -> None:
    assert saving_of(1000, ()) is None
    assert saving_of(1000, (0.5, 0.25, 0.5, 0.75, 0.5)) == Range(low=500, likely=500, high=500)
    few = saving_of(900, (0.5,))
    assert few is not None and few.low < few.likely == 450 < few.high
    guess = guess_saving(1000, 600)
    assert (guess.low, guess.likely, guess.high) == (pytest.approx(100), 400, pytest.approx(600))


def test_nodes_are_compared_by_like_work_alone() -> None:
    hd, sd = WorkClass(encoder="libx264", size="hd"), WorkClass(encoder="libx264", size="sd")
    speeds = {"quick": {hd: (3.0,) * 3}, "slow": {hd: (1.0,), sd: (7.0,)}}
    assert relative_speeds(speeds) == {"quick": 1.5, "slow": 0.75}
    assert relative_speeds({}) == {}


@given(
    seconds=st.lists(st.floats(1, 50_000), min_size=1, max_size=30),
    slots=st.integers(1, 4),
    spread=st.floats(1, 3),
)
def test_no_slot_is_left_idle_and_the_range_holds_what_is_likely(
    seconds: list[float], slots: int, spread: float
) -> None:
    tasks = [task(one, spread=spread) for one in seconds]
    finish = finish_of(tasks, [Bench(CPU, slots)], NOW)
    assert finish is not None
    assert NOW < finish.earliest <= finish.likely <= finish.latest
    wall = (finish.likely - NOW).total_seconds() + 1e-3
    assert wall >= max(*seconds, sum(seconds) / slots) - 1
    assert wall <= sum(seconds) / slots + max(seconds) + 1

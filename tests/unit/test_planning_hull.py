"""Rungs of a ladder that add nothing are left out, and said to be."""

from __future__ import annotations

from fixtures_planning import media_info, proved, video_stream
from hypothesis import given
from hypothesis import strategies as st

from darkstream.model.plan import EncodePlan
from darkstream.planning import make_plan, validate
from darkstream.planning.hull import Point, choose_rungs, drop_rungs
from darkstream.planning.presets import load_preset

points = st.lists(st.tuples(st.integers(1, 10**7), st.floats(0, 100)), min_size=1, max_size=7).map(
    lambda found: {n: Point(*one) for n, one in enumerate(found)}
)


def test_rungs_on_a_hull_stay() -> None:
    ladder = {0: Point(4000, 95), 1: Point(2000, 88), 2: Point(1000, 75), 3: Point(400, 50)}
    assert choose_rungs(ladder) == (0, 1, 2, 3)


def test_a_rung_below_the_line_between_its_neighbours_goes() -> None:
    assert choose_rungs({0: Point(900, 95), 1: Point(700, 88), 2: Point(300, 75)}) == (0, 2)


def test_a_rung_that_takes_more_or_shows_less_goes() -> None:
    assert choose_rungs({0: Point(900, 95), 1: Point(950, 88)}) == (0,)
    assert choose_rungs({0: Point(900, 95), 1: Point(500, 70), 2: Point(400, 71)}) == (0, 2)
    assert choose_rungs({0: Point(900, 60), 1: Point(500, 70)}) == (0, 1)


def test_the_one_of_two_rungs_with_the_same_rate_that_shows_more_stays() -> None:
    assert choose_rungs({0: Point(900, 95), 1: Point(500, 70), 2: Point(500, 71)}) == (0, 2)


@given(points)
def test_the_largest_stays_and_no_rung_that_went_is_above_those_that_stayed(
    found: dict[int, Point],
) -> None:
    kept = choose_rungs(found)
    assert kept[0] == 0 and list(kept) == sorted(set(kept))
    line = sorted((found[n] for n in kept), key=lambda point: point.bit_rate)
    rates = [point.bit_rate for point in line]
    assert rates == sorted(set(rates)) and rates[-1] == found[0].bit_rate
    for number in found.keys() - set(kept):
        assert found[number].bit_rate >= line[0].bit_rate
    least = min(found.values())
    assert line[0].bit_rate == min(least.bit_rate, found[0].bit_rate)


def test_a_plan_without_it_says_so() -> None:
    media = media_info(video_stream(codec="mpeg4"))
    wish = load_preset("abr", changes=("video.quality={vmaf: 95}",))
    plan = make_plan(media, wish, proved(filters=("libvmaf",)), validate(media))
    assert isinstance(plan, EncodePlan)
    names = [video.name for video in plan.renditions]
    ladder = {n: Point(4000 // (n + 1), 95 - 10 * n * n) for n in range(len(names))}
    ladder[1] = Point(3000, 60)
    ladder[2] = Point(5000, 60)
    found = drop_rungs(plan, ladder)
    assert [video.name for video in found.renditions] == [names[0], *names[3:]]
    assert found.expect.video_streams == len(names) - 2
    first, second = found.findings[-2:]
    assert first.message.startswith(f"{names[1]} is left out: at {names[0]}'s size it has VMAF 60")
    assert "the rungs beside it" in first.message and "takes no more" in second.message
    assert drop_rungs(plan, {0: Point(1, 1)}) == plan

"""The search for a quality on made-up curves: few probes, near the target, always at an end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from darkstream.model.plan import Probe, Target
from darkstream.planning.quality import Scale, best_probe, next_quality

X264 = Scale(8, 42, 0.25, 24, 4.5)
Curve = Callable[[float], float]


def curve(at: float, halves: float, bend: float) -> Curve:
    """VMAF over the scale: 95 at `at`, twice as far from 100 `halves` steps later, bent a little.

    `bend`: the share by which the steps are longer or shorter ten steps away.
    """

    def score(quality: float) -> float:
        away = quality - at
        return max(0.0, 100 - 5 * 2 ** (away * (1 + bend * away / 10) / halves))

    return score


def search(score: Curve, target: Target, guess: float | None, scale: Scale = X264) -> list[Probe]:
    probes: list[Probe] = []
    while (quality := next_quality(target, scale, probes, guess)) is not None:
        assert scale.least <= quality <= scale.most
        assert quality not in {probe.quality for probe in probes}
        probes.append(Probe(quality=quality, score=score(quality), bit_rate=1))
    return probes


@given(
    at=st.floats(14, 36),
    halves=st.floats(2.5, 8),
    bend=st.floats(-0.1, 0.1),
    wanted=st.floats(88, 98),
    off=st.floats(-2, 2),
)
def test_three_probes_are_enough_after_a_good_guess(
    at: float, halves: float, bend: float, wanted: float, off: float
) -> None:
    score = curve(at, halves, bend)
    grid = [8 + 0.25 * n for n in range(137)]
    assume(all(score(a) >= score(b) for a, b in pairwise(grid)))
    there = min(grid, key=lambda quality: abs(score(quality) - wanted))
    assume(abs(score(there) - wanted) < 0.2 and 12 <= there <= 38)
    target = Target(metric="vmaf", score=wanted)
    probes = search(score, target, there + off)
    found = best_probe(target, probes)
    assert abs(found.score - wanted) <= 0.5
    assert len(probes) <= 3


@given(
    drops=st.lists(st.floats(0, 3), min_size=137, max_size=137),
    wanted=st.floats(20, 99),
    guess=st.floats(0, 60),
)
def test_any_falling_curve_is_searched_to_an_end(
    drops: list[float], wanted: float, guess: float
) -> None:
    levels = [100.0]
    for drop in drops:
        levels.append(max(0.0, levels[-1] - drop))
    target = Target(metric="vmaf", score=wanted)
    probes = search(lambda quality: levels[round((quality - 8) * 4)], target, guess)
    assert 1 <= len(probes) <= 6
    found = best_probe(target, probes)
    nearest = min(abs(probe.score - wanted) for probe in probes)
    assert abs(found.score - wanted) <= nearest + 0.125


@given(level=st.floats(30, 90), at=st.floats(10, 40))
def test_under_a_ceiling_the_cheapest_of_what_is_alike_is_taken(level: float, at: float) -> None:
    target = Target(metric="vmaf", score=95)
    free = curve(at, 4.5, 0)
    probes = search(lambda quality: min(level, free(quality)), target, 24)
    found = best_probe(target, probes)
    assert found.score >= max(probe.score for probe in probes) - 0.5
    alike = [probe for probe in probes if probe.score >= found.score]
    assert found.quality == max(probe.quality for probe in alike)

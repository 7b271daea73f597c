"""Which rungs of a ladder are worth their bits with this very film.

Each rung is a point: the rate it takes, and how good it looks at the size of the largest. A rung
below the upper convex hull of them adds nothing: a player that takes turns between its neighbours
shows a better picture for the same bits.

Source: De Cock, Li, Manohara, Aaron: Complexity-based consistent-quality encoding in the cloud,
ICIP 2016 (per-title encoding).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from darkstream.model.media import Finding, Severity
from darkstream.model.plan import EncodePlan, VideoEncode
from darkstream.planning.targets import say_score


class Point(NamedTuple):
    """A rung as measured: bit/s, and its score at the size of the largest rung."""

    bit_rate: int
    score: float


def choose_rungs(points: Mapping[int, Point]) -> tuple[int, ...]:
    """The numbers of the rungs on the upper hull, in order; number 0, the largest, is one of them.

    So is the one that takes the least: somebody's line carries no more.
    """
    top = points[0]
    below = [n for n, point in points.items() if n and point.bit_rate < top.bit_rate]
    hull: list[int] = []
    below.sort(key=lambda n: (points[n].bit_rate, -points[n].score))
    for number in (*below, 0):
        while len(hull) > 1 and not _bends_down(*(points[n] for n in (*hull[-2:], number))):
            hull.pop()
        if not hull or points[number].score > points[hull[-1]].score or number == 0:
            hull.append(number)
    return tuple(sorted(hull))


def drop_rungs(plan: EncodePlan, points: Mapping[int, Point]) -> EncodePlan:
    """The plan without the rungs that add nothing, and a finding on each of them."""
    kept = choose_rungs(points)
    dropped = sorted(points.keys() - set(kept))
    renditions = tuple(
        video for number, video in enumerate(plan.renditions) if number not in dropped
    )
    findings = tuple(_tell(plan, points, number) for number in dropped)
    expect = plan.expect.model_copy(update={"video_streams": len(renditions)})
    changed = {"renditions": renditions, "findings": plan.findings + findings, "expect": expect}
    return plan.model_copy(update=changed)


def _bends_down(left: Point, middle: Point, right: Point) -> bool:
    """Whether the middle lies above the line between the others."""
    return (middle.score - left.score) * (right.bit_rate - left.bit_rate) > (
        right.score - left.score
    ) * (middle.bit_rate - left.bit_rate)


def _tell(plan: EncodePlan, points: Mapping[int, Point], number: int) -> Finding:
    video, top = plan.renditions[number], plan.renditions[0]
    point, best = points[number], points[0]
    metric = video.target.metric if isinstance(video, VideoEncode) and video.target else "vmaf"
    told = f"{video.name} is left out: at {top.name}'s size it has {say_score(metric, point.score)}"
    rate = f" with {point.bit_rate // 1000} kbit/s"
    if point.bit_rate >= best.bit_rate:
        why = f", and {top.name} takes no more ({best.bit_rate // 1000} kbit/s)"
    else:
        why = ", less than the rungs beside it have for the same bits"
    return Finding(code="rung-dropped", severity=Severity.ok, message=told + rate + why)

"""Quality targets: what is aimed at on a node, what is tried, and what is said of it."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from fixtures_planning import encode_of, media_info, proved, video_stream

from darkstream.errors import CapabilityMissing
from darkstream.model.encoded import Score
from darkstream.model.plan import EncodePlan, Probe, Target, VideoCopy
from darkstream.model.preset import Metric
from darkstream.planning import fingerprint, make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.planning.quality import (
    Excerpt,
    best_probe,
    choose_excerpts,
    is_open,
    learn_qualities,
    next_quality,
    recall_quality,
    scale_of,
    settle,
)
from darkstream.planning.targets import has_targets, is_drawn, judge_score, tell_targets

ALL = ("libvmaf", "xpsnr", "ssim", "zscale", "tonemap")
VMAF = Target(metric="vmaf", score=95)


def plan_of(
    *changes: str,
    name: str = "web",
    filters: tuple[str, ...] = ALL,
    duration: str | None = "10",
    **stream: object,
) -> EncodePlan:
    wish = ("video.quality={vmaf: 95}", *changes)
    seen = video_stream(codec="mpeg4", duration=duration, **stream)
    media = media_info(seen, duration=duration)
    capabilities = proved("h264_nvenc", filters=filters)
    plan = make_plan(media, load_preset(name, changes=wish), capabilities, validate(media))
    assert isinstance(plan, EncodePlan), plan
    return plan


def probe(quality: float, score: float) -> Probe:
    return Probe(quality=quality, score=score, bit_rate=1000)


def next_of(*probes: tuple[float, float], target: Target = VMAF) -> int | float | None:
    scale = scale_of(encode_of(plan_of()))
    return next_quality(target, scale, [probe(*one) for one in probes])


def test_a_plan_says_what_is_still_to_be_found() -> None:
    plan = plan_of()
    video = encode_of(plan)
    assert is_open(plan) and has_targets(plan) and video.quality is None
    assert video.target == Target(metric="vmaf", score=95, model="vmaf_v0.6.1")
    fixed = plan_of("video.quality=20")
    assert tell_targets(plan.renditions, load_preset("web").video) == ()
    assert not is_open(fixed) and not has_targets(fixed) and encode_of(fixed).target is None


def test_large_pictures_are_judged_as_on_a_large_screen() -> None:
    big = ("video.max_width=3840", "video.max_height=2160")
    target = encode_of(plan_of(*big, width=3840, height=2160)).target
    assert target is not None and target.model == "vmaf_4k_v0.6.1"


@pytest.mark.parametrize(
    ("filters", "metric", "score"),
    [(("xpsnr", "ssim"), "xpsnr", 40.0), (("ssim",), "ssim", 0.989)],
)
def test_without_vmaf_the_same_wish_is_measured_otherwise_and_that_is_said(
    filters: tuple[str, ...], metric: Metric, score: float
) -> None:
    plan = plan_of(filters=filters)
    assert encode_of(plan).target == Target(metric=metric, score=score)
    (said,) = [one for one in plan.findings if one.code == "quality-metric-changed"]
    assert "instead of VMAF 95" in said.message


def test_between_known_scores_the_other_metric_is_interpolated() -> None:
    target = encode_of(plan_of("video.quality={vmaf: 96}", filters=("xpsnr",))).target
    assert target is not None and target.score == 41.0


@pytest.mark.parametrize("wish", ["{vmaf: 95}", "{xpsnr: 40}", "{ssim: 0.99}"])
def test_a_node_that_cannot_measure_says_so(wish: str) -> None:
    filters = () if "vmaf" in wish else ("libvmaf",)
    with pytest.raises(CapabilityMissing, match="has no filter"):
        plan_of(f"video.quality={wish}".replace("{", "{vmaf: null, "), filters=filters)


@pytest.mark.parametrize("wish", ["{vmaf: null, xpsnr: 40}", "{vmaf: null, ssim: 0.99}"])
def test_another_metric_can_be_wished(wish: str) -> None:
    plan = plan_of(f"video.quality={wish}")
    target = encode_of(plan).target
    assert target is not None and target.model is None and target.metric in wish
    assert not [one for one in plan.findings if one.code == "quality-metric-changed"]


def test_what_a_figure_of_hdr_is_worth_is_said() -> None:
    colour = {"transfer": "smpte2084", "primaries": "bt2020", "matrix": "bt2020nc", "range": "tv"}
    ten = {"pix_fmt": "yuv420p10le", "bit_depth": 10, "hdr": "hdr10", "colour": colour}
    kept = plan_of("video.hdr=keep", "video.bit_depth=10", name="hevc", **ten)
    assert "quality-of-hdr" in {one.code for one in kept.findings}
    mapped = plan_of(**ten)
    assert "quality-of-hdr" not in {one.code for one in mapped.findings}


@pytest.mark.parametrize(("codec", "at"), [("hevc", 25), ("av1", 36), ("vp9", 34), ("vvc", 30)])
def test_the_search_begins_where_ordinary_film_is_as_wished(codec: str, at: float) -> None:
    speed = {"hevc": "medium", "vvc": "fast"}.get(codec, "6")
    plan = plan_of(
        f"video.codec={codec}",
        f"video.speed='{speed}'",
        f"video.bit_depth={10 if codec == 'vvc' else 8}",
        *(("container=webm", "audio.codec=opus") if codec == "vp9" else ()),
    )
    assert next_quality(VMAF, scale_of(encode_of(plan)), []) == at


def test_hardware_has_whole_steps() -> None:
    plan = plan_of("video.hardware=require")
    assert next_quality(VMAF, scale_of(encode_of(plan)), [], 22.6) == 23


def test_it_goes_on_from_a_better_guess() -> None:
    scale = scale_of(encode_of(plan_of()))
    assert next_quality(VMAF, scale, [], 21.13) == 21.25
    assert next_quality(VMAF, scale, [], 70) == scale.most


def test_it_ends_at_the_target_between_neighbours_and_after_six() -> None:
    assert next_of((24, 95.2)) is None
    assert next_of((24, 95.4), (24.25, 94.6)) is None
    assert next_of(*((10 + n, 90 - n) for n in range(6))) is None
    assert next_of((24, 96), (23, 94)) is None  # noise: what spends more is worse


def test_it_interpolates_and_stays_inside_what_was_tried() -> None:
    assert next_of((24, 90)) == 19.5
    between = next_of((20, 97.5), (28, 90))
    assert between is not None and 22 < between < 26
    edge = next_of((20, 99.99), (28, 94.7))
    assert edge is not None and 20 < edge < 28
    late = next_of((20, 99.99), (28, 92), (27, 93.5))
    assert late is not None and 20 < late <= 26.25


def test_it_goes_to_the_end_of_the_scale_and_not_further() -> None:
    assert next_of((9, 60)) == 8
    assert next_of((8, 60)) is None
    assert next_of((42, 99)) is None


def test_a_ceiling_ends_the_search() -> None:
    assert next_of((24, 90), (19.5, 90.1)) is None
    found = best_probe(VMAF, [probe(24, 90), probe(19.5, 90.1)])
    assert found.quality == 24


def test_the_nearest_is_taken() -> None:
    tried = [probe(20, 97), probe(24, 94.9), probe(28, 90)]
    assert best_probe(VMAF, tried).quality == 24


def test_other_metrics_are_searched_on_their_own_scales() -> None:
    for target, score in (
        (Target(metric="xpsnr", score=40), 41.2),
        (Target(metric="ssim", score=0.989), 0.992),
    ):
        further = next_of((24, score), target=target)
        assert further is not None and 24.5 < further < 32


def test_a_short_film_is_looked_at_whole_and_a_long_one_in_places() -> None:
    rate = Fraction(25)
    assert choose_excerpts(plan_of(), rate) == (Excerpt(Fraction(0), None),)
    assert choose_excerpts(plan_of(duration=None), rate) == (Excerpt(Fraction(0), 1250),)
    places = choose_excerpts(plan_of(duration="1200"), rate)
    assert len(places) == 10 and {one.frames for one in places} == {63}
    assert (places[0].start, places[-1].start) == (60, Fraction(11375, 10))
    steps = {later.start - one.start for one, later in pairwise(places)}
    assert steps == {Fraction(10775, 90)}


def test_what_was_found_is_in_the_plan_and_names_it() -> None:
    plan = plan_of()
    probes = [probe(24, 93), probe(22, 95.1)]
    found = settle(plan, {0: probes})
    video = encode_of(found)
    assert (video.quality, video.probes) == (22, tuple(probes)) and not is_open(found)
    assert fingerprint(found) != fingerprint(plan)
    other = settle(plan, {0: [probe(22, 95.1)]})
    assert fingerprint(found) == fingerprint(other)
    (said,) = [one for one in found.findings if one.code == "quality-found"]
    assert said.message == "video: quality 22 gave VMAF 95.1 on samples (2 probes)"
    assert "(1 probe)" in other.findings[-1].message


@pytest.mark.parametrize(
    ("score", "ceiling", "why"),
    [
        (99.0, "null", "no setting that is taken is as bad as VMAF 95"),
        (80.0, "null", "VMAF 95 is not reached by any setting that is taken"),
        (80.0, "500000", "VMAF 95 is not reached within 500 kbit/s"),
    ],
)
def test_a_target_out_of_reach_is_told(score: float, ceiling: str, why: str) -> None:
    plan = plan_of(f"video.max_bit_rate={ceiling}")
    (said,) = settle(plan, {0: [probe(8, score)]}).findings[-1:]
    assert said.code == "quality-not-reached" and said.message.endswith(why)


def test_only_what_has_a_target_is_settled() -> None:
    with pytest.raises(ValueError, match="video has no target"):
        settle(plan_of("video.quality=20"), {0: [probe(20, 95)]})
    copied = plan_of().model_copy(
        update={"renditions": (VideoCopy(name="video", source_index=0, codec="h264"),)}
    )
    assert not is_open(copied) and not has_targets(copied)


@pytest.mark.parametrize(
    ("metric", "target", "score", "code", "told"),
    [
        ("vmaf", 95, 94.1, "quality-reached", "VMAF 94.1"),
        ("vmaf", 95, 93.9, "quality-missed", "VMAF 93.9"),
        ("xpsnr", 40, 40.5, "quality-missed", "XPSNR 40.5 dB"),
        ("ssim", 0.989, 0.988, "quality-reached", "SSIM 0.9880"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_became_of_it_is_told(
    metric: Metric, target: float, score: float, code: str, told: str, whole: bool
) -> None:
    seen = Score(rendition="video", metric=metric, score=score, target=target, whole=whole)
    finding = judge_score(seen)
    assert finding.code == code and told in finding.message
    assert ("over the whole film" in finding.message) is whole


def test_what_is_drawn_on_has_no_original() -> None:
    assert not is_drawn(plan_of())
    assert is_drawn(plan_of("overlay={text: mine}"))


def test_what_earlier_jobs_ended_with_is_where_the_next_begins() -> None:
    plans = [settle(plan_of(), {0: [probe(at, 95)]}) for at in (20, 26.5, 21)]
    stored = [plan.model_dump(mode="json") for plan in plans]
    fixed = plan_of("video.quality=40").model_dump(mode="json")
    hints = learn_qualities([*stored, fixed, plan_of().model_dump(mode="json"), {"reason": "skip"}])
    (hint,) = hints
    assert (hint.rendition, hint.encoder, hint.quality) == ("video", "libx264", 21)
    assert recall_quality(encode_of(plan_of()), hints) == 21
    other = encode_of(plan_of("video.quality={vmaf: 90}"))
    assert recall_quality(other, hints) is None

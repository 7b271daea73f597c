"""Commands that encode a part as planned, and hold pictures against those the encoder was given."""

from __future__ import annotations

from fractions import Fraction

import pytest
from fixtures_planning import media_info, proved, video_stream

from darkstream.media.command import convert_command
from darkstream.media.command.excerpt import Made, excerpt_command, score_command
from darkstream.media.evidence import ScoreReader
from darkstream.model.plan import EncodePlan, VideoCopy
from darkstream.model.preset import Metric
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.planning.quality import Excerpt, settle

PLACE, WHOLE = Excerpt(Fraction(7, 2), 125), Excerpt(Fraction(0), None)
MADE = Made(b"/job/sample.mp4", "mov,mp4", 1)


def plan_of(name: str = "web", **stream: object) -> EncodePlan:
    media = media_info(video_stream(codec="mpeg4", **stream))
    wish = load_preset(name, changes=("video.quality={vmaf: 95}",))
    plan = make_plan(media, wish, proved(filters=("libvmaf", "bwdif")), validate(media))
    assert isinstance(plan, EncodePlan)
    return plan


def sample(
    plan: EncodePlan, qualities: dict[int, int | float], excerpt: Excerpt = PLACE
) -> list[str]:
    words = excerpt_command(
        plan,
        excerpt,
        qualities,
        program=b"ffmpeg",
        source=b"/films/a\xe9.avi",
        output=b"/job/sample.mp4",
        max_pixels=1000,
    )
    return [word.decode("utf-8", "backslashreplace") for word in words]


def score(plan: EncodePlan, number: int = 0, excerpt: Excerpt = PLACE) -> list[str]:
    words = score_command(
        plan, excerpt, number, program=b"ffmpeg", source=b"/films/a", made=MADE, max_pixels=1000
    )
    return [word.decode() for word in words]


def after(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_a_sample_is_encoded_by_the_plans_own_options() -> None:
    plan = plan_of()
    words = sample(plan, {0: 22.25})
    assert after(words, "-crf:v:0") == "22.25" and after(words, "-frames:v") == "125"
    assert after(words, "-ss") == "3.500" and "-noaccurate_seek" in words
    assert words[-1] == "file:/job/sample.mp4" and "file:/films/a\\xe9.avi" in words
    whole = convert_command(
        plan.model_copy(
            update={
                "renditions": tuple(
                    one.model_copy(update={"quality": 22.25}) for one in plan.renditions
                )
            }
        ),
        program=b"ffmpeg",
        source=b"/films/a",
        directory=b"/job",
        max_pixels=1000,
    )
    options = [word.decode() for word in whole if word.endswith(b":v:0")]
    options.remove("-disposition:v:0")
    assert options and all(option in words for option in options)
    for option in options:
        assert after(words, option) == after([word.decode() for word in whole], option)


def test_all_of_a_short_film_needs_no_seek() -> None:
    words = sample(plan_of(), {0: 20}, WHOLE)
    assert "-ss" not in words and "-frames:v" not in words
    assert "trim" not in after(score(plan_of(), excerpt=WHOLE), "-filter_complex")


def test_only_the_renditions_that_are_sought_are_encoded() -> None:
    plan = plan_of("abr")
    assert len(plan.renditions) > 2
    words = sample(plan, {1: 24, 2: 26})
    assert (after(words, "-crf:v:0"), after(words, "-crf:v:1")) == ("24", "26")
    assert "-crf:v:2" not in words and "split=2" in after(words, "-filter_complex")
    assert "-force_key_frames:v:0" in words
    alone = after(sample(plan, {2: 26}), "-filter_complex")
    assert "split" not in alone and alone.count("scale=") == 3


def test_both_sides_are_counted_and_paired_by_number() -> None:
    words = score(plan_of(pix_fmt="yuv420p", field_order="tff"))
    told = after(words, "-filter_complex")
    assert told.count("setpts=expr=N") == 2 and told.count("settb=") == 2
    assert "bwdif" in told and "trim=end_frame=125" in told
    assert "libvmaf=model=version" in told and "vmaf_v0.6.1" in told
    assert [words[n + 1] for n, word in enumerate(words) if word == "-i"] in (
        ["file:/films/a", "file:/job/sample.mp4"],
        ["file:/job/sample.mp4", "file:/films/a"],
    )
    assert "v:1" in told and words.count("-map") == 3


def test_a_rung_is_seen_at_the_size_of_the_largest() -> None:
    plan = plan_of("abr")
    words = score_command(
        plan,
        WHOLE,
        2,
        program=b"ffmpeg",
        source=b"/films/a",
        made=Made(b"/job/sample.mp4", "mov,mp4", 2, enlarged=True),
        max_pixels=1000,
    )
    told = after([word.decode() for word in words], "-filter_complex")
    assert "v:2]scale=flags=bicubic:h=720:w=1280" in told
    assert told.count("scale=") == 2


def test_only_a_target_is_scored_and_only_encodes_have_pictures_of_their_own() -> None:
    plan = plan_of()
    fixed = plan.renditions[0].model_copy(update={"target": None})
    with pytest.raises(ValueError, match="has no target"):
        score(plan.model_copy(update={"renditions": (fixed,)}))
    kept = VideoCopy(name="video", source_index=0, codec="h264")
    copied = plan.model_copy(update={"renditions": (kept,)})
    with pytest.raises(ValueError, match="is copied, not encoded"):
        sample(copied, {0: 20})


def test_a_plan_is_not_encoded_before_its_quality_was_found() -> None:
    with pytest.raises(ValueError, match="was not searched yet"):
        convert_command(
            plan_of(), program=b"ffmpeg", source=b"/a", directory=b"/job", max_pixels=1000
        )
    found = settle(plan_of(), {})
    assert found == plan_of()


def test_scores_are_read_from_what_ffmpeg_says() -> None:
    assert hear("vmaf", "[Parsed_libvmaf_5 @ 0x7] VMAF score: 94.25") == [94.25]
    whole = "[x] SSIM Y:0.99 (20) U:0.9 (1) V:0.9 (1) All:0.9856 (18.3)"
    assert hear("ssim", whole, "frame= 10", whole) == [0.9856, 0.9856]
    planes = "[x] XPSNR  y: 40.0  u: 44.0  v: inf  (minimum: 40.0)"
    assert hear("xpsnr", planes) == [(6 * 40 + 44 + 100) / 8]
    assert hear("vmaf", "frame= 10") == []


def test_a_score_is_read_though_another_thread_speaks_in_between() -> None:
    told = ("[x] XPSNR  y: 40.0[out#0/null @ 0x1] video:12KiB audio:0KiB", "  u: 44.0", "  v: inf")
    assert hear("xpsnr", *told, "[x] bye") == [(6 * 40 + 44 + 100) / 8]
    told = ("[x] SSIM Y:0.99 (20) U:0.9 (1)[out#0/null @ 0x1] video:12KiB", " V:0.9 (1) All:0.98")
    assert hear("ssim", *told) == [0.98]


def hear(metric: Metric, *lines: str) -> list[float]:
    reader = ScoreReader(metric)
    return [score for score in map(reader.hear, lines) if score is not None]

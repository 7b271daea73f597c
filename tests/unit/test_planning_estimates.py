from __future__ import annotations

import pytest
from fixtures_planning import audio_stream, media_info, proved, video_stream

from darkstream.model.media import MediaInfo
from darkstream.model.plan import EncodePlan
from darkstream.model.work import Work
from darkstream.planning import (
    estimate_bytes,
    estimate_seconds,
    estimate_work,
    make_plan,
    validate,
)
from darkstream.planning.presets import load_preset


def estimate(media: MediaInfo, preset: str) -> int:
    plan = make_plan(media, load_preset(preset), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    return estimate_bytes(plan, media)


def test_a_remux_is_as_large_as_its_source() -> None:
    assert estimate(media_info(video_stream(), faststart=False), "web") == 1_000_000


def test_an_encode_grows_with_its_pixels() -> None:
    small = estimate(media_info(video_stream(codec="vp8", width=320, height=180)), "web")
    large = estimate(media_info(video_stream(codec="vp8")), "web")
    assert 0 < small < large


def test_better_codecs_make_less() -> None:
    media = media_info(video_stream(codec="mpeg4"))
    assert estimate(media, "hevc") < estimate(media, "web")


def test_a_ceiling_is_a_ceiling() -> None:
    media = media_info(video_stream(codec="vp8", width=1280, height=720, average_rate="60"))
    assert estimate(media, "mobile") <= 2_500_000 * 10 / 8


@pytest.mark.parametrize("bit_rate", [800_000, None])
def test_copied_video_keeps_its_rate(bit_rate: int | None) -> None:
    media = media_info(video_stream(bit_rate=bit_rate), audio_stream(codec="ac3"))
    assert estimate(media, "web") == pytest.approx(1_000_000 + 160_000, rel=0.05)


def test_nothing_is_promised_where_the_duration_is_unknown() -> None:
    stream = video_stream(duration=None)
    media = media_info(stream, audio_stream(codec="ac3")).model_copy(update={"duration": None})
    assert estimate(media, "web") == 0


def seconds(source_bytes: int, preset: str) -> float:
    return estimate_seconds(source_bytes, load_preset(preset)).seconds


def test_seconds_grow_with_the_source_and_the_codec() -> None:
    assert seconds(0, "web") < seconds(10**9, "web") < seconds(10**9, "hevc")
    assert seconds(10**9, "web") < seconds(10**9, "abr")
    assert seconds(10**9, "audio") == pytest.approx(500.5)


def test_what_was_measured_is_believed_before_what_is_guessed() -> None:
    web = load_preset("web")
    guess = estimate_seconds(10**6, web)
    assert (guess.basis, guess.high > 2 * guess.seconds) == ("table", True)
    like = estimate_seconds(10**6, web, like=(1e5,) * 5)
    mine = estimate_seconds(10**6, web, like=(1e5,) * 5, library=(2e5,) * 5)
    assert (like.basis, like.seconds) == ("preset", pytest.approx(10.5))
    assert (mine.basis, mine.seconds) == ("library", pytest.approx(5.5))
    assert mine.low == mine.high == mine.seconds


def test_planned_work_takes_what_it_took_on_this_node() -> None:
    work = Work(encoder="libx264", speed="medium", size="hd", codec="h264", amount=6e8)
    assert estimate_work(work).basis == "table"
    known = estimate_work(work, (2e7, 3e7, 3e7, 3e7, 9e7))
    assert (known.basis, known.seconds) == ("node", pytest.approx(20.5))
    assert known.low <= known.seconds <= known.high
    copied = Work(encoder="copy", codec="copy", amount=1e9)
    sound = Work(encoder="aac", codec="aac", amount=4000)
    assert (estimate_work(copied).seconds, estimate_work(sound).seconds) == (20.5, 100.5)

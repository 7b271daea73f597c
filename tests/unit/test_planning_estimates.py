from __future__ import annotations

import pytest
from fixtures_planning import audio_stream, media_info, proved, video_stream

from darkstream.model.media import MediaInfo
from darkstream.model.plan import EncodePlan
from darkstream.planning import estimate_bytes, estimate_seconds, make_plan, validate
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


def test_seconds_grow_with_the_source_and_the_codec() -> None:
    web, hevc, abr, sound = (load_preset(name) for name in ("web", "hevc", "abr", "audio"))
    assert estimate_seconds(0, web) < estimate_seconds(10**9, web) < estimate_seconds(10**9, hevc)
    assert estimate_seconds(10**9, web) < estimate_seconds(10**9, abr)
    assert estimate_seconds(10**9, sound) == pytest.approx(500.5)

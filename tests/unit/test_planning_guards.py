from __future__ import annotations

from fractions import Fraction

import pytest
from fixtures_planning import media_info, proved, video_stream
from hypothesis import given
from hypothesis import strategies as st

from darkstream.model.plan import Skip
from darkstream.model.preset import Guards
from darkstream.planning import make_plan, validate
from darkstream.planning.estimates import outgrows
from darkstream.planning.presets import load_preset


def _decide(guards: Guards, **stream: object) -> object:
    media = media_info(video=video_stream(codec="mpeg4", **stream))
    media = media.model_copy(update={"size_bytes": 5_000_000, "duration": Fraction(100)})
    preset = load_preset("web").model_copy(update={"guards": guards})
    return make_plan(media, preset, proved(), validate(media))


@pytest.mark.parametrize(
    ("guards", "why"),
    [
        ({"skip_codecs": ("mpeg4",)}, "its video is MPEG-4"),
        ({"min_bytes": 5_000_001}, "it is 5 000 000 bytes, less than 5 000 001"),
        ({"max_bytes": 4_999_999}, "it is 5 000 000 bytes, more than 4 999 999"),
        ({"min_seconds": Fraction(201, 2)}, "it is 100 seconds, less than 100.5"),
        ({"max_seconds": Fraction(99)}, "it is 100 seconds, more than 99"),
        ({"min_height": 721}, "it is 720 pixels high, less than 721"),
        ({"max_height": 719}, "it is 720 pixels high, more than 719"),
        ({"min_bit_rate": 400_001}, "it spends 400 kbit/s, less than 400.001"),
    ],
)
def test_a_source_outside_is_left_alone_and_the_reason_says_why(
    guards: dict[str, object], why: str
) -> None:
    decision = _decide(Guards.model_validate({**guards, "on_skip": "link"}), width=1280, height=720)
    assert isinstance(decision, Skip)
    assert decision.reason == f"left alone as the preset says: {why}"
    assert decision.on_skip == "link"


def test_the_limits_themselves_are_inside() -> None:
    guards = Guards(
        skip_codecs=("hevc",),
        min_bytes=5_000_000,
        max_bytes=5_000_000,
        min_seconds=Fraction(100),
        max_seconds=Fraction(100),
        min_height=720,
        max_height=720,
        min_bit_rate=400_000,
    )
    assert not isinstance(_decide(guards, width=1280, height=720), Skip)


def test_the_shorter_side_counts_also_of_portraits() -> None:
    decision = _decide(Guards(min_height=1000), width=1280, height=720, rotation=90)
    assert isinstance(decision, Skip)


@pytest.mark.parametrize(
    ("done", "size", "clear"),
    [
        (0.05, 1000, False),
        (0.1, 21, True),
        (0.1, 20, False),
        (0.3, 43, True),
        (0.3, 41, False),
        (0.6, 70, True),
        (0.6, 68, False),
        (0.9, 93, True),
        (0.9, 92, False),
    ],
)
def test_it_is_clear_sooner_the_more_it_is_too_large(done: float, size: int, clear: bool) -> None:
    assert outgrows(size, done, 100) is clear


@given(st.floats(0.1, 1), st.integers(1, 10**9), st.integers(1, 10**9))
def test_what_would_be_small_enough_is_never_given_up(done: float, size: int, allowed: int) -> None:
    if size / done <= allowed:
        assert not outgrows(size, done, allowed)

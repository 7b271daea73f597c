from __future__ import annotations

from fractions import Fraction

import pytest
from fixtures_planning import video_stream

from darkstream.model.preset import Rung
from darkstream.planning.ladder import make_ladder
from darkstream.planning.picture import display_size, fit, has_square_pixels, within

HD = (1920, 1080)
RUNGS = tuple(Rung(height=h, max_bit_rate=h * 1000) for h in (360, 1080, 720))


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({}, (1280, 720)),
        ({"width": 720, "height": 576, "sar": "64/45"}, (1024, 576)),
        ({"width": 1440, "height": 1080, "sar": "4/3", "rotation": 90}, (1080, 1920)),
        ({"width": 720, "height": 480, "sar": "8/9"}, (720, 540)),
        ({"sar": 0}, (1280, 720)),
    ],
)
def test_display_size(changes: dict[str, object], size: tuple[int, int]) -> None:
    assert display_size(video_stream(**changes)) == size


@pytest.mark.parametrize(
    ("size", "box", "wanted"),
    [
        ((3840, 2160), HD, (1920, 1080)),
        ((2160, 3840), HD, (1080, 1920)),
        ((161, 121), HD, (160, 120)),
        ((1920, 803), (1280, 720), (1280, 536)),
        ((1, 1), HD, (2, 2)),
        ((1280, 534), (1280, 720), (1280, 534)),
        ((2000, 1000), (1001, 1001), (1000, 500)),
    ],
)
def test_fit(size: tuple[int, int], box: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert fit((Fraction(size[0]), Fraction(size[1])), box) == wanted


def test_within_turns_with_the_picture() -> None:
    assert within(video_stream(width=1080, height=1920), HD)
    assert not within(video_stream(width=1082, height=1920), HD)


def test_nearly_square_pixels_are_square_enough() -> None:
    assert has_square_pixels(video_stream(sar="100/99"))
    assert not has_square_pixels(video_stream(sar="16/15"))


def test_the_ladder_holds_each_rung_below_the_source() -> None:
    steps = make_ladder((Fraction(1920), Fraction(1080)), RUNGS, HD)
    assert [(s.width, s.height) for s in steps] == [(1920, 1080), (1280, 720), (640, 360)]


def test_a_source_between_two_rungs_keeps_its_size_and_the_lesser_ceiling() -> None:
    steps = make_ladder((Fraction(640), Fraction(480)), RUNGS, HD)
    assert [(s.width, s.height, s.max_bit_rate) for s in steps] == [
        (640, 480, 720_000),
        (480, 360, 360_000),
    ]


def test_a_wide_film_is_named_by_its_box() -> None:
    steps = make_ladder((Fraction(1280), Fraction(534)), RUNGS, HD)
    assert [s.max_bit_rate for s in steps] == [720_000, 360_000]


def test_a_source_below_all_rungs_is_one_rendition() -> None:
    steps = make_ladder((Fraction(160), Fraction(120)), RUNGS, HD)
    assert [(s.width, s.height) for s in steps] == [(160, 120)]

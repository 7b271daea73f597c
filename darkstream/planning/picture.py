"""Sizes of pictures: display aspect, limits, even numbers; nothing is ever enlarged."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from darkstream.model.media import VideoStream

Size = tuple[int, int]
"""Width and height in pixels."""

NEAR_SQUARE = Fraction(1, 50)
"""Pixels this near to square are not worth another encode."""


def display_size(stream: VideoStream) -> tuple[Fraction, Fraction]:
    """The picture as it is meant to be seen: square pixels, upright.

    The side that is stretched for viewing is stretched, so that no detail of the other is lost.
    """
    width, height = make_square(stream.width, stream.height, stream.sar)
    return (height, width) if stream.rotation in {90, 270} else (width, height)


def make_square(width: int, height: int, sar: Fraction) -> tuple[Fraction, Fraction]:
    """The size of a picture whose pixels are stretched until they are square."""
    if sar > 1:
        return width * sar, Fraction(height)
    return Fraction(width), height / sar if sar > 0 else Fraction(height)


def coded_size(stream: VideoStream) -> Size:
    """The pixels as they are, upright."""
    turned = stream.rotation in {90, 270}
    return (stream.height, stream.width) if turned else (stream.width, stream.height)


def upright_sar(stream: VideoStream) -> Fraction:
    """Width of a pixel by its height once the picture is upright."""
    sar = stream.sar if stream.sar > 0 else Fraction(1)
    return 1 / sar if stream.rotation in {90, 270} else sar


def fit(size: tuple[Fraction, Fraction], box: Size) -> Size:
    """The largest even size of that aspect inside a box that turns with portrait pictures."""
    long_side, short_side = max(box), min(box)
    limits = (short_side, long_side) if size[1] > size[0] else (long_side, short_side)
    scale = min(Fraction(1), limits[0] / size[0], limits[1] / size[1])
    return (
        _even(size[0] * scale, min(size[0], Fraction(limits[0]))),
        _even(size[1] * scale, min(size[1], Fraction(limits[1]))),
    )


def within(stream: VideoStream, box: Size) -> bool:
    """Whether a stream, as it is shown, is inside the box already."""
    width, height = display_size(stream)
    return max(width, height) <= max(box) and min(width, height) <= min(box)


def has_square_pixels(stream: VideoStream) -> bool:
    """Whether the pixels are square, or near enough that nobody sees it."""
    return abs(stream.sar - 1) <= NEAR_SQUARE


def _even(length: Fraction, limit: Fraction) -> int:
    nearest = 2 * floor(length / 2 + Fraction(1, 2))
    if nearest > limit:
        nearest -= 2
    return max(2, nearest)

"""What is concluded from places that were looked at."""

from __future__ import annotations

from fractions import Fraction

import pytest

from darkstream.media.analysis import Sighting, find_crop, find_interlacing
from darkstream.media.command.sample import Place, sample_command
from darkstream.model.analysis import Scan
from darkstream.model.media import Crop

_SAID = "[info]   Stream #0:0: Video: wrapped_avframe, yuv420p(tv, progressive), {}, q=2-31"
_EDGES = "[Parsed_cropdetect_2 @ 0x1] [info] x1:{} x2:{} y1:{} y2:{} w:1 h:1 x:1 y:1 pts:9 t:{} l"
_FIELDS = (
    "[Parsed_idet_0 @ 0x1] [info] Multi frame detection: "
    "TFF:{:6} BFF:{:6} Progressive:{:6} Undetermined:     3"
)


def seen(*edges: tuple[int, int, int, int], size: str = "1920x1080 [SAR 1:1]") -> Sighting:
    sighting = Sighting()
    for line in (_SAID.format(size), *(_EDGES.format(*edge, 1.5) for edge in edges)):
        sighting.note(line)
    return sighting


def fields(tff: int, bff: int, progressive: int) -> Sighting:
    sighting = Sighting()
    sighting.note(_FIELDS.format(tff, bff, progressive))
    return sighting


def test_a_crop_is_all_that_is_picture_anywhere() -> None:
    dark, bright = seen((600, 900, 400, 500)), seen((0, 1919, 138, 941))
    assert find_crop([dark, bright]) == Crop(width=1920, height=804, x=0, y=138)


def test_a_crop_is_widened_to_even_pixels() -> None:
    assert find_crop([seen((0, 1919, 139, 941))]) == Crop(width=1920, height=804, x=0, y=138)
    assert find_crop([seen((241, 1678, 0, 1079))]) == Crop(width=1440, height=1080, x=240, y=0)


@pytest.mark.parametrize(
    "sighting",
    [
        seen(),
        seen((0, 1919, 0, 1079)),
        seen((1, 1918, 1, 1078)),
        seen((1919, 0, 1079, 0)),
        seen((800, 1100, 500, 600)),
        Sighting(edges=(0, 1919, 138, 941)),
    ],
    ids=["nothing seen", "full", "soft edge", "black", "a title on black", "no size"],
)
def test_no_crop_where_there_is_nothing_to_cut(sighting: Sighting) -> None:
    assert find_crop([sighting]) is None


def test_pictures_of_two_sizes_are_not_cropped() -> None:
    assert find_crop([seen((0, 1919, 138, 941)), seen((0, 9, 0, 9), size="640x480,")]) is None


@pytest.mark.parametrize(
    ("places", "scan"),
    [
        ([], "unknown"),
        ([fields(0, 0, 0)], "unknown"),
        ([fields(0, 0, 40), fields(2, 1, 40)], "progressive"),
        ([fields(40, 0, 3)], "tff"),
        ([fields(0, 40, 0), fields(0, 3, 0)], "bff"),
        ([fields(40, 0, 0), fields(0, 0, 40)], "mixed"),
        ([fields(40, 0, 0), fields(0, 40, 0)], "mixed"),
    ],
)
def test_most_pictures_say_how_they_were_shot(places: list[Sighting], scan: Scan) -> None:
    found = find_interlacing(places)
    assert found.scan == scan
    assert found.tff == sum(place.tff for place in places)


@pytest.mark.parametrize("exact", [True, False])
def test_a_sample_is_read_under_the_whitelists(exact: bool) -> None:
    argv = sample_command(
        b"/in/\xff.ts",
        Place(stream=3, start=Fraction(10, 3), frames=48, exact=exact),
        program=b"ffmpeg",
        formats="mpegts",
        max_pixels=1000,
        source_bytes=999,
    )
    before, after = argv[: argv.index(b"-i")], argv[argv.index(b"-i") + 1 :]
    assert before[before.index(b"-ss") + 1] == b"3.333"
    assert before[before.index(b"-format_whitelist") + 1] == b"mpegts"
    assert before[before.index(b"-protocol_whitelist") + 1] == b"subfile,file"
    assert (b"-noaccurate_seek" in before) is not exact
    assert after[0] == b"subfile,,start,0,end,999,,:file:/in/\xff.ts"
    assert after[after.index(b"-map") + 1] == b"0:3"
    assert after[after.index(b"-frames:v") + 1] == b"48"

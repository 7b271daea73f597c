"""HDR10+ messages as libx265 reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fixtures_dynamic import hdr10plus

from darkstream.media.hdr10plus import read_scene, write_scenes
from darkstream.model.survey import Hdr10Plus


def test_a_message_says_what_was_written_into_it() -> None:
    assert read_scene(hdr10plus(3)) == {
        "BezierCurveData": {
            "Anchors": [100, 250, 400, 550, 700, 800, 900, 950, 990],
            "KneePointX": 400,
            "KneePointY": 600,
        },
        "LuminanceParameters": {
            "AverageRGB": 900,
            "LuminanceDistributions": {
                "DistributionIndex": [1, 5, 10, 25, 50, 75, 90, 95, 99],
                "DistributionValues": [10, 50, 100, 250, 500, 750, 900, 950, 990],
            },
            "MaxScl": [5003, 5004, 5005],
        },
        "NumberOfWindows": 1,
        "TargetedSystemDisplayMaximumLuminance": 400,
    }
    assert read_scene(hdr10plus(3, bright=7)) == read_scene(hdr10plus(3))
    plain = read_scene(hdr10plus(3, curve=False))
    assert plain is not None
    assert "BezierCurveData" not in plain


def _with_bit(message: bytes, place: int) -> bytes:
    value = int.from_bytes(message, "big") ^ 1 << (8 * len(message) - 1 - place)
    return value.to_bytes(len(message), "big")


@pytest.mark.parametrize(
    "message",
    [
        _with_bit(hdr10plus(0), 56),  # three windows
        _with_bit(hdr10plus(0), 85),  # peaks of the display
        hdr10plus(0, saturation=9),
        hdr10plus(0)[:30],
        b"",
    ],
    ids=["windows", "peaks", "saturation", "cut off", "nothing"],
)
def test_more_than_the_form_holds_is_no_scene(message: bytes) -> None:
    assert read_scene(message) is None


def test_each_picture_has_an_entry(tmp_path: Path) -> None:
    messages = [hdr10plus(0), hdr10plus(1)]
    scenes = [read_scene(message) or {} for message in messages]
    found = Hdr10Plus(
        messages=tuple(message.hex() for message in messages),
        runs=((-1, 1), (1, 2), (-1, 1), (0, 1)),
    )
    path = tmp_path / "scenes.json"
    write_scenes(path, scenes, found)
    told = json.loads(path.read_text())["SceneInfo"]
    peaks = [entry["LuminanceParameters"]["MaxScl"][0] for entry in told]
    assert peaks == [5001, 5001, 5001, 5001, 5000]
    assert [entry["SequenceFrameIndex"] for entry in told] == [0, 1, 2, 3, 4]

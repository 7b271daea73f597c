"""What analysis measures, on clips whose properties are known."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from fixtures_planning import LIMITS, Clips, Walker

from darkstream.media.analysis import measure_loudness, measure_picture
from darkstream.media.decoding import Decoder
from darkstream.model.analysis import Picture
from darkstream.model.media import Crop

_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_CROPPED = Crop(width=320, height=136, x=0, y=52)
_MOVING = "testsrc2=s=320x{}:r=25:d={}"
_BARS = "pad=320:240:0:52"


def _measure(walker: Walker, path: Path) -> Picture:
    source = os.fsencode(path)
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    return measure_picture(walker.prober.probe(source), source, decoder)


def _film(clips: Clips, name: str, graph: str, *options: str) -> Path:
    return clips.make(name, "-f", "lavfi", "-i", graph, *(options or _X264))


def test_bars_are_found_though_most_of_the_film_is_dark(walker: Walker, clips: Clips) -> None:
    night = f"{_MOVING.format(136, 28)},drawbox=c=black:t=fill:enable='lt(t,20)',{_BARS}"
    assert _measure(walker, _film(clips, "night.mp4", night)).crop == _CROPPED


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bars.ts", ("-c:v", "mpeg2video", "-q:v", "4")),
        ("bars.mkv", ("-c:v", "libx265", "-crf", "12", "-pix_fmt", "yuv420p10le")),
        ("full.mp4", (*_X264[:-1], "yuvj420p")),
        ("bars.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le")),
    ],
)
def test_bars_are_found_in_every_kind_of_sample(
    walker: Walker, clips: Clips, name: str, options: tuple[str, ...]
) -> None:
    source = _film(clips, name, f"{_MOVING.format(136, 5)},{_BARS}", *options)
    assert _measure(walker, source).crop == _CROPPED


def test_subtitles_in_a_bar_belong_to_the_picture(walker: Walker, clips: Clips) -> None:
    line = "drawbox=x=100:y=210:w=120:h=8:c=white:t=fill:enable='between(t,9,19)'"
    source = _film(clips, "subtitled.mp4", f"{_MOVING.format(136, 28)},{_BARS},{line}")
    found = _measure(walker, source).crop
    assert found is not None
    assert (found.y, found.y + found.height) == (52, 218)


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        ("black.mp4", "color=black:s=320x240:r=25:d=5"),
        ("dim.mp4", f"{_MOVING.format(240, 5)},lutyuv=y='16+(val-16)/12'"),
        ("open.mp4", _MOVING.format(240, 5)),
        (
            "opening.mp4",
            f"{_MOVING.format(240, 28)},drawbox=w=iw:h=52:c=black:t=fill:enable='lt(t,20)'",
        ),
    ],
)
def test_dark_pictures_are_not_cropped(walker: Walker, clips: Clips, name: str, graph: str) -> None:
    assert _measure(walker, _film(clips, name, graph)).crop is None


@pytest.mark.parametrize(
    ("name", "filters", "scan"),
    [
        ("p.mp4", "null", "progressive"),
        ("t.mp4", "tinterlace=interleave_top", "tff"),
        ("b.mp4", "tinterlace=interleave_bottom", "bff"),
    ],
)
def test_fields_are_measured_whatever_is_declared(
    walker: Walker, clips: Clips, name: str, filters: str, scan: str
) -> None:
    noise = "noise=alls=8:allf=t"
    graph = f"testsrc2=s=320x240:r=50:d=6,{noise},{filters},setfield=prog"
    source = _film(clips, name, graph)
    declared = walker.prober.probe(os.fsencode(source)).video[0].field_order
    assert declared == "progressive"
    assert _measure(walker, source).interlacing.scan == scan


def test_one_key_frame_says_too_little_of_a_long_film(walker: Walker, clips: Clips) -> None:
    graph = "testsrc2=s=64x48:r=5:d=90,drawbox=w=iw:h=12:c=black:t=fill:enable='lt(t,60)'"
    rare = ("-g", "9999", "-sc_threshold", "0")
    found = _measure(walker, _film(clips, "rare.mp4", graph, *_X264, *rare))
    assert found.places == 1
    assert found.crop is None


def test_a_file_without_pictures_has_nothing_to_measure(walker: Walker, clips: Clips) -> None:
    source = _film(clips, "tone.m4a", "sine=440:d=1", "-c:a", "aac")
    assert _measure(walker, source) == Picture()


def test_loudness_is_measured_track_by_track(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = clips.make(
        "loud.mkv",
        *("-f", "lavfi", "-i", "aevalsrc='0.1*sin(2*PI*997*t)|0.1*sin(2*PI*997*t)':d=4:s=48000"),
        *("-f", "lavfi", "-i", "anullsrc=d=4:r=48000", "-map", "0", "-map", "1", "-c:a", "flac"),
    )
    path = os.fsencode(source)
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    tone, silence = measure_loudness(walker.prober.probe(path), path, decoder)
    assert tone.integrated == pytest.approx(20 * math.log10(0.1), abs=0.2)
    assert tone.true_peak == pytest.approx(-20, abs=0.2)
    assert (silence.index, silence.integrated, silence.true_peak) == (1, None, None)

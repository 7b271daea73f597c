"""Commands that hold a result against its original: what they pair, and what they leave out."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from fixtures_planning import encode_of, media_info, proved, video_stream

from darkstream.media.command.compare import Pair, clip_command, quality_command
from darkstream.model.media import Colour
from darkstream.model.plan import EncodePlan
from darkstream.model.preset import Metric
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset

_OF_PLAN = {"source_bytes", "whole_raster"}
START, SECONDS = Fraction(3, 2), Fraction(2)


def pair(**changes: object) -> Pair:
    media = media_info(video_stream(codec="mpeg4"))
    plan = make_plan(media, load_preset("web"), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    of_plan = {
        name: changes.pop(name) for name in ("source_bytes", "whole_raster") & changes.keys()
    }
    video = encode_of(plan).model_copy(update=changes)
    plan = plan.model_copy(update=of_plan)
    return Pair(plan, video, b"/films/a\xe9.avi", b"/q/result.mp4", "mov,mp4")


def quality(one: Pair, metric: Metric = "vmaf") -> list[str]:
    words = quality_command(one, metric, START, SECONDS, program=b"ffmpeg", max_pixels=1000)
    return [word.decode("utf-8", "backslashreplace") for word in words]


def clip(one: Pair, encoder: str = "libx264") -> list[str]:
    words = clip_command(
        one, START, SECONDS, encoder, b"/job/c.mp4", program=b"ffmpeg", max_pixels=1000
    )
    return [word.decode("utf-8", "backslashreplace") for word in words]


def graph(words: list[str]) -> str:
    return words[words.index("-filter_complex") + 1]


def test_both_are_opened_at_the_same_place_and_neither_is_turned() -> None:
    words = quality(pair())
    assert words.count("-ss") == words.count("-t") == 2
    assert {words[n + 1] for n, word in enumerate(words) if word == "-ss"} == {"1.500"}
    inputs = {words[n + 1] for n, word in enumerate(words) if word == "-i"}
    assert inputs == {"file:/films/a\\xe9.avi", "file:/q/result.mp4"}
    assert words.count("-seek_timestamp") == 1
    first, second = (words[:n] for n, word in enumerate(words) if word == "-i")
    assert "-noautorotate" in second and "-noautorotate" not in first
    assert "libvmaf" in graph(words) and "nearest" in graph(words)


def test_an_original_is_read_from_its_beginning_without_a_seek() -> None:
    words = quality_command(
        pair(), "vmaf", Fraction(0), SECONDS, program=b"ffmpeg", max_pixels=1000
    )
    assert words.count(b"-ss") == words.count(b"-seek_timestamp") == 1


def test_the_original_goes_through_the_plans_filters_but_its_rate() -> None:
    told = graph(quality(pair(deinterlace=True, frame_rate=Fraction(25)), "ssim"))
    assert "bwdif" in told and "scale" in told and "fps" not in told and "ssim" in told


@pytest.mark.parametrize(
    ("pix_fmt", "same"),
    [("nv12", "yuv420p"), ("p010le", "yuv420p10le"), ("yuv422p12le", "yuv420p10le")],
)
def test_both_become_the_same_kind_of_samples(pix_fmt: str, same: str) -> None:
    assert graph(quality(pair(pix_fmt=pix_fmt))).count(f"format=pix_fmts={same}[") == 2


def test_a_source_is_opened_as_for_the_encode() -> None:
    words = quality(pair(source_bytes=900, whole_raster=True, decoder="libvpx"))
    assert words[words.index("-c:0") + 1] == "libvpx"
    assert words[words.index("-apply_cropping") + 1] == "codec"
    assert "-apply_cropping" not in quality(pair(whole_raster=False))
    assert "subfile,file" in words and "subfile,,start,0,end,900,,:file:/films/a\\xe9.avi" in words


def test_a_clip_has_the_original_at_the_left() -> None:
    words = clip(pair())
    assert words[-1] == "file:/job/c.mp4" and "libx264" in words and "-crf" in words
    assert words[words.index("-i") + 1] == "file:/films/a\\xe9.avi"
    ((left, right),) = re.findall(r"\[(\w+)\]\[(\w+)\]hstack", graph(words))
    made = f"[1:v:0]format=pix_fmts=yuv420p[{right}]"
    assert made in graph(words) and left != right
    assert "tonemap" not in graph(words) and "w=1920" not in graph(words)


def test_a_clip_fits_screens() -> None:
    hdr = Colour(transfer="smpte2084", primaries="bt2020", matrix="bt2020nc", range="tv")
    told = graph(clip(pair(width=3840, height=2160, colour=hdr)))
    assert told.count("w=1920") == 2 and told.count("]tonemap=") == 2


def test_another_encoder_is_told_a_rate() -> None:
    words = clip(pair(), "h264_nvenc")
    assert words[words.index("-b:v") + 1] == "40M" and "-crf" not in words

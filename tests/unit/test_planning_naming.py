from __future__ import annotations

import pytest
from fixtures_planning import media_info, proved, video_stream

from darkstream.model.plan import EncodePlan
from darkstream.planning.naming import companion_candidates, extension_of, output_candidates
from darkstream.planning.plan import make_plan
from darkstream.planning.presets import load_preset
from darkstream.planning.validation import validate

WEB = load_preset("web")


def test_candidates_begin_plain_and_end_with_the_job() -> None:
    names = output_candidates(WEB, b"films/a.mkv", "mp4", 7)
    assert names[:3] == (b"films/a.mp4", b"films/a.mkv.mp4", b"films/a.mkv.2.mp4")
    assert output_candidates(WEB, b"films/a.mkv", "mp4", 700)[-1] == b"films/a.mkv.700.mp4"
    assert len(set(names)) == len(names)


def test_a_source_in_the_root_needs_no_directory() -> None:
    assert output_candidates(WEB, b"a.mkv", "mp4", 7)[0] == b"a.mp4"


def test_names_that_are_not_text_stay_as_they_are() -> None:
    assert output_candidates(WEB, b"b\xff\xfe.mkv", "mp4", 7)[0] == b"b\xff\xfe.mp4"


def test_long_names_are_cut_between_characters() -> None:
    name = output_candidates(WEB, "é".encode() * 126 + b".mkv", "mp4", 7)[0]
    assert len(name) <= 255
    assert name.decode().endswith("é.mp4")


def test_long_names_that_are_not_text_are_cut_anywhere() -> None:
    name = output_candidates(WEB, b"\xff" * 251 + b".ts", "webm", 7)[0]
    assert name == b"\xff" * 250 + b".webm"


@pytest.mark.parametrize("relative", [b"../../etc/x.mkv", b"/etc/x.mkv", b"a/../../x.mkv"])
def test_nothing_leaves_the_destination(relative: bytes) -> None:
    for name in output_candidates(WEB, relative, "mp4", 7):
        assert not name.startswith(b"/")
        assert b".." not in name.split(b"/")


def test_a_name_like_our_part_files_is_changed() -> None:
    name = output_candidates(WEB, b".darkstream-1-2-3.mkv", "part", 7)[0]
    assert name == b"_.darkstream-1-2-3.part"


def test_a_template_without_stem_is_told_apart_by_the_job() -> None:
    preset = WEB.model_copy(update={"output": "{preset}/{job}.{ext}"})
    assert output_candidates(preset, b"a.mkv", "mp4", 7) == (b"web/7.mp4",)


@pytest.mark.parametrize(("preset", "extension"), [("archive", "mkv"), ("abr", "abr")])
def test_the_extension_is_the_containers(preset: str, extension: str) -> None:
    media = media_info(video_stream())
    plan = make_plan(media, load_preset(preset), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    assert extension_of(plan) == extension


def test_a_template_may_end_in_plain_text() -> None:
    preset = WEB.model_copy(update={"output": "{dir}/{stem}.{ext}.new"})
    assert output_candidates(preset, b"x/a.mkv", "mp4", 7)[0] == b"x/a.mp4.new"


def test_what_goes_beside_an_output_is_named_after_it_and_numbered_where_taken() -> None:
    names = companion_candidates(b"films/a.mp4", "mp4", "-poster.jpg")
    assert names[:2] == (b"films/a-poster.jpg", b"films/a.2-poster.jpg")
    assert len(names) == 9
    (long, *_) = companion_candidates(b"x" * 251 + b".mp4", "mp4", "-poster.jpg")
    assert len(long) <= 255
    assert long.endswith(b"-poster.jpg")

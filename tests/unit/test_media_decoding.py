"""How many threads decode an output."""

from __future__ import annotations

from fixtures_planning import media_info, proved, video_stream

from darkstream.media.decoding import choose_threads
from darkstream.model.plan import EncodePlan, VideoCopy, VideoEncode
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset


def _plan(codec: str) -> EncodePlan:
    media = media_info(video_stream(codec=codec, width=1920, height=1080), container="matroska")
    media = media.model_copy(update={"formats": ("matroska", "webm")})
    plan = make_plan(media, load_preset("web"), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    return plan


def test_a_short_output_is_decoded_by_one_thread() -> None:
    plan = _plan("mpeg4")
    assert isinstance(plan.renditions[0], VideoEncode)
    assert choose_threads(plan, [250]) == 1
    assert choose_threads(plan, [517]) == 1
    assert choose_threads(plan, [518]) is None, "more than 2^30 pixels"


def test_all_renditions_count() -> None:
    one = _plan("mpeg4")
    two = one.model_copy(update={"renditions": one.renditions * 2})
    assert choose_threads(two, [250, 250]) == 1
    assert choose_threads(two, [260, 260]) is None


def test_what_has_no_pictures_is_short_and_a_copy_may_be_of_any_size() -> None:
    plan = _plan("h264")
    assert isinstance(plan.renditions[0], VideoCopy)
    assert choose_threads(plan, [1]) is None
    assert choose_threads(plan.model_copy(update={"renditions": ()}), []) == 1

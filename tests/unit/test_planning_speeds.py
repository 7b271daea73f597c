"""What planned work is, and what is learnt from how long it took."""

from __future__ import annotations

import pytest
from fixtures_planning import audio_stream, media_info, proved, video_stream
from hypothesis import given
from hypothesis import strategies as st

from darkstream.model.media import MediaInfo
from darkstream.model.plan import EncodePlan
from darkstream.model.work import Rates, Work
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset
from darkstream.planning.speeds import LATEST, learn, name_preset, rate_of, typical, work_of

SANE = st.floats(0.5, 2.0)
ANY = st.floats(1e-6, 1e12)


def work(media: MediaInfo, preset: str) -> Work | None:
    plan = make_plan(media, load_preset(preset), proved(), validate(media))
    assert isinstance(plan, EncodePlan)
    return work_of(plan, media)


def test_work_is_pixels_at_the_speed_of_the_encoder() -> None:
    media = media_info(video_stream(codec="mpeg4", width=1280, height=720, average_rate="25"))
    found = work(media, "web")
    assert found is not None
    assert (found.encoder, found.codec, found.size) == ("libx264", "h264", "hd")
    assert found.amount == pytest.approx(1280 * 720 * 25 * 10)


def test_a_ladder_is_the_work_of_all_its_rungs() -> None:
    media = media_info(video_stream(codec="mpeg4", width=3840, height=2160, average_rate="25"))
    one, ladder = work(media, "web"), work(media, "abr")
    assert one is not None and ladder is not None
    assert ladder.amount > one.amount


def test_sound_is_seconds_and_copies_are_bytes() -> None:
    copied = work(media_info(video_stream(), faststart=False), "web")
    assert copied == Work(encoder="copy", codec="copy", amount=1_000_000)
    sound = work(media_info(video_stream(), audio_stream(codec="flac")), "audio")
    assert sound is not None
    assert (sound.encoder, sound.speed, sound.size, sound.amount) == ("aac", "", "", 10.0)


def test_nobody_can_tell_how_much_work_an_unknown_duration_is() -> None:
    stream = video_stream(codec="mpeg4", duration=None)
    assert work(media_info(stream).model_copy(update={"duration": None}), "web") is None


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(720, 576, "sd"), (1280, 720, "hd"), (1920, 1080, "full-hd"), (3840, 2160, "uhd")],
)
def test_sizes_of_pictures(width: int, height: int, size: str) -> None:
    media = media_info(video_stream(codec="mpeg4", width=width, height=height))
    found = work(media, "archive" if size == "uhd" else "web")
    assert found is not None and found.size == size


def test_presets_that_take_about_as_long_have_one_name() -> None:
    web = load_preset("web")
    assert name_preset(web, "cpu") == name_preset(web.model_copy(update={"name": "mine"}), "cpu")
    names = {name_preset(load_preset(name), "cpu") for name in ("web", "hevc", "abr", "audio")}
    assert len(names) == 4
    assert name_preset(web, "gpu") != name_preset(web, "cpu")


def test_nothing_is_learnt_from_nothing() -> None:
    assert rate_of(0, 10) is None
    assert rate_of(10, 0) is None
    assert rate_of(100, 10.5) == 10
    assert rate_of(100, 0.2) == 1000, "a start is never more than half of what was measured"


@given(before=st.lists(ANY, max_size=30), now=st.lists(SANE, min_size=8, max_size=40))
def test_a_new_speed_is_believed_after_eight_jobs(before: list[float], now: list[float]) -> None:
    rates: Rates = ()
    for rate in (*before, *now):
        rates = learn(rates, rate)
    assert len(rates) <= LATEST
    assert 0.5 <= typical(rates)[1] <= 2.0


@given(data=st.data())
def test_outliers_move_nothing_while_they_are_the_minority(data: st.DataObject) -> None:
    wild = data.draw(st.lists(ANY, max_size=(LATEST - 1) // 2))
    sane = data.draw(st.lists(SANE, min_size=LATEST - len(wild), max_size=LATEST - len(wild)))
    rates: Rates = ()
    for rate in data.draw(st.permutations([*wild, *sane])):
        rates = learn(rates, rate)
    low, middle, high = typical(rates)
    assert 0.5 <= middle <= 2.0
    assert low <= middle <= high


def test_few_measurements_leave_room() -> None:
    assert typical((9.0,)) == (6.0, 9.0, 12.0)
    assert typical((9.0,) * 5) == (9.0, 9.0, 9.0)
    with pytest.raises(ValueError, match="median"):
        typical(())

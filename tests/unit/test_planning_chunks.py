from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from fixtures_planning import media_info, proved, video_stream

from darkstream.model.media import Finding, MediaInfo, Severity
from darkstream.model.plan import AbrPackage, Burn, EncodePlan, Encryption, Overlay, VideoEncode
from darkstream.model.preset import Preset
from darkstream.model.survey import PictureTimes
from darkstream.planning import fingerprint, make_plan, validate
from darkstream.planning.chunks import (
    cut,
    in_one_piece,
    tell_difference,
    wants_chunks,
    whole_because,
)
from darkstream.planning.presets import load_preset

HOUR = Fraction(3600)


def film(seconds: Fraction = HOUR, **changes: Any) -> MediaInfo:
    values: dict[str, Any] = {"codec": "mpeg4", "duration": str(seconds), "frames": None, **changes}
    return media_info(video_stream(**values), duration=str(seconds))


def wish(name: str = "web", **changes: Any) -> Preset:
    preset = load_preset(name)
    assert preset.video is not None
    return preset.model_copy(update={"video": preset.video.model_copy(update=changes)})


def plan_for(media: MediaInfo, preset: Preset) -> EncodePlan:
    found = make_plan(media, preset, proved(), validate(media))
    assert isinstance(found, EncodePlan)
    return found


def changed(plan: EncodePlan, **changes: Any) -> EncodePlan:
    """The plan with another rendition."""
    first = plan.renditions[0].model_copy(update=changes)
    return plan.model_copy(update={"renditions": (first, *plan.renditions[1:])})


def steady(seconds: int, *, rate: int = 25, gop: int = 50, first: int = 0) -> PictureTimes:
    pictures = seconds * rate
    return PictureTimes(
        time_base=Fraction(1, 12800),
        first=first,
        steps=(12800 // rate,) * (pictures - 1),
        keys=tuple(range(0, pictures, gop)),
        regular=True,
    )


@pytest.mark.parametrize(
    ("seconds", "chunk_seconds", "wanted"),
    [
        (HOUR, None, True),
        (Fraction(30), None, False),
        (Fraction(15), None, False),
        (HOUR, Fraction(0), False),
        (Fraction(30), Fraction(10), True),
        (Fraction(8), Fraction(10), False),
    ],
)
def test_chunks_are_for_what_takes_long_or_as_the_preset_says(
    seconds: Fraction, chunk_seconds: Fraction | None, wanted: bool
) -> None:
    media, preset = film(seconds), wish(chunk_seconds=chunk_seconds)
    assert wants_chunks(plan_for(media, preset), media, preset) is wanted


def test_what_is_copied_or_has_no_pictures_has_no_chunks() -> None:
    media = film(codec="h264")
    preset = wish(chunk_seconds=Fraction(5))
    copied = make_plan(
        media_info(video_stream(), container="matroska"), preset, proved(), validate(media)
    )
    assert isinstance(copied, EncodePlan) and copied.decision == "remux"
    assert not wants_chunks(copied, media, preset)
    sound = load_preset("audio")
    assert not wants_chunks(copied.model_copy(update={"decision": "convert"}), media, sound)


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("constant quality", {"encoder": "prores_ks"}),
        ("frame rate is made constant", {"frame_rate": Fraction(25)}),
        ("data for single scenes", {"hdr10plus": "keep"}),
        ("data for single scenes", {"strip_dolby_vision": True}),
        ("ceiling", {"encoder": "libsvtav1", "max_bit_rate": 1_000_000}),
        ("transparent", {"pix_fmt": "yuva420p"}),
        ("does not say exactly", {"time_base": Fraction(1, 90000)}),
    ],
)
def test_what_cannot_be_in_chunks_says_why(why: str, changes: dict[str, Any]) -> None:
    media, preset = film(), wish()
    plan = plan_for(media, preset)
    assert whole_because(plan, media) is None
    assert why in (whole_because(changed(plan, **changes), media) or "")


def test_a_source_that_is_not_as_it_says_is_encoded_in_one_piece() -> None:
    media, preset = film(), wish()
    plan = plan_for(media, preset)
    damage = Finding(code="decode-errors", severity=Severity.repairable, message="damaged")
    encrypted = AbrPackage(
        segment_seconds=Fraction(4), hls=True, dash=True, encryption=Encryption(scheme="cenc")
    )
    reasons = [
        whole_because(plan.model_copy(update=update), media)
        for update in (
            {"findings": (tell_difference(),)},
            {"findings": (damage,)},
            {"source_bytes": 7},
            {"burn": Burn(source_index=3, track="srt")},
            {"overlay": Overlay(text="mine", height=9, x=0, y=0, margin=0, opacity=1)},
            {"package": encrypted},
            {"renditions": ()},
        )
    ]
    words = ("packets promise", "damaged", "damaged", "drawn", "drawn", "encrypted", "quality")
    assert all(word in (reason or "") for word, reason in zip(words, reasons, strict=True))
    stream = media.model_copy(update={"container": "mpegts"})
    assert "container" in (whole_because(plan, stream) or "")
    told = in_one_piece(plan, "it is damaged").findings[-1]
    assert told.message.endswith("from its begin after a crash: it is damaged")


def test_cuts_are_at_key_frames_and_chunks_about_as_long_as_wished() -> None:
    media, preset = film(Fraction(120)), wish(chunk_seconds=Fraction(11))
    plan = cut(plan_for(media, preset), media, preset, steady(120, first=640))
    assert plan.chunking is not None
    chunks = plan.chunking.chunks
    assert all(chunk.pictures % 50 == 0 and 200 <= chunk.pictures <= 350 for chunk in chunks)
    assert sum(chunk.pictures for chunk in chunks) == 3000
    assert chunks[0].begin == 640 and chunks[0].seek is None and chunks[-1].end is None
    assert all(chunk.seek == chunk.begin * Fraction(1, 12800) for chunk in chunks[1:])
    assert fingerprint(plan) != fingerprint(plan_for(media, preset))


def test_deinterlacing_begins_to_read_a_key_frame_earlier() -> None:
    media = film(Fraction(60), field_order="tff")
    preset = wish(chunk_seconds=Fraction(10))
    plan = cut(plan_for(media, preset), media, preset, steady(60))
    assert plan.chunking is not None
    second = plan.chunking.chunks[1]
    assert second.seek == second.begin * Fraction(1, 12800) - 2


def test_chunks_of_a_ladder_begin_with_segments_that_can_be_reached() -> None:
    media, preset = film(Fraction(200)), wish("abr", chunk_seconds=Fraction(10))
    plan = plan_for(media, preset)
    assert isinstance(plan.package, AbrPackage)
    every = plan.package.segment_seconds
    parts = cut(plan, media, preset, steady(200, gop=130))
    assert parts.chunking is not None
    for chunk in parts.chunking.chunks:
        assert chunk.begin * Fraction(1, 12800) == chunk.keys * every
    alone = steady(200).model_copy(update={"keys": (0,)})
    far = cut(plan, media, preset, alone)
    assert far.chunking is not None
    assert far.chunking.chunks[-1].begin * Fraction(1, 12800) <= 60


@pytest.mark.parametrize(
    "times",
    [
        steady(60).model_copy(update={"regular": False}),
        steady(60).model_copy(update={"keys": (0,)}),
        steady(60).model_copy(update={"keys": ()}),
    ],
)
def test_what_cannot_be_cut_is_encoded_in_one_piece(times: PictureTimes) -> None:
    media, preset = film(Fraction(60)), wish(chunk_seconds=Fraction(10))
    plan = cut(plan_for(media, preset), media, preset, times)
    assert plan.chunking is None
    assert plan.findings[-1].code == "encoded-in-one-piece"


def test_the_usual_length_follows_from_how_long_encoding_takes() -> None:
    lengths = []
    for codec in ("h264", "vp9"):
        media, preset = film(), wish("webm" if codec == "vp9" else "web", codec=codec)
        plan = cut(plan_for(media, preset), media, preset, steady(3600))
        assert plan.chunking is not None
        assert all(isinstance(video, VideoEncode) for video in plan.renditions)
        lengths.append(plan.chunking.chunks[0].pictures / 25)
    assert 60 >= lengths[0] > lengths[1] >= 10


def test_a_film_of_nothing_but_key_frames_has_no_more_than_a_thousand_chunks() -> None:
    media, preset = film(4 * HOUR), wish(chunk_seconds=Fraction(1))
    plan = cut(plan_for(media, preset), media, preset, steady(4 * 3600, gop=1))
    assert plan.chunking is not None
    assert 900 <= len(plan.chunking.chunks) <= 1000

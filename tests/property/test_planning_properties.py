from __future__ import annotations

from fractions import Fraction

from fixtures_planning import audio_stream, media_info, proved, video_stream
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from darkstream.model.media import MediaInfo
from darkstream.model.plan import Decision, EncodePlan, VideoEncode
from darkstream.model.preset import Rung
from darkstream.planning import fingerprint, make_plan, output_candidates, validate
from darkstream.planning.ladder import make_ladder
from darkstream.planning.picture import display_size, fit
from darkstream.planning.presets import load_preset

PRESETS = ("abr", "archive", "audio", "hevc", "mobile", "web", "webm")
sides = st.integers(2, 8192)
boxes = st.tuples(sides, sides)
ratios = st.sampled_from([Fraction(1), Fraction(64, 45), Fraction(8, 9), Fraction(4, 3)])
rungs = st.lists(
    st.builds(Rung, height=st.integers(16, 4320), max_bit_rate=st.integers(1, 10**8)),
    min_size=1,
    max_size=6,
)


@given(sides, sides, ratios, st.sampled_from([0, 90, 180, 270]), rungs, boxes)
def test_no_rendition_is_larger_than_the_source_or_the_box(
    width: int,
    height: int,
    sar: Fraction,
    rotation: int,
    ladder: list[Rung],
    box: tuple[int, int],
) -> None:
    size = display_size(video_stream(width=width, height=height, sar=sar, rotation=rotation))
    steps = make_ladder(size, ladder, box)
    assert steps
    for step in steps:
        assert step.width <= max(size[0], 2)
        assert step.height <= max(size[1], 2)
        assert max(step.width, step.height) <= max(*box, 2)
        assert min(step.width, step.height) <= max(min(box), 2)
    areas = [step.width * step.height for step in steps]
    assert areas == sorted(areas, reverse=True)


@given(sides, sides, boxes)
def test_sizes_are_even_and_keep_the_aspect_to_a_picture_row(
    width: int, height: int, box: tuple[int, int]
) -> None:
    fitted = fit((Fraction(width), Fraction(height)), box)
    assert all(side >= 2 and side % 2 == 0 for side in fitted)
    limits = (max(box), min(box)) if width >= height else (min(box), max(box))
    scale = min(Fraction(1), Fraction(limits[0], width), Fraction(limits[1], height))
    exact = (width * scale, height * scale)
    for side, wanted in zip(fitted, exact, strict=True):
        assert abs(side - wanted) < 2


@st.composite
def media(draw: st.DrawFn) -> MediaInfo:
    """Files of every make, sense or none."""
    video = video_stream(
        codec=draw(st.sampled_from(["h264", "hevc", "vp9", "av1", "mpeg4"])),
        width=draw(sides),
        height=draw(sides),
        sar=draw(ratios),
        rotation=draw(st.sampled_from([0, 90, 180, 270])),
        mirrored=draw(st.booleans()),
        bit_depth=draw(st.sampled_from([8, 10, 12])),
        chroma=draw(st.sampled_from(["420", "422", "444", "rgb"])),
        hdr=draw(st.sampled_from(["none", "hdr10", "hlg", "hdr10plus"])),
        field_order=draw(st.sampled_from(["progressive", "tff", "unknown"])),
        average_rate=draw(st.sampled_from(["25", "30000/1001", "1000", None])),
        duration=draw(st.sampled_from(["10", None])),
    )
    audio = audio_stream(
        codec=draw(st.sampled_from(["aac", "opus", "ac3"])),
        channels=draw(st.integers(1, 16)),
        sample_rate=draw(st.integers(1, 400_000)),
    )
    return media_info(
        draw(st.sampled_from([video, None])),
        draw(st.sampled_from([audio, None])),
        container=draw(st.sampled_from(["mp4", "mov", "matroska", "webm", "avi"])),
        faststart=draw(st.sampled_from([True, False, None])),
    )


@settings(max_examples=200, deadline=None)
@given(media(), st.sampled_from(PRESETS))
def test_every_decision_is_repeatable_and_survives_json(found: MediaInfo, name: str) -> None:
    wish, report = load_preset(name), validate(found)
    decision = make_plan(found, wish, proved(), report)
    assert decision == make_plan(found, wish, proved(), report)
    assert decision.reason
    adapter: TypeAdapter[Decision] = TypeAdapter(Decision)
    again = adapter.validate_json(adapter.dump_json(decision))
    assert again == decision
    if isinstance(decision, EncodePlan):
        assert isinstance(again, EncodePlan)
        assert fingerprint(again) == fingerprint(decision)


@settings(max_examples=200, deadline=None)
@given(media(), st.sampled_from(PRESETS))
def test_no_plan_enlarges_or_loses_the_sound(found: MediaInfo, name: str) -> None:
    decision = make_plan(found, load_preset(name), proved(), validate(found))
    if not isinstance(decision, EncodePlan):
        return
    assert len(decision.audio) == len(found.audio)
    for rendition in decision.renditions:
        if isinstance(rendition, VideoEncode):
            width, height = display_size(found.video[0])
            assert rendition.width <= width
            assert rendition.height <= height


name_bytes = st.binary(min_size=1, max_size=255).filter(lambda n: b"/" not in n and b"\0" not in n)


@given(st.lists(name_bytes, min_size=1, max_size=4), st.integers(1, 2**40))
def test_names_stay_inside_and_short(parts: list[bytes], job: int) -> None:
    candidates = output_candidates(load_preset("web"), b"/".join(parts), "mp4", job)
    assert len(set(candidates)) == len(candidates)
    for candidate in candidates:
        pieces = candidate.split(b"/")
        assert all(0 < len(piece) <= 255 for piece in pieces)
        assert not {b".", b".."} & set(pieces)
        assert not candidate.startswith(b"/")
        assert not pieces[-1].startswith(b".darkstream-")

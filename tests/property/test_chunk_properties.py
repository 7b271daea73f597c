"""Whatever a film's clock and key frames are: its chunks are all of it, once, in order."""

from __future__ import annotations

from fractions import Fraction

from fixtures_planning import media_info, proved, video_stream
from hypothesis import given
from hypothesis import strategies as st

from darkstream.model.plan import AbrPackage, EncodePlan
from darkstream.model.survey import PictureTimes
from darkstream.planning import make_plan, validate
from darkstream.planning.chunks import cut
from darkstream.planning.presets import load_preset

TICK = Fraction(1, 1000)
_clocks = st.lists(st.integers(1, 4000), min_size=1, max_size=300)
_keys = st.sets(st.integers(0, 300), max_size=40)


@given(
    _clocks,
    _keys,
    st.integers(-5000, 5000),
    st.fractions(Fraction(1, 2), 120, max_denominator=8),
    st.sampled_from(["web", "abr"]),
    st.sampled_from(["progressive", "tff"]),
)
def test_chunks_tile_a_film_exactly(
    steps: list[int], keys: set[int], first: int, seconds: Fraction, name: str, fields: str
) -> None:
    times = PictureTimes(
        time_base=TICK,
        first=first,
        steps=tuple(steps),
        keys=tuple(sorted(key for key in keys if key <= len(steps))),
        regular=True,
    )
    preset = load_preset(name)
    assert preset.video is not None
    rule = preset.video.model_copy(update={"chunk_seconds": seconds})
    preset = preset.model_copy(update={"video": rule})
    stream = video_stream(codec="mpeg4", time_base="1/1000", frames=None, field_order=fields)
    media = media_info(stream, container="matroska", start=str(Fraction(first, 1000)))
    whole = make_plan(media, preset, proved(), validate(media))
    assert isinstance(whole, EncodePlan)
    plan = cut(whole, media, preset, times)
    if plan.chunking is None:
        assert plan.findings[-1].code == "encoded-in-one-piece"
        return
    chunks, shown = plan.chunking.chunks, times.times()
    assert len(chunks) > 1
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert sum(chunk.pictures for chunk in chunks) == len(shown)
    assert chunks[0].begin == shown[0]
    assert [chunk.end for chunk in chunks] == [*(chunk.begin for chunk in chunks[1:]), None]
    begin = 0
    for chunk in chunks:
        inside = [t for t in shown if t >= chunk.begin and (chunk.end is None or t < chunk.end)]
        assert len(inside) == chunk.pictures > 0
        assert shown[begin] == chunk.begin
        begin += chunk.pictures
        if chunk.seek is not None:
            number = shown.index(int(chunk.seek / TICK))
            assert number in times.keys and shown[number] <= chunk.begin
    if isinstance(plan.package, AbrPackage):
        forced, expected = 0, {}
        for time in shown:
            if (time - shown[0]) * TICK >= forced * plan.package.segment_seconds:
                expected[time] = forced
                forced += 1
        assert all(expected[chunk.begin] == chunk.keys for chunk in chunks)


@given(_clocks)
def test_times_are_those_of_the_steps(steps: list[int]) -> None:
    times = PictureTimes(time_base=TICK, first=7, steps=tuple(steps), keys=(), regular=True)
    assert times.times()[0] == 7
    assert times.times()[-1] == 7 + sum(steps)

"""Black bars are cut off where a preset asks for it, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest
from fixtures_planning import LIMITS, Clips, Walker, encode_of, fast

from darkstream.media.analysis import measure_picture
from darkstream.media.decoding import Decoder
from darkstream.media.encode import encode
from darkstream.media.verify import verify
from darkstream.model.media import Crop, MediaInfo
from darkstream.model.plan import EncodePlan
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import parse_preset

_BARRED = "testsrc2=s=320x136:r=25:d=2,pad=320:240:0:52"


def _measured(walker: Walker, source: Path) -> MediaInfo:
    path = os.fsencode(source)
    media = walker.prober.probe(path)
    seen = measure_picture(media, path, Decoder(walker.capabilities, walker.sandbox, LIMITS))
    video = media.video[0].model_copy(update={"active": seen.crop})
    return media.model_copy(update={"video": (video,)})


def _encode(walker: Walker, media: MediaInfo, source: Path, work: Path, text: str) -> bytes:
    preset = fast(parse_preset(f"name: x\n{text}", "x.yaml"))
    plan = make_plan(media, preset, walker.capabilities, validate(media))
    assert isinstance(plan, EncodePlan)
    work.mkdir()
    tools = {"capabilities": walker.capabilities, "sandbox": walker.sandbox, "limits": LIMITS}
    encoded = encode(plan, os.fsencode(source), os.fsencode(work), **tools)
    verify(plan, encoded, prober=walker.prober, **tools)
    return os.path.join(encoded.directory, encoded.main)


def _luma(path: bytes, row: int) -> float:
    with av.open(os.fsdecode(path)) as container:
        frame = next(container.decode(video=0)).reformat(format="gray")
    plane = frame.planes[0]
    line = bytes(plane)[row * plane.line_size :][: frame.width]
    return sum(line) / len(line)


@pytest.mark.parametrize("more", [(), ("-vf", f"{_BARRED.partition(',')[2]},setsar=4/3")])
def test_bars_are_cut_off(
    walker: Walker, clips: Clips, tmp_path: Path, more: tuple[str, ...]
) -> None:
    picture = "testsrc2=s=320x136:r=25:d=2" if more else _BARRED
    name = f"barred{len(more)}.mkv"
    source = clips.make(name, "-f", "lavfi", "-i", picture, *more, "-c:v", "mpeg4", "-q:v", "3")
    media = _measured(walker, source)
    assert media.video[0].active == Crop(width=320, height=136, x=0, y=52)
    cut = _encode(walker, media, source, tmp_path / "cut", "video: {crop: auto}\n")
    made = walker.prober.probe(cut).video[0]
    assert (made.width, made.height) == ((426, 136) if more else (320, 136))
    assert min(_luma(cut, 0), _luma(cut, made.height - 1)) > 40
    whole = _encode(walker, media, source, tmp_path / "whole", "")
    assert walker.prober.probe(whole).video[0].height == 240
    assert _luma(whole, 10) < 30


def test_lossless_cuts_too_and_keeps_the_rest(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = clips.make("barred-l.mkv", "-f", "lavfi", "-i", _BARRED, "-c:v", "ffv1")
    media = _measured(walker, source)
    text = "extends: lossless\nvideo: {crop: auto}\n"
    cut = _encode(walker, media, source, tmp_path / "cut", text)
    with av.open(os.fsdecode(cut)) as made, av.open(str(source)) as given:
        one, other = next(made.decode(video=0)), next(given.decode(video=0))
    assert (one.width, one.height) == (320, 136)
    plane, source_plane = one.planes[0], other.planes[0]
    for row in (0, 70, 135):
        line = bytes(plane)[row * plane.line_size :][:320]
        assert line == bytes(source_plane)[(row + 52) * source_plane.line_size :][:320]


def test_fields_that_are_kept_are_not_mixed_by_the_cut(walker: Walker, clips: Clips) -> None:
    fields = ("-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-field_order", "tt")
    barred = "testsrc2=s=320x140:r=25:d=2,pad=320:240:0:50,setfield=tff"
    source = clips.make("barred-f.mpg", "-f", "lavfi", "-i", barred, *fields)
    media = _measured(walker, source)
    preset = parse_preset("name: x\nextends: edit\nvideo: {crop: auto}\n", "x.yaml")
    plan = make_plan(media, preset, walker.capabilities, validate(media))
    assert isinstance(plan, EncodePlan)
    cut = encode_of(plan).cut
    assert cut is not None
    assert cut.y % 4 == 0
    assert cut.height % 4 == 0
    active = media.video[0].active
    assert active is not None
    assert active.y - 4 < cut.y <= active.y
    assert cut.y + cut.height >= active.y + active.height


def test_a_barred_file_that_fits_is_not_copied(walker: Walker, clips: Clips) -> None:
    source = clips.make("fits.mp4", "-f", "lavfi", "-i", _BARRED, "-pix_fmt", "yuv420p")
    media = _measured(walker, source)
    preset = parse_preset("name: x\nvideo: {crop: auto}\n", "x.yaml")
    plan = make_plan(media, preset, walker.capabilities, validate(media))
    assert isinstance(plan, EncodePlan)
    assert "it has black bars" in plan.reason

"""HDR10+ data stay with their pictures, by what is measured before and after."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import av
import pytest
from fixtures_dynamic import dynamic_clip, hdr10plus
from fixtures_planning import Clips, Walked, Walker, encode_of, shared_media

from darkstream.errors import VerificationFailed
from darkstream.media.hdr10plus import (
    Scene,
    check_hdr10plus,
    prepare_hdr10plus,
    read_scene,
    write_scenes,
)
from darkstream.model.preset import Preset
from darkstream.model.survey import Hdr10Plus
from darkstream.planning.presets import load_preset

_FRAMES = 30


def _wish(name: str, *changes: str) -> Preset:
    """A preset that encodes what it would copy."""
    return load_preset(name, changes=["video.copy_codecs=[]", "guards.smaller_by=null", *changes])


def _scenes(walker: Walker, path: str) -> list[Scene | None]:
    """What each shown picture's data say."""
    found = walker.prober.list_hdr10plus(os.fsencode(path), 0)
    scenes: list[Scene | None] = []
    for number, count in found.runs:
        scene = read_scene(bytes.fromhex(found.messages[number])) if number >= 0 else None
        scenes += [scene] * count
    return scenes


def _peaks(walker: Walker, path: str) -> list[int | None]:
    """What they say of its brightest red."""
    scenes = _scenes(walker, path)
    return [scene and scene["LuminanceParameters"]["MaxScl"][0] for scene in scenes]


def _made(walked: Walked) -> str:
    assert walked.encoded is not None, walked.reason
    return os.fsdecode(walked.encoded.directory + b"/" + walked.encoded.main)


def _told(walked: Walked) -> set[str]:
    return {finding.code for finding in walked.findings}


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("dolby", [None, 8])
def test_each_picture_keeps_its_own_data(
    walker: Walker, clips: Clips, tmp_path: Path, container: str, dolby: int | None
) -> None:
    name = f"plus-{dolby or 'alone'}.mp4"
    source = dynamic_clip(clips, name, dolby=dolby, plus=True, frames=_FRAMES)
    wanted = [5000 + number for number in range(_FRAMES)]
    assert _peaks(walker, str(source)) == wanted
    wish = _wish("hevc", f"container={container}", "video.dynamic_hdr=keep")
    done = walker.walk(source, wish, tmp_path)
    assert done.status == "done", done.reason
    assert encode_of(done.plan).hdr10plus == "keep"
    assert _peaks(walker, _made(done)) == wanted
    with av.open(_made(done)) as made:
        coded = [packet.pts for packet in made.demux(video=0) if packet.pts is not None]
    assert coded != sorted(coded)
    after = walker.prober.probe(os.fsencode(_made(done))).video[0]
    assert after.hdr10plus
    lost = {"dolby-vision-dropped"} if dolby and container == "ts" else set()
    assert _told(done) & {"dolby-vision-dropped", "hdr10plus-dropped"} == lost


def test_data_without_a_curve_and_pictures_without_data_are_kept_as_they_are(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    plain = partial(hdr10plus, curve=False)
    source = dynamic_clip(clips, "plus-plain.mp4", plus=plain, frames=_FRAMES)
    done = walker.walk(source, _wish("hevc", "video.dynamic_hdr=require"), tmp_path)
    assert done.status == "done", done.reason
    assert encode_of(done.plan).hdr10plus == "require"
    found = walker.prober.list_hdr10plus(os.fsencode(_made(done)), 0)
    scenes = [read_scene(bytes.fromhex(message)) for message in found.messages]
    assert len(scenes) == _FRAMES
    assert all(scene is not None and "BezierCurveData" not in scene for scene in scenes)


def test_a_form_that_cannot_be_written_is_told_or_refused(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    odd = partial(hdr10plus, saturation=9)
    source = dynamic_clip(clips, "plus-odd.mp4", plus=odd, frames=_FRAMES)
    done = walker.walk(source, _wish("hevc"), tmp_path / "keep")
    assert done.status == "done", done.reason
    assert "hdr10plus-dropped" in _told(done)
    after = walker.prober.probe(os.fsencode(_made(done))).video[0]
    assert (after.hdr, after.hdr10plus) == ("hdr10", False)
    with pytest.raises(VerificationFailed, match="does not write their form, and the preset"):
        walker.walk(source, _wish("hevc", "video.dynamic_hdr=require"), tmp_path / "require")


def test_data_of_other_pictures_are_not_published(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = dynamic_clip(clips, "plus-checked.mp4", plus=True, frames=_FRAMES)
    done = walker.walk(source, _wish("hevc"), tmp_path)
    assert done.encoded is not None
    assert done.encoded.hdr10plus is not None
    check_hdr10plus(done.encoded.hdr10plus, os.fsencode(_made(done)), walker.prober)
    late = dynamic_clip(
        clips, "plus-late.mp4", plus=lambda number: hdr10plus(number + 1), frames=_FRAMES
    )
    for wrong in (late, clips.plain()):
        with pytest.raises(VerificationFailed, match="not those of the source's pictures"):
            check_hdr10plus(done.encoded.hdr10plus, os.fsencode(wrong), walker.prober)
    with pytest.raises(VerificationFailed, match="cannot be read"):
        check_hdr10plus(done.encoded.hdr10plus, os.fsencode(tmp_path / "gone"), walker.prober)


@pytest.mark.parametrize("read", ["hlg", "av1"])
def test_what_hevc_of_hdr10_cannot_have_is_told(
    walker: Walker, clips: Clips, tmp_path: Path, read: str
) -> None:
    source = dynamic_clip(clips, "plus-elsewhere.mp4", plus=True, hlg=True, frames=_FRAMES)
    done = walker.walk(source, _wish("hevc" if read == "hlg" else "archive"), tmp_path)
    assert done.status == "done", done.reason
    assert "hdr10plus-dropped" in _told(done)
    assert not walker.prober.probe(os.fsencode(_made(done))).video[0].hdr10plus


@pytest.mark.shared_media
def test_a_phones_data_are_kept(walker: Walker, tmp_path: Path) -> None:
    source = shared_media() / "hevc_hdr10_pq_1080p.mp4"
    before = _scenes(walker, str(source))
    assert None not in before
    assert before[0] != before[-1]
    done = walker.walk(source, _wish("hevc", "video.dynamic_hdr=require"), tmp_path)
    assert done.status == "done", done.reason
    assert _scenes(walker, _made(done)) == before


def test_pictures_that_nobody_can_show_have_no_part_in_it(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    """A recording that begins where pictures before its first one need those that are cut off."""
    messages = [hdr10plus(number) for number in range(40)]
    told = Hdr10Plus(
        messages=tuple(message.hex() for message in messages),
        runs=tuple((number, 1) for number in range(40)),
    )
    scenes = clips.directory / "plus-open.json"
    write_scenes(scenes, [read_scene(message) or {} for message in messages], told)
    params = (
        "open-gop=1:keyint=10:min-keyint=10:scenecut=0:bframes=3:b-adapt=0:log-level=none"
        ":colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    )
    whole = clips.make(
        "plus-open.ts",
        *("-f", "lavfi", "-i", "testsrc2=s=320x192:r=25,format=yuv420p10le", "-frames:v", "40"),
        *("-c:v", "libx265", "-preset", "fast"),
        *("-x265-params", f"{params}:dhdr10-info={scenes}"),
    )
    cut = clips.make("plus-cut.ts", "-ss", "1", "-i", f"file:{whole}", "-c", "copy")
    with av.open(str(cut)) as container:
        packets = sum(bool(packet.size) for packet in container.demux(video=0))
    with av.open(str(cut)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert packets > shown
    wanted = [5000 + number for number in range(40 - shown, 40)]
    assert _peaks(walker, str(cut)) == wanted
    done = walker.walk(cut, _wish("hevc", "video.dynamic_hdr=require"), tmp_path)
    assert done.status == "done", done.reason
    assert _peaks(walker, _made(done)) == wanted


def test_a_plan_that_keeps_data_is_carried_out_with_a_prober(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = dynamic_clip(clips, "plus-blind.mp4", plus=True, frames=_FRAMES)
    done = walker.walk(source, _wish("hevc"), tmp_path)
    assert done.plan is not None
    with pytest.raises(ValueError, match="with a prober"):
        prepare_hdr10plus(done.plan, os.fsencode(source), os.fsencode(tmp_path / "x"), None)

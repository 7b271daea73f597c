"""Dolby Vision data stay with their pictures, by what is measured before and after."""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest
from fixtures_dynamic import PEAK, dynamic_clip
from fixtures_planning import Clips, Walked, Walker, copy_of, encode_of

from darkstream.errors import VerificationFailed
from darkstream.media.dynamic_hdr import check_dynamic_hdr, strip_gaps
from darkstream.model.media import DolbyVision
from darkstream.model.preset import Preset
from darkstream.planning.presets import load_preset

_FRAMES = 12
_LEVEL_1 = 1


def _wish(name: str, *changes: str) -> Preset:
    """A preset that encodes what it would copy."""
    return load_preset(name, changes=["video.copy_codecs=[]", "guards.smaller_by=null", *changes])


def _peaks(path: str) -> list[int]:
    """What the data of each shown picture say of its brightest pixel: the number of the picture."""
    found = []
    with av.open(path) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            sides = {side.type.name: bytes(side) for side in frame.side_data}  # type: ignore[attr-defined]
            data = sides["DOVI_METADATA"]
            begin, step, count = (
                int.from_bytes(data[at : at + size], "little")
                for at, size in ((24, 8), (32, 8), (40, 4))
            )
            blocks = [data[begin + step * number :][:step] for number in range(count)]
            block = next(one for one in blocks if one[0] == _LEVEL_1)
            found.append(int.from_bytes(block[6:8], "little") - PEAK)
    return found


def _told(walked: Walked) -> set[str]:
    return {finding.code for finding in walked.findings}


def _made(walked: Walked) -> str:
    assert walked.encoded is not None, walked.reason
    return os.fsdecode(walked.encoded.directory + b"/" + walked.encoded.main)


@pytest.mark.parametrize(
    ("preset", "hlg", "profile"),
    [("hevc", False, 8), ("hevc", True, 8), ("archive", False, 10), ("archive", True, 10)],
)
def test_each_picture_keeps_its_own_data(
    walker: Walker, clips: Clips, tmp_path: Path, preset: str, hlg: bool, profile: int
) -> None:
    compatibility = 4 if hlg else 1
    name = f"dolby-8.{compatibility}.mp4"
    source = dynamic_clip(
        clips, name, dolby=8, compatibility=compatibility, hlg=hlg, frames=_FRAMES
    )
    before = walker.prober.probe(os.fsencode(source)).video[0]
    assert before.dolby_vision == DolbyVision(profile=8, compatibility=compatibility)
    assert _peaks(str(source)) == list(range(_FRAMES))

    done = walker.walk(source, _wish(preset), tmp_path)
    assert done.status == "done", done.reason
    assert encode_of(done.plan).dolby_vision is not None
    assert _peaks(_made(done)) == list(range(_FRAMES))
    after = walker.prober.probe(os.fsencode(_made(done))).video[0]
    assert after.dolby_vision == DolbyVision(profile=profile, compatibility=compatibility)
    assert after.colour == before.colour
    assert (after.mastering_display is None) is hlg
    assert after.content_light == before.content_light
    assert after.tag == ("hvc1" if preset == "hevc" else None)
    assert not _told(done) & {"dolby-vision-dropped", "hdr10plus-dropped"}


def test_pictures_that_are_shown_in_another_order_keep_their_own(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = dynamic_clip(clips, "dolby-moving.mp4", dolby=8, frames=30)
    done = walker.walk(source, _wish("hevc", "container=mkv"), tmp_path)
    assert done.status == "done", done.reason
    with av.open(_made(done)) as container:
        coded = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert coded != sorted(coded)
    assert _peaks(_made(done)) == list(range(30))


def test_smaller_pictures_keep_data_that_count_no_pixels(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = dynamic_clip(clips, "dolby-large.mp4", dolby=8, frames=_FRAMES)
    wish = _wish("hevc", "video.max_width=160", "video.max_height=96")
    done = walker.walk(source, wish, tmp_path)
    assert done.status == "done", done.reason
    assert encode_of(done.plan).width == 160
    assert _peaks(_made(done)) == list(range(_FRAMES))


def test_smaller_pictures_lose_data_that_count_the_pixels_of_bars(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = dynamic_clip(clips, "dolby-bars.mp4", dolby=8, bars=24, frames=_FRAMES)
    before = walker.prober.probe(os.fsencode(source)).video[0]
    assert before.dolby_vision is not None
    assert before.dolby_vision.letterboxed
    same = walker.walk(source, _wish("hevc"), tmp_path / "same")
    assert _peaks(_made(same)) == list(range(_FRAMES))
    wish = _wish("hevc", "video.max_width=160", "video.max_height=96")
    done = walker.walk(source, wish, tmp_path / "smaller")
    assert "dolby-vision-dropped" in _told(done)
    assert walker.prober.probe(os.fsencode(_made(done))).video[0].hdr == "hdr10"


@pytest.mark.parametrize("preset", ["web", "webm"])
def test_what_is_tone_mapped_has_no_data_left_and_says_so(
    walker: Walker, clips: Clips, tmp_path: Path, preset: str
) -> None:
    source = dynamic_clip(clips, "dolby-plus.mp4", dolby=8, plus=True, frames=_FRAMES)
    before = walker.prober.probe(os.fsencode(source)).video[0]
    assert (before.hdr, before.hdr10plus) == ("dolby_vision", True)
    done = walker.walk(source, preset, tmp_path)
    assert done.status == "done", done.reason
    assert _told(done) >= {"dolby-vision-dropped", "hdr10plus-dropped"}
    after = walker.prober.probe(os.fsencode(_made(done))).video[0]
    assert (after.hdr, after.hdr10plus, after.dolby_vision) == ("none", False, None)


def test_data_can_be_dropped_on_request(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = dynamic_clip(clips, "dolby-dropped.mp4", dolby=8, frames=_FRAMES)
    done = walker.walk(source, _wish("hevc", "video.dynamic_hdr=drop"), tmp_path)
    after = walker.prober.probe(os.fsencode(_made(done))).video[0]
    assert (after.hdr, after.dolby_vision) == ("hdr10", None)
    assert "dolby-vision-dropped" in _told(done)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_copy_is_declared_as_its_source(
    walker: Walker, clips: Clips, tmp_path: Path, container: str
) -> None:
    source = dynamic_clip(clips, "dolby-copied.mp4", dolby=8, plus=True, frames=_FRAMES)
    done = walker.walk(source, load_preset("hevc", changes=[f"container={container}"]), tmp_path)
    assert (done.decision, done.status) == ("remux", "done"), done.reason
    assert copy_of(done.plan).dolby_vision is not None
    after = walker.prober.probe(os.fsencode(_made(done))).video[0]
    assert after.dolby_vision == DolbyVision(profile=8, compatibility=1)
    assert after.hdr10plus
    assert _peaks(_made(done)) == list(range(_FRAMES))
    again = walker.walk(Path(_made(done)), "hevc", tmp_path / "again")
    assert again.decision == ("skip" if container == "mp4" else "remux")


def test_a_copy_that_cannot_be_declared_says_so(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = dynamic_clip(clips, "dolby-to-quicktime.mp4", dolby=8, frames=_FRAMES)
    done = walker.walk(source, load_preset("hevc", changes=["container=mov"]), tmp_path)
    assert (done.decision, done.status) == ("remux", "done"), done.reason
    assert "dolby-vision-dropped" in _told(done)
    after = walker.prober.probe(os.fsencode(_made(done))).video[0]
    assert after.dolby_vision is not None
    assert not after.dolby_vision.declared


@pytest.mark.parametrize("declared", [True, False])
def test_profile_5_is_copied_or_refused_but_never_shown_as_something_else(
    walker: Walker, clips: Clips, tmp_path: Path, declared: bool
) -> None:
    name = f"dolby-5-{'declared' if declared else 'silent'}.mp4"
    source = dynamic_clip(clips, name, dolby=5, compatibility=0, declared=declared, frames=_FRAMES)
    before = walker.prober.probe(os.fsencode(source)).video[0]
    assert before.dolby_vision is not None
    assert (before.dolby_vision.profile, before.dolby_vision.declared) == (5, declared)
    for preset in ("web", "archive", "abr"):
        done = walker.walk(source, preset, tmp_path / preset)
        assert (done.status, done.decision) == ("rejected", "reject")
        assert "profile 5" in done.reason
    done = walker.walk(
        source, load_preset("hevc", changes=["pictures.poster=true"]), tmp_path / "copy"
    )
    assert (done.decision, done.status) == ("remux", "done"), done.reason
    assert done.plan is not None
    assert done.plan.companions == ()
    assert "pictures-left-out" in _told(done)
    after = walker.prober.probe(os.fsencode(_made(done))).video[0]
    assert (after.tag, after.dolby_vision) == ("dvh1", before.dolby_vision)


def test_an_output_without_its_data_is_not_published(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    kept = dynamic_clip(clips, "dolby-checked.mp4", dolby=8, frames=_FRAMES)
    done = walker.walk(kept, _wish("hevc"), tmp_path)
    assert done.plan is not None
    assert done.encoded is not None
    check_dynamic_hdr(done.plan, done.encoded, walker.prober)
    for name, said in (
        ("undeclared", "declared as nothing of the kind instead of Dolby Vision profile 8.1"),
        ("gaps", "3 of the output's 12 pictures lack Dolby Vision data"),
    ):
        other = dynamic_clip(
            clips,
            f"dolby-{name}.mp4",
            dolby=8,
            declared=name == "gaps",
            missing=3 if name == "gaps" else 0,
            frames=_FRAMES,
        )
        directory = tmp_path / name
        directory.mkdir()
        (directory / "output.mp4").write_bytes(other.read_bytes())
        wrong = done.encoded.model_copy(update={"directory": os.fsencode(directory)})
        with pytest.raises(VerificationFailed, match=said):
            check_dynamic_hdr(done.plan, wrong, walker.prober)


@pytest.mark.parametrize("missing", [1, 5])
def test_a_source_of_which_pictures_lack_data_keeps_none(
    walker: Walker, clips: Clips, tmp_path: Path, missing: int
) -> None:
    source = dynamic_clip(
        clips, f"dolby-lacks-{missing}.mp4", dolby=8, missing=missing, frames=_FRAMES
    )
    before = walker.prober.survey(os.fsencode(source)).stream(0)
    assert before is not None
    assert (before.packets, before.dolby_vision) == (_FRAMES, _FRAMES - missing)
    done = walker.walk(source, _wish("hevc"), tmp_path / "keep")
    assert done.status == "done", done.reason
    assert encode_of(done.plan).dolby_vision is not None
    assert (
        f"{missing} of its 12 pictures lack them"
        in {finding.code: finding.message for finding in done.findings}["dolby-vision-dropped"]
    )
    after = walker.prober.survey(os.fsencode(_made(done))).stream(0)
    assert after is not None
    assert after.dolby_vision == 0
    with pytest.raises(VerificationFailed, match="lack them, and the preset demands them"):
        walker.walk(source, _wish("hevc", "video.dynamic_hdr=require"), tmp_path / "require")


def test_a_plan_that_keeps_data_is_carried_out_with_a_prober(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = dynamic_clip(clips, "dolby-blind.mp4", dolby=8, frames=_FRAMES)
    done = walker.walk(source, _wish("hevc"), tmp_path)
    assert done.plan is not None
    with pytest.raises(ValueError, match="with a prober"):
        strip_gaps(done.plan, os.fsencode(source), None)

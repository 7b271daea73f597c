"""What speaks for a result: real encodes held against their originals."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures_planning import LIMITS, Clips, Walked, Walker

from darkstream.media.decoding import Decoder
from darkstream.media.evidence import gather
from darkstream.model.plan import EncodePlan
from darkstream.model.preset import Preset
from darkstream.model.replacement import Evidence
from darkstream.planning.presets import load_preset


def preset(name: str = "web", **video: object) -> Preset:
    base = load_preset(name)
    assert base.video is not None
    return base.model_copy(update={"video": base.video.model_copy(update=video)})


@pytest.fixture
def decoder(walker: Walker) -> Decoder:
    return Decoder(walker.capabilities, walker.sandbox, LIMITS)


def source(clips: Clips, name: str, *, seconds: float, rate: str = "25") -> Path:
    return clips.make(
        name,
        *("-f", "lavfi", "-i", f"testsrc2=s=320x240:r={rate}:d={seconds},noise=alls=12:allf=t"),
        *("-c:v", "mpeg4", "-q:v", "2"),
    )


def judge(walked: Walked, film: Path, clip: Path, decoder: Decoder) -> Evidence:
    assert walked.encoded is not None and isinstance(walked.plan, EncodePlan), walked.reason
    result = os.path.join(walked.encoded.directory, walked.encoded.main)
    return gather(walked.plan, os.fsencode(film), result, os.fsencode(clip), decoder)


def test_a_better_encode_has_the_better_figure(
    walker: Walker, clips: Clips, tmp_path: Path, decoder: Decoder
) -> None:
    film = source(clips, "evidence.avi", seconds=22)
    found = []
    for quality in (20, 48):
        walked = walker.walk(film, preset(quality=quality), tmp_path / f"{quality}")
        found.append(judge(walked, film, tmp_path / f"{quality}.mp4", decoder))
    good, bad = found
    assert good.metric == bad.metric == "vmaf"
    assert good.mean and good.least and bad.mean and bad.least
    assert good.mean > 90 and bad.mean < 60 and good.least <= good.mean
    assert good.least_at is not None and 3 < good.least_at < 19
    for name in ("20.mp4", "48.mp4"):
        media = walker.prober.probe(os.fsencode(tmp_path / name))
        assert (media.video[0].width, media.video[0].height) == (640, 240)
        assert media.duration is not None and 3.5 < media.duration < 4.5


def test_pictures_are_paired_where_their_number_or_place_changed(
    walker: Walker, clips: Clips, tmp_path: Path, decoder: Decoder
) -> None:
    """Wrongly paired, moving noise has next to nothing in common."""
    film = source(clips, "evidence-rate.avi", seconds=3, rate="30000/1001")
    wish = preset(quality=16, max_height=120)
    walked = walker.walk(film, wish, tmp_path / "small")
    evidence = judge(walked, film, tmp_path / "small.mp4", decoder)
    assert evidence.mean is not None and evidence.mean > 90 and evidence.clip


def test_pictures_that_begin_late_are_paired(
    walker: Walker, clips: Clips, tmp_path: Path, decoder: Decoder
) -> None:
    """The sound is there first, and the result's file says that it begins with the pictures."""
    film = clips.make(
        "evidence-late.mkv",
        *("-f", "lavfi", "-i", "sine=440:r=48000:d=3", "-itsoffset", "0.06"),
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=3,noise=alls=12:allf=t"),
        *("-c:v", "mpeg4", "-q:v", "2", "-c:a", "aac"),
    )
    walked = walker.walk(film, preset(quality=16), tmp_path / "work")
    for sound in (True, False):
        if not sound:
            assert walked.encoded is not None and isinstance(walked.plan, EncodePlan)
            main = tmp_path / os.fsdecode(walked.encoded.directory) / walked.encoded.main.decode()
            alone = tmp_path / "alone.mp4"
            told = [walker.capabilities.ffmpeg, "-v", "error", "-i", main, "-an", "-c", "copy"]
            subprocess.run([*told, "-copyts", alone], check=True)
            alone.replace(main)
        evidence = judge(walked, film, tmp_path / f"{sound}.mp4", decoder)
        assert evidence.mean is not None and evidence.mean > 90, (sound, evidence)


def test_without_vmaf_there_is_another_figure(
    walker: Walker, clips: Clips, tmp_path: Path, decoder: Decoder
) -> None:
    film = source(clips, "evidence-ssim.avi", seconds=2)
    walked = walker.walk(film, preset(quality=20), tmp_path / "work")
    plain = decoder.capabilities.model_copy(update={"filters": (), "encoders": ()})
    evidence = judge(walked, film, tmp_path / "c.mp4", replace(decoder, capabilities=plain))
    assert evidence.metric == "ssim" and evidence.mean is not None and 0.8 < evidence.mean <= 1
    assert not evidence.clip and "no encoder for H.264" in evidence.note
    assert not (tmp_path / "c.mp4").exists()


def test_what_cannot_be_compared_is_said(
    walker: Walker, clips: Clips, tmp_path: Path, decoder: Decoder
) -> None:
    film = source(clips, "evidence-ssim.avi", seconds=2)
    walked = walker.walk(film, preset(quality=20), tmp_path / "work")
    assert isinstance(walked.plan, EncodePlan) and walked.encoded is not None
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    paths = os.fsencode(film), os.fsencode(broken), os.fsencode(tmp_path / "c.mp4")
    evidence = gather(walked.plan, *paths, decoder)
    assert evidence.metric is None and not evidence.clip
    assert "no figure: " in evidence.note and "no clip: " in evidence.note


def test_copied_pictures_need_no_figure(
    walker: Walker, clips: Clips, tmp_path: Path, decoder: Decoder
) -> None:
    film = clips.make(
        "evidence-copied.mkv",
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=1", "-c:v", "libx264"),
        *("-pix_fmt", "yuv420p"),
    )
    walked = walker.walk(film, load_preset("web"), tmp_path / "work")
    evidence = judge(walked, film, tmp_path / "c.mp4", decoder)
    assert evidence == Evidence(note="nothing to compare: its pictures were copied as they are")

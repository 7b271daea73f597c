"""Presentations of every kind of picture: HDR, other codecs, portrait, 4:3, late beginnings."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_planning import Clips, Walked, Walker

from darkstream.media.tracks import read_tracks
from darkstream.media.validator import check_presentation
from darkstream.model.preset import PackageRule, Preset, Rung
from darkstream.planning.presets import load_preset

RUNGS = (Rung(height=240, max_bit_rate=900_000), Rung(height=120, max_bit_rate=300_000))
BT2020 = "setparams=color_primaries=bt2020:colorspace=bt2020nc:range=tv:color_trc"


def preset(codec: str = "h264", audio: str = "aac", **video: object) -> Preset:
    base = load_preset("abr")
    assert base.video is not None
    rule = PackageRule(kind="abr", ladder=RUNGS, segment_seconds=Fraction(2))
    changed = {"codec": codec, "quality": None, "speed": None, **video}
    return base.model_copy(
        update={
            "package": rule,
            "video": base.video.model_copy(update=changed),
            "audio": base.audio.model_copy(update={"codec": audio}),
        }
    )


def hdr_clip(clips: Clips, transfer: str) -> Path:
    return clips.make(
        f"{transfer}.mkv",
        *(
            "-f",
            "lavfi",
            "-i",
            f"testsrc2=s=320x240:r=25:d=3,format=yuv420p10le,{BT2020}={transfer}",
        ),
        *("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
    )


def text_of(walked: Walked, name: str) -> str:
    assert walked.presentation is not None, walked.reason
    return Path(os.fsdecode(walked.presentation.path), name).read_text()


@pytest.mark.parametrize("codec", ["hevc", "av1", "vp9"])
@pytest.mark.parametrize(
    ("transfer", "told", "code", "kind"),
    [
        ("smpte2084", "PQ", 16, "EssentialProperty"),
        ("arib-std-b67", "HLG", 18, "SupplementalProperty"),
    ],
)
def test_hdr_ladders_say_what_they_are(
    walker: Walker,
    clips: Clips,
    tmp_path: Path,
    codec: str,
    transfer: str,
    told: str,
    code: int,
    kind: str,
) -> None:
    wish = preset(codec, hdr="keep", bit_depth=10)
    done = walker.walk(hdr_clip(clips, transfer), wish, tmp_path)
    master, mpd = text_of(done, "master.m3u8"), text_of(done, "manifest.mpd")
    assert master.count(f"VIDEO-RANGE={told}") == 4
    transfer_mark = (
        f'<{kind} schemeIdUri="urn:mpeg:mpegB:cicp:TransferCharacteristics" value="{code}"'
    )
    assert transfer_mark in mpd
    assert 'cicp:ColourPrimaries" value="9"' in mpd
    assert re.search(r'CODECS="(hvc1\.2\.4|av01\.0\.\d\dM\.10|vp09\.02\.\d\d\.10)', master)
    damaged = Path(os.fsdecode(done.presentation.path)) / "manifest.mpd"  # type: ignore[union-attr]
    damaged.write_text(mpd.replace(transfer_mark, transfer_mark.replace(str(code), "1")))
    found = check_presentation(os.fsencode(damaged.parent), "", "manifest.mpd")
    assert {v.rule for v in found} == {"ISO/IEC 23091-2, TransferCharacteristics"}


def test_hdr_tone_mapped_is_sdr(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    done = walker.walk(hdr_clip(clips, "smpte2084"), preset(), tmp_path)
    assert text_of(done, "master.m3u8").count("VIDEO-RANGE=SDR") == 4


@pytest.mark.parametrize(("codec", "audio"), [("vp9", "opus"), ("av1", "flac"), ("h264", "eac3")])
def test_other_codecs_are_cmaf_too(
    walker: Walker, clips: Clips, tmp_path: Path, codec: str, audio: str
) -> None:
    done = walker.walk(clips.plain("three.mp4", seconds=3), preset(codec, audio), tmp_path)
    names = {"opus": "opus", "flac": "fLaC", "eac3": "ec-3"}
    assert f',{names[audio]}"' in text_of(done, "master.m3u8")
    assert done.presentation is not None
    for name in ("init-0.mp4", "init-2.mp4"):
        data = Path(os.fsdecode(done.presentation.path), name).read_bytes()
        assert data[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ("240x320", [(240, 320), (120, 160)]),
        ("200x150", [(200, 150), (160, 120)]),
        ("100x80", [(100, 80)]),
    ],
)
def test_portrait_and_small_sources_are_never_made_larger(
    walker: Walker, clips: Clips, tmp_path: Path, size: str, sizes: list[tuple[int, int]]
) -> None:
    clip = clips.make(f"{size}.mkv", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=3")
    done = walker.walk(clip, preset(), tmp_path)
    assert done.presentation is not None, done.reason
    tracks = read_tracks(done.presentation.path)
    assert [(track.width, track.height) for track in tracks] == sizes


def test_a_late_or_short_track_breaks_no_rule(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    clip = clips.make(
        "late.mkv",
        *("-f", "lavfi", "-i", "sine=440:r=48000:d=5"),
        *("-itsoffset", "0.7", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=30000/1001:d=4"),
        *("-map", "1:v", "-map", "0:a", "-c:v", "libx264", "-bf", "2", "-c:a", "aac"),
    )
    done = walker.walk(clip, preset(), tmp_path)
    assert done.status == "done", done.reason
    assert "FRAME-RATE=29.970" in text_of(done, "master.m3u8")


@pytest.mark.parametrize("length", ["0.04", "0.12", "2.1"])
def test_the_shortest_films_break_no_rule(
    walker: Walker, clips: Clips, tmp_path: Path, length: str
) -> None:
    """A first picture may be larger than all that follows."""
    clip = clips.make(
        f"short-{length}.mkv", "-f", "lavfi", "-i", f"mandelbrot=s=320x240:r=25,trim=0:{length}"
    )
    done = walker.walk(clip, preset(), tmp_path)
    assert done.status == "done", done.reason

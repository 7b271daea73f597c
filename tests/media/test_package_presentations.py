"""Presentations: HLS and DASH over one set of segments."""

from __future__ import annotations

import os
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_planning import Clips, Walked, Walker

from darkstream.errors import VerificationFailed
from darkstream.media.boxes import starts_fast
from darkstream.media.package import package
from darkstream.media.tracks import read_tracks
from darkstream.model.plan import AbrPackage, EncodePlan
from darkstream.model.preset import PackageRule, Preset, Rung
from darkstream.planning.presets import load_preset

RUNGS = (Rung(height=240, max_bit_rate=900_000), Rung(height=120, max_bit_rate=300_000))


def preset(**changes: object) -> Preset:
    values: dict[str, object] = {"kind": "abr", "ladder": RUNGS, "segment_seconds": Fraction(2)}
    rule = PackageRule.model_validate(values | changes)
    return load_preset("abr").model_copy(update={"package": rule})


@pytest.fixture
def walked(walker: Walker, clips: Clips, tmp_path: Path) -> Walked:
    source = clips.make(
        "two-tracks.mkv",
        *("-i", str(clips.plain("five.mp4", seconds=5)), "-map", "0:v", "-map", "0:a"),
        *("-map", "0:a", "-c", "copy", "-metadata:s:a:0", "language=eng"),
        *("-metadata:s:a:1", "language=jpn", "-metadata:s:a:1", 'title=Director "cut"'),
    )
    done = walker.walk(source, preset(), tmp_path)
    assert done.status == "done", done.reason
    return done


def directory_of(walked: Walked) -> Path:
    assert walked.presentation is not None
    return Path(os.fsdecode(walked.presentation.path))


def test_segments_are_aligned_and_both_manifests_name_them(walked: Walked) -> None:
    tracks = read_tracks(os.fsencode(directory_of(walked)))
    video = [track for track in tracks if track.kind == "video"]
    assert [(track.width, track.height) for track in video] == [(320, 240), (160, 120)]
    cuts = [[segment.duration for segment in track.segments] for track in video]
    assert cuts == [[2, 2, 1], [2, 2, 1]]
    assert len(tracks) == 4
    assert walked.presentation is not None
    assert walked.presentation.entry == b"master.m3u8"


def test_the_master_playlist_names_codecs_sizes_and_languages(walked: Walked) -> None:
    text = (directory_of(walked) / "master.m3u8").read_text()
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:7\n")
    assert 'NAME="eng",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE="en",CHANNELS="2"' in text
    assert 'NAME="Director \'cut\'",DEFAULT=NO,AUTOSELECT=YES,LANGUAGE="ja",CHANNELS="2"' in text
    assert text.count("#EXT-X-STREAM-INF:BANDWIDTH=") == 2
    assert 'RESOLUTION=320x240,VIDEO-RANGE=SDR,FRAME-RATE=25.000,AUDIO="audio"' in text
    assert 'CODECS="avc1.' in text
    assert ',mp4a.40.2"' in text


def test_the_dash_manifest_is_exact(walked: Walked) -> None:
    text = (directory_of(walked) / "manifest.mpd").read_text()
    assert 'mediaPresentationDuration="PT5.' in text
    assert text.count("<AdaptationSet") == 3
    assert 'lang="ja"' in text
    assert "<Label>Director" in text
    assert "bitstreamSwitching" not in text


def test_a_second_codec_is_a_group_of_its_own(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = clips.make(
        "surround.mkv",
        *("-i", str(clips.plain("five.mp4", seconds=5)), "-map", "0", "-c", "copy"),
        *("-c:a", "ac3", "-ac", "6", "-metadata:s:a:0", "language=eng"),
    )
    wish = preset()
    wish = wish.model_copy(update={"audio": wish.audio.model_copy(update={"beside_codec": "eac3"})})
    done = walker.walk(source, wish, tmp_path)
    assert done.status == "done", done.reason
    directory = directory_of(done)
    master = (directory / "master.m3u8").read_text()
    assert 'GROUP-ID="audio-aac",NAME="eng",DEFAULT=YES' in master
    assert 'GROUP-ID="audio-eac3",NAME="eng",DEFAULT=YES' in master
    assert 'LANGUAGE="en",CHANNELS="6"' in master
    variants = [line for line in master.splitlines() if line.startswith("#EXT-X-STREAM-INF")]
    told = [("mp4a.40.2" in v, "ec-3" in v, 'AUDIO="audio-eac3"' in v) for v in variants]
    assert told == [(True, False, False)] * 2 + [(False, True, True)] * 2
    mpd = (directory / "manifest.mpd").read_text()
    assert mpd.count('contentType="audio"') == 2
    assert mpd.count('value="main"') == 2
    sound = [track.codecs for track in read_tracks(os.fsencode(directory)) if track.kind == "audio"]
    assert sound == ["mp4a.40.2", "ec-3"]


@pytest.mark.parametrize("name", ["manifest.mpd", "master.m3u8"])
def test_players_decode_it(walker: Walker, walked: Walked, name: str) -> None:
    argv = [walker.capabilities.ffmpeg, "-v", "error", "-xerror", "-i", name, "-map", "0"]
    argv += ["-f", "null", "-"]
    done = subprocess.run(
        argv, cwd=directory_of(walked), capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("changes", "entry", "gone"),
    [
        ({"hls": False}, b"manifest.mpd", ".m3u8"),
        ({"dash": False}, b"master.m3u8", ".mpd"),
    ],
)
def test_only_the_wished_manifests_are_published(
    walker: Walker,
    clips: Clips,
    tmp_path: Path,
    changes: dict[str, object],
    entry: bytes,
    gone: str,
) -> None:
    done = walker.walk(clips.plain(), preset(**changes), tmp_path)
    assert done.presentation is not None, done.reason
    assert done.presentation.entry == entry
    assert not [name for name in os.listdir(directory_of(done)) if name.endswith(gone)]


def test_silent_and_tiny_sources_have_one_rendition(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    tiny = clips.make("tiny.mkv", "-f", "lavfi", "-i", "testsrc2=s=66x50:r=5:d=0.4")
    done = walker.walk(tiny, preset(), tmp_path)
    assert done.verification is not None, done.reason
    assert done.verification.frames == (2,)
    assert "AUDIO=" not in (directory_of(done) / "master.m3u8").read_text()


def test_a_missing_or_unnamed_segment_is_noticed(walked: Walked) -> None:
    assert walked.plan is not None
    assert walked.encoded is not None
    (directory_of(walked) / "stray.m4s").write_bytes(b"x")
    with pytest.raises(VerificationFailed, match=r"no manifest names stray\.m4s"):
        package(walked.plan, walked.encoded)
    (directory_of(walked) / "stray.m4s").unlink()
    hls_only = _hls_only(walked.plan)
    (directory_of(walked) / "seg-0-00002.m4s").unlink()
    with pytest.raises(
        VerificationFailed, match=r"seg-0-00002\.m4s is not there \(RFC 8216bis 4\.4\.4\)"
    ):
        package(hls_only, walked.encoded)


def _hls_only(plan: EncodePlan) -> EncodePlan:
    assert isinstance(plan.package, AbrPackage)
    return plan.model_copy(update={"package": plan.package.model_copy(update={"dash": False})})


def test_an_mp4_with_its_index_at_the_end_is_not_published(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    done = walker.walk(clips.plain(), "web", tmp_path)
    assert done.plan is not None
    assert done.encoded is not None
    late = clips.plain()
    assert not starts_fast(os.fsencode(late))
    Path(os.fsdecode(done.encoded.directory), "output.mp4").write_bytes(late.read_bytes())
    with pytest.raises(VerificationFailed, match="does not start fast"):
        package(done.plan, done.encoded)


def test_boxes_are_walked_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes((1).to_bytes(4, "big") + b"free" + (24).to_bytes(8, "big") + b"\0" * 8)
    assert not starts_fast(os.fsencode(path))
    with path.open("ab") as file:
        file.write((8).to_bytes(4, "big") + b"moov")
    assert starts_fast(os.fsencode(path))

"""Key frames as a track of their own, for DASH players that show them while seeking by sight."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from fixtures_planning import Clips, Walker

from darkstream.media.encryption import encrypt_package
from darkstream.media.tracks import Track, read_tracks
from darkstream.media.validator import check_presentation
from darkstream.model.key import SecretKey
from darkstream.model.plan import AbrPackage, EncodePlan, Encryption
from darkstream.model.preset import PackageRule, Rung
from darkstream.observe.cancel import CancelToken
from darkstream.planning.presets import load_preset

SECONDS = 9
MPD = "manifest.mpd"


@pytest.fixture(scope="module")
def made(
    walker: Walker, clips: Clips, tmp_path_factory: pytest.TempPathFactory
) -> tuple[EncodePlan, Path]:
    rungs = (Rung(height=240, max_bit_rate=900_000), Rung(height=120, max_bit_rate=300_000))
    rule = PackageRule(kind="abr", ladder=rungs, segment_seconds=Fraction(1))
    preset = load_preset("abr").model_copy(update={"package": rule})
    source = clips.plain("nine.mp4", seconds=SECONDS)
    walked = walker.walk(source, preset, tmp_path_factory.mktemp("keyframes"))
    assert walked.presentation is not None, walked.reason
    assert walked.plan is not None
    return walked.plan, Path(os.fsdecode(walked.presentation.path))


@pytest.fixture
def directory(made: tuple[EncodePlan, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[1], tmp_path / "package"))


def tracks_of(directory: Path) -> tuple[Track, Track]:
    """The smallest rendition, and its key frames."""
    tracks = read_tracks(os.fsencode(directory))
    *_, small = (track for track in tracks if track.kind == "video")
    (keys,) = (track for track in tracks if track.kind == "keys")
    return small, keys


def pictures(directory: Path, init: str | None, name: str) -> list[bytes]:
    data = (directory / str(init)).read_bytes() + (directory / name).read_bytes()
    with av.open(io.BytesIO(data)) as container:
        return [bytes(frame.planes[0]) for frame in container.decode(video=0)]


def test_each_segment_is_the_first_picture_of_a_real_one_for_as_long(directory: Path) -> None:
    small, keys = tracks_of(directory)
    assert len(keys.segments) == SECONDS
    assert (keys.width, keys.height, keys.codecs, keys.init) == (160, 120, small.codecs, small.init)
    for key, whole in zip(keys.segments, small.segments, strict=True):
        assert (key.start, key.duration) == (whole.start, whole.duration)
        (picture,) = pictures(directory, keys.init, key.name)
        first, *others = pictures(directory, small.init, whole.name)
        assert picture == first
        assert others


def test_the_manifest_says_whose_key_frames_they_are(directory: Path) -> None:
    text = (directory / MPD).read_text()
    (group,) = re.findall(r"(?s)<AdaptationSet(?:(?!</Adap).)*trickmode.*?</AdaptationSet>", text)
    assert (
        '<EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="0"' in group
    )
    assert 'codingDependency="false"' in group
    assert 'maxPlayoutRate="32"' in group
    assert 'frameRate="1/1"' in group
    assert "Role" not in group
    assert not check_presentation(os.fsencode(directory), "master.m3u8", MPD)


def test_ffmpeg_reads_it_as_before(walker: Walker, directory: Path) -> None:
    argv = [walker.capabilities.ffmpeg, "-v", "error", "-xerror", "-i", MPD, "-map", "0:0"]
    argv += ["-f", "null", "-"]
    done = subprocess.run(argv, cwd=directory, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_hls_has_them_by_their_bytes_and_not_twice(directory: Path) -> None:
    _, keys = tracks_of(directory)
    named = {key.name for key in keys.segments}
    for playlist in directory.glob("*.m3u8"):
        assert not named & set(playlist.read_text().splitlines())


def replaced(pattern: str, by: str) -> Callable[[Path], None]:
    def break_it(directory: Path) -> None:
        text, done = re.subn(pattern, by, (directory / MPD).read_text())
        assert done
        (directory / MPD).write_text(text)

    return break_it


def filled(directory: Path) -> None:
    small, keys = tracks_of(directory)
    whole = directory / small.segments[1].name
    (directory / keys.segments[1].name).write_bytes(whole.read_bytes())


@pytest.mark.parametrize(
    "broken",
    [
        replaced('trickmode" value="0"', 'trickmode" value="9"'),
        replaced(' codingDependency="false"', ""),
        filled,
    ],
)
def test_what_breaks_them_is_named(directory: Path, broken: Callable[[Path], None]) -> None:
    broken(directory)
    found = [str(one) for one in check_presentation(os.fsencode(directory), "master.m3u8", MPD)]
    assert any(one.endswith("(DASH-IF IOP 4.3, trick mode)") for one in found), found


def test_they_are_encrypted_with_the_rest(made: tuple[EncodePlan, Path], directory: Path) -> None:
    plan, _ = made
    assert isinstance(plan.package, AbrPackage)
    clear = {path.name: path.read_bytes() for path in directory.iterdir()}
    wish = Encryption(scheme="cenc", key_uri="https://keys.test/{key_id}")
    key = SecretKey(id=bytes(range(16)), secret=bytes(range(16, 32)))
    into = encrypt_package(plan, plan.package, wish, os.fsencode(directory), key, CancelToken())
    _, keys = tracks_of(directory)
    for segment in keys.segments:
        found = (Path(os.fsdecode(into)) / segment.name).read_bytes()
        assert b"senc" in found
        assert found != clear[segment.name]

"""Transparency of VP8 and VP9, which is in a stream at the side of the pictures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fixtures_planning import Clips, Walker, encode_of


def _half_transparent(clips: Clips, name: str, encoder: str) -> Path:
    """A red of which half shines through."""
    picture = "color=red@0.5:s=64x48:r=25:d=0.4,format=yuva420p"
    options = ("-f", "lavfi", "-i", picture, "-c:v", encoder, "-cpu-used", "8")
    return clips.make(name, *options, "-auto-alt-ref", "0")


def _first_pixel(walker: Walker, path: bytes, *decoder: str) -> tuple[int, ...]:
    """Red, green, blue, alpha of the first pixel."""
    argv = [walker.capabilities.ffmpeg, "-v", "error", "-nostdin", *decoder]
    argv += ["-i", f"file:{os.fsdecode(path)}", "-frames:v", "1", "-vf", "crop=2:2:20:20"]
    argv += ["-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    return tuple(subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout[:4])


@pytest.mark.parametrize("encoder", ["libvpx", "libvpx-vp9"])
def test_it_is_blended_onto_black_where_it_cannot_stay(
    walker: Walker, clips: Clips, tmp_path: Path, encoder: str
) -> None:
    source = _half_transparent(clips, f"half-{encoder}.webm", encoder)
    done = walker.walk(source, "web", tmp_path)
    assert done.presentation is not None, done.reason
    assert [finding.code for finding in done.findings] == ["transparency-lost"]
    red, *_ = _first_pixel(walker, done.presentation.path)
    assert red == pytest.approx(128, abs=8)


def test_it_stays_in_webm(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = _half_transparent(clips, "half-libvpx.webm", "libvpx")
    done = walker.walk(source, "webm", tmp_path)
    assert done.presentation is not None, done.reason
    assert (done.decision, done.findings) == ("convert", ())
    red, _, _, alpha = _first_pixel(walker, done.presentation.path, "-c:v", "libvpx-vp9")
    assert red == pytest.approx(255, abs=8)
    assert alpha == pytest.approx(128, abs=8)
    assert walker.prober.probe(done.presentation.path).video[0].alpha


def test_a_copy_keeps_it_and_a_file_as_wished_stays(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    whole = _half_transparent(clips, "half-libvpx-vp9.webm", "libvpx-vp9")
    assert walker.walk(whole, "webm", tmp_path / "as-it-is").status == "skipped"
    source = clips.make("half.mkv", "-c:v", "libvpx-vp9", "-i", str(whole), "-c", "copy")
    done = walker.walk(source, "webm", tmp_path)
    assert done.presentation is not None, done.reason
    assert done.decision == "remux"
    assert b"\x53\xc0\x81\x01" in Path(os.fsdecode(done.presentation.path)).read_bytes()[:4096]
    _, _, _, alpha = _first_pixel(walker, done.presentation.path, "-c:v", "libvpx-vp9")
    assert alpha == pytest.approx(128, abs=8)


def test_a_recording_that_only_says_so_is_not_transparent(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4")
    options = ("-c:v", "libvpx", "-cpu-used", "8", "-metadata:s:v:0", "alpha_mode=1")
    done = walker.walk(clips.make("says-so.webm", *picture, *options), "web", tmp_path)
    assert (done.status, done.findings) == ("done", ())
    assert encode_of(done.plan).decoder is None

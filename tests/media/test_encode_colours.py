"""Colours come out as they were meant, whatever matrix a source codes them in."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import av
import pytest
from fixtures_planning import Clips, Walker, encode_of

_COLOUR = (48, 96, 160)
_NAMED = "setparams=color_primaries=bt709:color_trc=bt709"
_SAME = 4
"""Steps of 255 that rounding to limited range and back may cost."""


def _clip(clips: Clips, matrix: str, size: str) -> Path:
    """One colour, coded in a matrix."""
    picture = f"color=0x{bytes(_COLOUR).hex()}:s={size}:r=25:d=0.2,format=gbrp"
    coded = f"{_NAMED},zscale=matrix={matrix}:range=tv,format=yuv444p"
    name = f"{matrix}-{size}.mkv"
    return clips.make(name, "-f", "lavfi", "-i", picture, "-vf", coded, "-c:v", "ffv1")


def _shown(path: bytes) -> tuple[float, ...]:
    """The mean colour of the first picture, as a player would show it."""
    with av.open(path.decode()) as container:
        frame = next(container.decode(video=0)).reformat(format="rgb24")
    plane = bytes(frame.planes[0])
    width, rows = frame.width * 3, frame.planes[0].line_size
    lines = [plane[row * rows : row * rows + width] for row in range(frame.height)]
    return tuple(fmean(value for line in lines for value in line[c::3]) for c in range(3))


@pytest.mark.parametrize("size", ["64x48", "65x49"])
@pytest.mark.parametrize("matrix", ["ycgco", "chroma-derived-nc", "chroma-derived-c", "bt709"])
def test_every_matrix_is_seen_as_it_was_meant(
    walker: Walker, clips: Clips, tmp_path: Path, matrix: str, size: str
) -> None:
    done = walker.walk(_clip(clips, matrix, size), "web", tmp_path)
    assert done.status == "done", done.reason
    assert done.encoded is not None
    assert encode_of(done.plan).colour.matrix == "bt709"
    seen = _shown(done.encoded.directory + b"/" + done.encoded.main)
    assert seen == pytest.approx(_COLOUR, abs=_SAME)


@pytest.mark.parametrize("preset", ["web", "hevc"])
def test_ictcp_is_shown_as_the_same_picture_in_bt2020_would_be(
    walker: Walker, clips: Clips, tmp_path: Path, preset: str
) -> None:
    picture = f"color=0x{bytes(_COLOUR).hex()}:s=64x48:r=25:d=0.2,format=gbrp16"
    seen = []
    for matrix in ("ictcp", "bt2020nc"):
        coded = (
            f"zscale=matrix={matrix}:range=tv:primaries=2020:transfer=smpte2084:primariesin=709"
            ":transferin=709,format=yuv444p10"
        )
        name = f"pq-{matrix}.mkv"
        source = clips.make(name, "-f", "lavfi", "-i", picture, "-vf", coded, "-c:v", "ffv1")
        done = walker.walk(source, preset, tmp_path / matrix)
        assert done.status == "done", done.reason
        assert done.encoded is not None
        assert encode_of(done.plan).colour.matrix == ("bt709" if preset == "web" else "bt2020nc")
        seen.append(_shown(done.encoded.directory + b"/" + done.encoded.main))
    assert seen[0] == pytest.approx(seen[1], abs=_SAME)


@pytest.mark.parametrize("transfer", ["bt470m", "bt470bg", "smpte428", "bt1361e"])
def test_every_transfer_can_be_named(
    walker: Walker, clips: Clips, tmp_path: Path, transfer: str
) -> None:
    picture = "testsrc2=s=64x48:r=25:d=0.2"
    named = f"format=yuv420p,setparams=color_trc={transfer}"
    name = f"transfer-{transfer}.mkv"
    source = clips.make(name, "-f", "lavfi", "-i", picture, "-vf", named, "-c:v", "ffv1")
    done = walker.walk(source, "web", tmp_path)
    assert done.status == "done", done.reason
    assert encode_of(done.plan).colour.transfer == transfer


def test_grey_that_calls_itself_rgb_is_grey(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    picture = "testsrc2=s=64x48:r=25:d=0.2"
    source = clips.make("grey.mkv", "-f", "lavfi", "-i", picture, "-c:v", "png", "-pix_fmt", "ya8")
    done = walker.walk(source, "web", tmp_path)
    assert done.media is not None
    assert done.media.video[0].colour.matrix == "gbr"
    assert done.status == "done", done.reason


@pytest.mark.parametrize("matrix", ["ycgco-re", "ipt-c2", "smpte2085", "ictcp"])
def test_colours_nobody_can_convert_are_refused_with_their_name(
    walker: Walker, clips: Clips, tmp_path: Path, matrix: str
) -> None:
    picture = "testsrc2=s=64x48:r=25:d=0.2"
    named = f"format=yuv444p,setparams=colorspace={matrix}"
    name = f"matrix-{matrix}.mkv"
    source = clips.make(name, "-f", "lavfi", "-i", picture, "-vf", named, "-c:v", "libx264")
    done = walker.walk(source, "web", tmp_path)
    assert done.status == "rejected"
    assert done.reason.startswith("its colours are coded as ")

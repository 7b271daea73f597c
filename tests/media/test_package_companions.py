"""What goes beside an output: looked at as players would."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pysubs2
import pytest
from fixtures_planning import LIMITS, Clips, Walked, Walker

from darkstream.media.companions import look_at, make_companions, sprite_map, tell_missing
from darkstream.media.decoding import Decoder
from darkstream.model.plan import Sprites
from darkstream.planning.presets import parse_preset

_SRT = "1\n00:00:00,200 --> 00:00:00,900\n<i>Hello</i> & you\n\n"


def _make(walker: Walker, source: Path, work: Path, text: str) -> tuple[Walked, dict[str, Path]]:
    done = walker.walk(source, parse_preset(f"name: x\n{text}", "x.yaml"), work / "walk")
    assert done.plan is not None, done.reason
    assert done.encoded is not None
    assert done.verification is not None
    look = look_at(done.plan, done.encoded, done.verification.duration)
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    beside = os.fsencode(work / "100%d" / "beside")
    made = make_companions(done.plan, os.fsencode(source), look, beside, decoder)
    return done, {one.suffix: Path(os.fsdecode(one.path)) for one in made}


def _picture(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def _mean(frame: av.VideoFrame, box: tuple[int, int, int, int] | None = None) -> float:
    plane = frame.reformat(format="gray").planes[0]
    rows = [bytes(plane)[y * plane.line_size :][: frame.width] for y in range(frame.height)]
    x, y, width, height = box or (0, 0, frame.width, frame.height)
    inside = [row[x : x + width] for row in rows[y : y + height]]
    return sum(map(sum, inside)) / (width * height)


def _stairs(clips: Clips) -> Path:
    """Twelve seconds: each second a grey brighter than the one before."""
    grey = "nullsrc=s=128x72:r=10:d=12,geq=lum='16+16*floor(T)':cb=128:cr=128"
    return clips.make("stairs.avi", "-f", "lavfi", "-i", grey, "-c:v", "mpeg4", "-q:v", "2")


def test_sprites_show_what_their_map_says(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    _, made = _make(
        walker,
        _stairs(clips),
        tmp_path,
        "video: {keyframe_seconds: 1}\npictures: {sprites_seconds: 1, width: 64}\n",
    )
    directory = made[".trickplay"]
    text = (directory / "thumbnails.vtt").read_text("utf-8")
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n64%20-%2010x10/0.jpg#xywh=0,0")
    cues = re.findall(r"--> (\S+)\n64%20-%2010x10/(\d+)\.jpg#xywh=(\d+),(\d+),(\d+),(\d+)", text)
    assert len(cues) == 12
    assert cues[-1][0] == "00:00:12.000"
    sheet = _picture(directory / "64 - 10x10" / "0.jpg")
    assert (sheet.width, sheet.height) == (640, 360)
    for number, (_, file, *box) in enumerate(cues):
        assert file == "0"
        x, y, width, height = map(int, box)
        # JPEG's grey is of full range: 16 is black.
        expected = (16 * number) * 255 / 219
        assert _mean(sheet, (x, y, width, height)) == pytest.approx(expected, abs=6)


def test_the_map_goes_on_to_the_next_sheet_and_ends_with_the_film() -> None:
    wish = Sprites(seconds=Fraction(10), width=160, height=90, columns=2, rows=2)
    text = sprite_map(wish, "s", 6, Fraction(3 * 3600 + 55))
    assert "s/0.jpg#xywh=160,90,160,90" in text
    assert "00:00:40.000 --> 00:00:50.000\ns/1.jpg#xywh=0,0,160,90" in text
    assert "00:00:50.000 --> 00:01:00.000" in text


def test_thumbnails_go_on_to_the_end_of_the_film(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    # Key frames every five seconds: the pictures between stand still, none is missing.
    _, made = _make(
        walker, _stairs(clips), tmp_path, "pictures: {thumbnails_seconds: 2, width: 64}\n"
    )
    names = sorted(path.name for path in made[".thumbnails"].iterdir())
    assert names == [f"{number:05}.jpg" for number in range(6)]
    last = _picture(made[".thumbnails"] / "00005.jpg")
    assert (last.width, last.height) == (64, 36)
    assert _mean(last) == pytest.approx(160 * 255 / 219, abs=6)


def test_a_poster_is_neither_black_nor_blurred(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    parts = (
        "color=black:s=320x180:r=10:d=4[a];testsrc2=s=320x180:r=10:d=4,gblur=sigma=12[b];"
        "testsrc2=s=320x180:r=10:d=4,setpts=PTS-STARTPTS[c];color=white:s=320x180:r=10:d=4[d];"
        "[a][b][c][d]concat=n=4,format=yuv420p[v]"
    )
    options = ("-filter_complex", parts, "-map", "[v]", "-c:v", "mpeg4", "-q:v", "2")
    source = clips.make("moments.avi", *options)
    done, made = _make(
        walker, source, tmp_path, "video: {keyframe_seconds: 1}\npictures: {poster: true}\n"
    )
    poster = _picture(made["-poster.jpg"])
    assert (poster.width, poster.height) == (320, 180)
    assert done.presentation is not None
    with av.open(os.fsdecode(done.presentation.path)) as container:
        sharp = [f for f in container.decode(video=0) if 8 <= (f.time or 0) < 12]
    near = min(abs(_mean(poster) - _mean(frame)) for frame in sharp)
    assert near < 4
    rows = bytes(poster.reformat(format="gray").planes[0])
    steps = sum(abs(a - b) > 60 for a, b in pairwise(rows))
    assert steps > 500, "the blurred part has no such edges"


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_a_preview_moves(walker: Walker, clips: Clips, tmp_path: Path, kind: str) -> None:
    text = f"pictures: {{preview: {kind}, width: 64}}\n"
    _, made = _make(walker, _stairs(clips), tmp_path, text)
    path = made[f"-preview.{kind}"]
    data = path.read_bytes()
    if kind == "webp":
        assert data[:4] == b"RIFF"
        assert data[12:16] == b"VP8X"
        assert data.count(b"ANMF") == 5, "five places, each of which stands still"
    else:
        with av.open(str(path)) as container:
            frames = list(container.decode(video=0))
        assert (len(frames), frames[0].width) == (40, 64)
        assert _mean(frames[-1]) > _mean(frames[0]) + 50


def test_a_film_of_one_picture_has_them_too(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    one = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.04", "-c:v", "mpeg4")
    text = (
        "pictures: {poster: true, sprites_seconds: 10, thumbnails_seconds: 10, preview: gif,"
        " width: 32}\n"
    )
    _, made = _make(walker, clips.make("one.mp4", *one), tmp_path, text)
    assert len(list(made[".thumbnails"].iterdir())) == 1
    assert "00:00:00.000 --> 00:00:00.040\n" in (made[".trickplay"] / "thumbnails.vtt").read_text()
    assert _picture(made["-preview.gif"]).width == 32
    assert _picture(made["-poster.jpg"]).width == 64


def test_a_copied_film_that_changes_its_mind_is_one_film(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    """Cut together of parts whose colours are called otherwise, as recordings often are."""
    parts = []
    for number, colours in enumerate(("bt709", "smpte170m")):
        picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=3")
        tags = ("-color_primaries", colours, "-color_trc", colours, "-colorspace", colours)
        codec = ("-c:v", "libx264", "-g", "10", "-pix_fmt", "yuv420p", *tags)
        parts.append(clips.make(f"mind{number}.ts", *picture, *codec).read_bytes())
    source = tmp_path / "both.ts"
    source.write_bytes(b"".join(parts))
    text = "extends: web\npictures: {thumbnails_seconds: 1, preview: gif, width: 64}\n"
    done, made = _make(walker, source, tmp_path, text)
    assert done.decision == "remux", done.reason
    assert len(list(made[".thumbnails"].iterdir())) >= 5


def test_pictures_of_a_ladder_and_of_hdr(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    white = "color=white:s=160x90:r=10:d=2,format=yuv420p10le"
    tags = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    params = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=error"
    codec = ("-c:v", "libx265", "-x265-params", params, *tags)
    source = clips.make("bright.mkv", "-f", "lavfi", "-i", white, *codec)
    _, made = _make(walker, source, tmp_path / "keep", "extends: archive\npictures: {poster: true}")
    kept = _picture(made["-poster.jpg"])
    assert _mean(kept) > 200
    ladder = (
        "package: {ladder: [{height: 90, max_bit_rate: 400000}, {height: 48, max_bit_rate: 1}]}"
    )
    text = f"extends: abr\n{ladder}\npictures: {{poster: true, thumbnails_seconds: 1, width: 64}}"
    _, made = _make(walker, source, tmp_path / "abr", text)
    assert (_picture(made["-poster.jpg"]).width, len(list(made[".thumbnails"].iterdir()))) == (
        160,
        2,
    )


@pytest.mark.parametrize("wanted", ["srt", "vtt", "ass"])
def test_sidecars_are_named_for_media_servers_and_keep_their_text(
    walker: Walker, clips: Clips, tmp_path: Path, wanted: str
) -> None:
    (tmp_path / "one.srt").write_text(_SRT)
    (tmp_path / "empty.srt").write_text("")
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=1")
    texts = ("-i", str(tmp_path / "one.srt"), "-i", str(tmp_path / "one.srt"))
    maps = ("-map", "0", "-map", "1", "-map", "2", "-map", "1", "-c:v", "mpeg4")
    codecs = ("-c:s:0", "ass", "-c:s:1", "srt", "-c:s:2", "webvtt")
    marks = ("-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=eng")
    flags = ("-disposition:s:1", "forced", "-metadata:s:s:2", "language=eng")
    name = f"talk-{wanted}.mkv"
    source = clips.make(name, *picture, *texts, *maps, *codecs, *marks, *flags)
    text = f"subtitles: {{text: drop, sidecar: {wanted}}}\n"
    done, made = _make(walker, source, tmp_path, text)
    assert sorted(made) == sorted(
        [f".eng.{wanted}", f".eng.forced.{wanted}", f".eng.2.{wanted}"],
    )
    assert done.findings == ()
    for path in made.values():
        subtitles = pysubs2.load(str(path), format_=wanted)
        assert [(event.start, event.end) for event in subtitles] == [(200, 900)]
        assert "Hello" in subtitles[0].plaintext
        assert "you" in subtitles[0].plaintext


def test_a_broken_track_is_told_and_loses_nothing_else(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    (tmp_path / "bad.ass").write_text(
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
        "Style: Default,Arial,abc\n\n[Events]\nFormat: Start, End, Style, Text\n"
        "Dialogue: 0:00:00.00,0:00:01.00,Default,Hello\n"
    )
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=1", "-i", str(tmp_path / "bad.ass"))
    odd = ("-metadata:s:s:0", "language=../../x")
    source = clips.make("bad-ass.mkv", *picture, "-c:v", "mpeg4", "-c:s", "copy", *odd)
    assert walker.prober.probe(os.fsencode(source)).subtitles[0].language is None
    done, made = _make(walker, source, tmp_path, "subtitles: {text: drop, sidecar: srt}\n")
    assert made == {}
    assert done.plan is not None
    told = [finding.message for finding in tell_missing(done.plan, ())]
    assert told == [
        "the subtitles of stream 1 are empty, or cannot be read: there is no file of them"
    ]


def test_a_poster_is_not_the_black_beginning(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    picture = "testsrc2=s=64x48:r=10:d=4,fade=in:d=1"
    source = clips.make("fade.mkv", "-f", "lavfi", "-i", picture, "-c:v", "mpeg4")
    _, made = _make(walker, source, tmp_path, "pictures: {poster: true}\n")
    assert _mean(_picture(made["-poster.jpg"])) > 60

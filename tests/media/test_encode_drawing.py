"""Subtitles and marks drawn into pictures, found again in the pixels."""

from __future__ import annotations

import os
import struct
from importlib.util import find_spec
from pathlib import Path

import av
import pytest
from fixtures_planning import LIMITS, Clips, Walked, Walker, fast

from darkstream.errors import NoSuchPath
from darkstream.media.drawing import note_content
from darkstream.media.encode import encode
from darkstream.model.plan import EncodePlan, Overlay
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import parse_preset

_SRT = "1\n00:00:01,000 --> 00:00:02,000\nHHHHHHHH ÄÖÜ ЖЖЖЖ\n\n"
Box = tuple[float, float, float, float]
"""Left, top, right, bottom by the picture's size."""


def _walk(walker: Walker, source: Path, work: Path, text: str) -> Walked:
    done = walker.walk(source, parse_preset(f"name: x\n{text}", "x.yaml"), work)
    assert done.presentation is not None, done.reason
    assert done.status == "done"
    return done


def _path(done: Walked) -> str:
    assert done.presentation is not None
    path = done.presentation.path
    return os.fsdecode(os.path.join(path, done.presentation.entry or b"").rstrip(b"/"))


def _bright(path: str, at: float, box: Box, least: int = 120) -> float:
    """The share of pixels in a box that are bright at that second."""
    with av.open(path) as container:
        frame = next(f for f in container.decode(video=0) if (f.time or 0) >= at)
    plane = frame.reformat(format="gray").planes[0]
    data = bytes(plane)
    left, right = int(box[0] * frame.width), int(box[2] * frame.width)
    rows = range(int(box[1] * frame.height), int(box[3] * frame.height))
    inside = b"".join(data[y * plane.line_size + left : y * plane.line_size + right] for y in rows)
    return sum(value >= least for value in inside) / len(inside)


_BELOW: Box = (0, 0.75, 1, 1)
_ABOVE: Box = (0, 0, 1, 0.7)


def _black(clips: Clips, name: str, *more: str, size: str = "320x180") -> Path:
    picture = ("-f", "lavfi", "-i", f"color=black:s={size}:r=10:d=3")
    return clips.make(name, *picture, *more)


@pytest.mark.parametrize("codec", ["srt", "ass", "webvtt"])
def test_text_is_burned_in_at_its_time_in_our_own_font(
    walker: Walker, clips: Clips, tmp_path: Path, codec: str
) -> None:
    (tmp_path / "t.srt").write_text(_SRT)
    more = ("-i", str(tmp_path / "t.srt"), "-c:v", "mpeg4", "-c:s", codec)
    source = _black(clips, f"says-{codec}.mkv", *more)
    work = tmp_path / "it's [a], b:c;d"
    done = _walk(walker, source, work, "subtitles: {burn: first}\n")
    assert "subtitles are drawn into it" in done.reason
    assert done.findings == ()
    assert walker.prober.probe(os.fsencode(_path(done))).subtitles == ()
    assert _bright(_path(done), 0.5, _BELOW) == 0
    assert _bright(_path(done), 1.5, _BELOW) == pytest.approx(0.0115, abs=0.004)
    assert _bright(_path(done), 1.5, _ABOVE) == 0
    assert _bright(_path(done), 2.5, _BELOW) == 0


def _segment(kind: int, seconds: float, data: bytes = b"") -> bytes:
    return b"PG" + struct.pack(">IIBH", int(seconds * 90_000), 0, kind, len(data)) + data


def _bluray_subtitle(size: tuple[int, int], box: tuple[int, int, int, int], *times: float) -> bytes:
    """A white box in PGS (US 2009/0185789): shown at the first time, gone at the second."""
    x, y, width, height = box
    head = struct.pack(">HHB", *size, 0x10)
    row = bytes((0, 0xC0 | width >> 8, width & 0xFF, 1, 0, 0))
    picture = struct.pack(">HH", width, height) + row * height
    window = struct.pack(">BBHHHH", 1, 0, x, y, width, height)
    shown = (
        (0x16, head + struct.pack(">HBBBBHBBHH", 0, 0x80, 0, 0, 1, 0, 0, 0, x, y)),
        (0x17, window),
        (0x14, bytes((0, 0, 1, 235, 128, 128, 255))),
        (0x15, struct.pack(">HBB", 0, 0, 0xC0) + len(picture).to_bytes(3, "big") + picture),
        (0x80, b""),
    )
    gone = ((0x16, head + struct.pack(">HBBBB", 1, 0, 0, 0, 0)), (0x17, window), (0x80, b""))
    return b"".join(
        _segment(kind, at, data)
        for at, segments in zip(times, (shown, gone), strict=True)
        for kind, data in segments
    )


def test_pictures_are_burned_in_too(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    (tmp_path / "t.sup").write_bytes(_bluray_subtitle((320, 180), (100, 150, 120, 20), 1, 2))
    more = (
        "-itsoffset",
        "1",
        "-i",
        str(tmp_path / "t.sup"),
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "mpeg4",
    )
    source = _black(clips, "bluray.mkv", *more, "-c:s", "copy")
    assert [s.kind for s in walker.prober.probe(os.fsencode(source)).subtitles] == ["bitmap"]
    done = _walk(walker, source, tmp_path / "w", "subtitles: {burn: first}\n")
    assert done.findings == ()
    box: Box = (100 / 320, 150 / 180, 220 / 320, 170 / 180)
    assert _bright(_path(done), 0.5, (0, 0, 1, 1)) == 0
    assert _bright(_path(done), 1.5, box) > 0.95
    whole = 120 * 20 / (320 * 180)
    assert _bright(_path(done), 1.5, (0, 0, 1, 1)) == pytest.approx(whole, abs=0.005)
    assert _bright(_path(done), 2.6, (0, 0, 1, 1)) == 0


def test_only_the_forced_track_is_burned_in(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    (tmp_path / "t.srt").write_text(_SRT)
    texts = ("-i", str(tmp_path / "t.srt"), "-i", str(tmp_path / "t.srt"))
    maps = ("-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4", "-c:s", "srt")
    flags = ("-disposition:s:1", "forced")
    source = _black(clips, "forced.mkv", *texts, *maps, *flags)
    done = _walk(walker, source, tmp_path / "w", "container: mkv\nsubtitles: {burn: forced}\n")
    assert done.plan is not None
    assert done.plan.burn is not None
    assert done.plan.burn.source_index == 2
    assert [track.source_index for track in done.plan.subtitles] == [1]
    plain = _black(clips, "unforced.mkv", *texts, *maps)
    none = _walk(walker, plain, tmp_path / "n", "container: mkv\nsubtitles: {burn: forced}\n")
    assert none.plan is not None
    assert none.plan.burn is None


@pytest.mark.parametrize(
    ("position", "box"),
    [
        ("top-left", (0, 0, 0.5, 0.5)),
        ("top-right", (0.5, 0, 1, 0.5)),
        ("bottom-left", (0, 0.5, 0.5, 1)),
        ("bottom-right", (0.5, 0.5, 1, 1)),
        ("centre", (0.25, 0.25, 0.75, 0.75)),
    ],
)
def test_an_image_is_where_it_should_be(
    walker: Walker, clips: Clips, tmp_path: Path, position: str, box: Box
) -> None:
    logo = clips.make("logo.png", "-f", "lavfi", "-i", "color=white:s=40x20", "-frames:v", "1")
    rule = f"image: '{logo}', position: {position}, size: 0.25, margin: 0.05, opacity: 1"
    source = _black(clips, "dark.mkv", "-c:v", "mpeg4")
    done = _walk(walker, source, tmp_path, f"overlay: {{{rule}, start: 1, end: 2}}\n")
    assert "a mark is drawn on it" in done.reason
    # 80x40 of 320x180, at its time alone.
    whole = _bright(_path(done), 1.5, (0, 0, 1, 1))
    assert whole == pytest.approx(80 * 40 / (320 * 180), abs=0.006)
    area = (box[2] - box[0]) * (box[3] - box[1])
    assert _bright(_path(done), 1.5, box) == pytest.approx(whole / area, abs=0.002)
    assert _bright(_path(done), 0.5, (0, 0, 1, 1)) == 0
    assert _bright(_path(done), 2.5, (0, 0, 1, 1)) == 0


def test_opacity_mixes(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    logo = clips.make("logo2.png", "-f", "lavfi", "-i", "color=white:s=40x20", "-frames:v", "1")
    rule = f"image: '{logo}', position: centre, size: 0.5, opacity: 0.5"
    source = _black(clips, "dark2.mkv", "-c:v", "mpeg4")
    done = _walk(walker, source, tmp_path, f"overlay: {{{rule}}}\n")
    middle: Box = (0.4, 0.4, 0.6, 0.6)
    assert _bright(_path(done), 1, middle, least=110) == 1
    assert _bright(_path(done), 1, middle, least=145) == 0


def test_text_means_nothing_but_itself(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    words = "%{localtime} 'x':[a];b\\\\n,\\\\{n}"
    rule = f'text: "{words}", position: top, size: 0.1, opacity: 1'
    source = _black(clips, "dark3.mkv", "-c:v", "mpeg4")
    done = _walk(walker, source, tmp_path, f"overlay: {{{rule}}}\n")
    assert _bright(_path(done), 1, (0, 0, 1, 0.25)) > 0.03
    assert _bright(_path(done), 1, (0, 0.3, 1, 1)) == 0


def test_every_rung_of_a_ladder_has_it_once(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    rungs = "[{height: 180, max_bit_rate: 400000}, {height: 90, max_bit_rate: 200000}]"
    text = f"extends: abr\npackage: {{ladder: {rungs}}}\noverlay: {{text: HHHH, size: 0.2}}\n"
    source = _black(clips, "dark4.mkv", "-c:v", "mpeg4")
    done = _walk(walker, source, tmp_path, text)
    assert done.encoded is not None
    shares = []
    for name in ("video-0.m3u8", "video-1.m3u8"):
        path = os.path.join(os.fsdecode(done.encoded.directory), name)
        shares.append(_bright(path, 1, (0.5, 0.5, 1, 1)))
    assert shares[0] > 0.05
    assert shares[1] == pytest.approx(shares[0], rel=0.25)


def test_text_on_hdr_is_as_bright_as_paper(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    tags = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    params = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=error"
    codec = ("-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", params, *tags)
    source = _black(clips, "night.mkv", *codec)
    text = "extends: archive\nguards: {smaller_by: null}\nvideo: {copy_codecs: []}\n"
    mark = "overlay: {text: HHHH, size: 0.3, position: centre, opacity: 1}\n"
    done = _walk(walker, source, tmp_path, text + mark)
    with av.open(_path(done)) as container:
        frame = next(container.decode(video=0))
    plane = frame.planes[0]
    samples = memoryview(bytes(plane)[: plane.line_size * frame.height]).cast("H")
    samples = [
        one
        for y in range(frame.height)
        for one in samples[y * plane.line_size // 2 :][: frame.width]
    ]
    # PQ's reference white, 203 cd/m2, is code 0.58 of 64 to 940.
    assert max(samples) == pytest.approx(64 + 0.58 * 876, abs=40)


def test_a_mark_stays_when_the_source_changes_what_it_says_of_itself(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    parts = []
    for number, colours in enumerate(("bt709", "smpte170m")):
        picture = ("-f", "lavfi", "-i", "color=black:s=320x180:r=10:d=2")
        tags = ("-color_primaries", colours, "-color_trc", colours, "-colorspace", colours)
        codec = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-output_ts_offset", str(2 * number))
        parts.append(clips.make(f"says{number}.ts", *picture, *codec, *tags).read_bytes())
    source = tmp_path / "both.ts"
    source.write_bytes(b"".join(parts))
    logo = clips.make("logo3.png", "-f", "lavfi", "-i", "color=white:s=40x20", "-frames:v", "1")
    done = _walk(walker, source, tmp_path, f"overlay: {{image: '{logo}', size: 0.5, opacity: 1}}\n")
    for at in (0.5, 3.5):
        assert _bright(_path(done), at, (0, 0, 1, 1)) > 0.1


def _uuencoded(data: bytes) -> str:
    """As ASS attaches files: six bits a letter from 33 on, 80 letters a line."""
    letters = []
    for start in range(0, len(data), 3):
        group = data[start : start + 3]
        bits = int.from_bytes(group.ljust(3, b"\0"), "big")
        count = len(group) + 1
        letters += [chr(33 + (bits >> shift & 63)) for shift in (18, 12, 6, 0)][:count]
    text = "".join(letters)
    return "\n".join(text[at : at + 80] for at in range(0, len(text), 80))


def test_a_font_inside_a_track_is_not_used(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    """It is a stranger's program: the picture is that of a track without it."""
    spec = find_spec("font_roboto")
    assert spec is not None
    assert spec.submodule_search_locations
    font = Path(spec.submodule_search_locations[0]) / "files" / "Roboto-Black.ttf"
    data = font.read_bytes().replace("Roboto".encode("utf-16-be"), "Strang".encode("utf-16-be"))
    head = "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize,"
    head += " PrimaryColour\nStyle: Default,Strang Black,40,&H00FFFFFF\n\n"
    events = "[Events]\nFormat: Start, End, Style, Text\n"
    events += "Dialogue: 0:00:00.00,0:00:03.00,Default,HHHH\n"
    fonts = f"[Fonts]\nfontname: strange.ttf\n{_uuencoded(data)}\n\n"
    shares = []
    for name, text in (("plain", head + events), ("inside", head + fonts + events)):
        (tmp_path / f"{name}.ass").write_text(text)
        more = ("-i", str(tmp_path / f"{name}.ass"), "-c:v", "mpeg4", "-c:s", "copy")
        source = _black(clips, f"font-{name}.mkv", *more)
        done = _walk(walker, source, tmp_path / name, "subtitles: {burn: first}\n")
        shares.append(_bright(_path(done), 1, (0, 0, 1, 1)))
    assert shares[0] > 0
    assert shares[0] == shares[1]


def test_a_mark_may_be_a_jpeg_of_any_name(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "color=white:s=40x20", "-frames:v", "1", "-update", "1")
    made = clips.make("plain.jpg", *picture)
    logo = tmp_path / "b 100%d.jpg"
    logo.write_bytes(made.read_bytes())
    source = _black(clips, "dark5.mkv", "-c:v", "mpeg4")
    plan = walker_plan(walker, source, f"overlay: {{image: '{logo}', size: 0.5, opacity: 1}}\n")
    assert plan.overlay is not None
    mark = note_content(plan.overlay)
    assert mark.demuxer == "jpeg_pipe"
    encoded = encode(
        plan.model_copy(update={"overlay": mark}),
        os.fsencode(source),
        os.fsencode(tmp_path),
        capabilities=walker.capabilities,
        sandbox=walker.sandbox,
        limits=LIMITS,
    )
    path = os.fsdecode(os.path.join(encoded.directory, encoded.main))
    assert _bright(path, 1, (0, 0, 1, 1)) > 0.1


@pytest.mark.parametrize("path", ["/dev/zero", "/nowhere/a.png", "/etc/hostname", "/tmp"])
def test_what_is_no_image_is_no_mark(path: str) -> None:
    with pytest.raises(NoSuchPath, match=path):
        note_content(Overlay(image=path, width=10, x=0, y=0, margin=0, opacity=1))


def walker_plan(walker: Walker, source: Path, text: str) -> EncodePlan:
    media = walker.prober.probe(os.fsencode(source))
    preset = fast(parse_preset(f"name: x\n{text}", "x.yaml"))
    plan = make_plan(media, preset, walker.capabilities, validate(media))
    assert isinstance(plan, EncodePlan)
    return plan

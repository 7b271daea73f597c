"""Every pair of container and codec that a preset may name: written, decoded, recognised."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fixtures_planning import Clips, Walked, Walker

from darkstream.model.media import MediaInfo
from darkstream.model.preset import Preset
from darkstream.planning.formats import FORMATS
from darkstream.planning.presets import parse_preset

_DEPTH = {"prores": 10, "vvc": 10}
_VIDEO_PAIRS = [(name, codec) for name, rules in FORMATS.items() for codec in rules.video]
_AUDIO_PAIRS = [(name, codec) for name, rules in FORMATS.items() for codec in rules.audio]


def _preset(container: str, video: str | None, audio: str) -> Preset:
    if video is None:
        text = f"name: x\nvideo: null\naudio_only_container: {container}\n"
    else:
        depth = _DEPTH.get(video, 8)
        text = f"name: x\ncontainer: {container}\nvideo: {{codec: {video}, bit_depth: {depth}}}\n"
        text += "audio_only_container: mkv\n"
    return parse_preset(f"{text}audio: {{codec: {audio}}}\n", "x.yaml")


def _clip(clips: Clips) -> Path:
    """Half a second in codecs that nothing here copies, with two tracks of sound."""
    sources = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.5")
    sounds = ("-f", "lavfi", "-i", "sine=d=0.5", "-f", "lavfi", "-i", "sine=300:d=0.5")
    maps = ("-map", "0", "-map", "1", "-map", "2", "-metadata:s:a:0", "language=deu")
    return clips.make("pair.avi", *sources, *sounds, *maps, "-c:v", "mpeg4", "-c:a", "mp2")


def _look(walker: Walker, done: Walked) -> MediaInfo:
    assert done.presentation is not None, done.reason
    assert done.status == "done", done.reason
    return walker.prober.probe(done.presentation.path)


@pytest.mark.parametrize(("container", "codec"), _VIDEO_PAIRS)
def test_a_pair_of_video(
    walker: Walker, clips: Clips, tmp_path: Path, container: Any, codec: str
) -> None:
    sound = FORMATS[container].audio[0]
    made = _look(walker, walker.walk(_clip(clips), _preset(container, codec, sound), tmp_path))
    assert made.container in FORMATS[container].families
    assert [stream.codec for stream in made.video] == [codec]
    assert (made.video[0].width, made.video[0].height) == (96, 64)
    assert len(made.audio) == 2


@pytest.mark.parametrize(("container", "codec"), _AUDIO_PAIRS)
def test_a_pair_of_sound(
    walker: Walker, clips: Clips, tmp_path: Path, container: Any, codec: str
) -> None:
    rules = FORMATS[container]
    video = rules.video[0] if rules.video else None
    done = walker.walk(_clip(clips), _preset(container, video, codec), tmp_path)
    made = _look(walker, done)
    assert made.container in rules.families
    wanted = "pcm_s16le" if codec == "pcm" else codec
    assert [stream.codec for stream in made.audio] == [wanted] * (1 if rules.one_track else 2)
    told = [finding.code for finding in done.findings]
    assert told == (["extra-audio-dropped"] if rules.one_track else [])


def _hashes(walker: Walker, path: Path | bytes, stream: str, *pixels: str) -> str:
    """Of every decoded picture or sample."""
    argv = [walker.capabilities.ffmpeg, "-v", "error", "-nostdin", "-noautorotate"]
    argv += ["-i", f"file:{os.fsdecode(path)}", "-map", f"0:{stream}"]
    argv += ["-f", "s24le"] if stream.startswith("a") else ["-f", "rawvideo", *pixels]
    done = subprocess.run([*argv, "-"], check=True, capture_output=True, timeout=60)
    return hashlib.sha256(done.stdout).hexdigest()


@pytest.mark.parametrize(
    ("pixels", "kept"),
    [
        ("yuv420p", "yuv420p"),
        ("yuvj420p", "yuv420p"),
        ("yuv422p10le", "yuv422p10le"),
        ("yuv444p12le", "yuv444p12le"),
        ("gray", "gray"),
        ("rgb24", "bgr0"),
        ("rgb48le", "gbrp16le"),
        ("yuva420p", "yuva420p"),
    ],
)
def test_lossless_keeps_every_sample(
    walker: Walker, clips: Clips, tmp_path: Path, pixels: str, kept: str
) -> None:
    picture = f"testsrc2=s=97x65:r=25:d=0.4,format={pixels},setsar=64/45"
    sound = "sine=d=0.4:r=96000,volume=0.3,aformat=s32"
    sources = ("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound)
    codec = {"yuvj420p": "mjpeg", "rgb24": "png"}.get(pixels, "ffv1")
    codecs = ("-c:v", codec, "-c:a", "pcm_s24le")
    source = clips.make(f"whole-{pixels}.mov", *sources, *codecs, "-pix_fmt", pixels)
    done = walker.walk(source, "lossless", tmp_path)
    made = _look(walker, done)
    assert made.video[0].pix_fmt == kept
    assert made.video[0].sar == walker.prober.probe(os.fsencode(source)).video[0].sar
    assert done.presentation is not None
    if pixels == "yuvj420p":
        assert made.video[0].colour.range == "pc"
    same_order = ("-pix_fmt", "rgb24") if pixels == "rgb24" else ()
    for stream in ("v:0", "a:0"):
        told = _hashes(walker, done.presentation.path, stream, *same_order)
        assert _hashes(walker, source, stream, *same_order) == told


def test_lossless_keeps_fields_and_turns_pictures(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    sources = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4,setfield=tff")
    codecs = ("-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-field_order", "tt")
    source = clips.make("fields.mpg", *sources, *codecs)
    assert walker.prober.probe(os.fsencode(source)).video[0].field_order == "tff"
    done = walker.walk(source, "lossless", tmp_path)
    made = _look(walker, done)
    assert made.video[0].field_order == "tff"
    assert done.presentation is not None
    assert _hashes(walker, source, "v:0") == _hashes(walker, done.presentation.path, "v:0")
    edited = walker.walk(source, "edit", tmp_path / "edit")
    assert _look(walker, edited).video[0].field_order == "tff"
    plain = walker.walk(source, "web", tmp_path / "web")
    assert _look(walker, plain).video[0].field_order == "progressive"


def test_edit_keeps_transparency_and_says_what_it_is(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    picture = ("-f", "lavfi", "-i", "color=red@0.5:s=64x48:r=25:d=0.4,format=yuva420p")
    options = ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-auto-alt-ref", "0")
    source = clips.make("shine.webm", *picture, *options)
    done = walker.walk(source, "edit", tmp_path)
    made = _look(walker, done)
    assert (made.video[0].codec, made.video[0].alpha) == ("prores", True)
    assert made.video[0].profile == "4444"
    assert done.findings == ()


def test_copied_sound_is_encoded_only_where_the_container_cannot_hold_it(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    sources = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.5")
    sounds = ("-f", "lavfi", "-i", "sine=d=0.5", "-f", "lavfi", "-i", "sine=300:d=0.5")
    maps = ("-map", "0", "-map", "1", "-map", "2", "-c:a:0", "ac3", "-c:a:1", "libvorbis")
    source = clips.make("mixed.mkv", *sources, *sounds, *maps, "-c:v", "mpeg4", "-ac", "2")
    done = walker.walk(source, _preset("mp4", "h264", "copy"), tmp_path)
    assert [stream.codec for stream in _look(walker, done).audio] == ["ac3", "aac"]
    assert "the sound becomes AAC: MP4 does not hold Vorbis" in done.reason


def test_a_clean_aperture_cuts_nothing(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    """MP4's `clap` names the part that old televisions showed; players show all of it."""
    sources = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4")
    plain = clips.make("plain-clap.mov", *sources, "-c:v", "mpeg4", "-tag:v", "mp4v")
    data = plain.read_bytes()
    clap = struct.pack(">I4s8i", 40, b"clap", 80, 1, 48, 1, 0, 1, 0, 1)
    source = tmp_path / "clap.mov"
    source.write_bytes(_put_into_sample_entry(data, b"mp4v", clap))
    said = _said(walker, source)
    assert "Frame Cropping: 8/8/8/8" in said
    done = walker.walk(source, "lossless", tmp_path / "walk")
    made = _look(walker, done)
    assert (made.video[0].width, made.video[0].height) == (96, 64)
    assert done.presentation is not None
    assert _hashes(walker, plain, "v:0") == _hashes(walker, done.presentation.path, "v:0")


def _said(walker: Walker, path: Path) -> str:
    argv = [walker.capabilities.ffmpeg, "-nostdin", "-hide_banner", "-i", f"file:{path}"]
    return subprocess.run(argv, check=False, capture_output=True, timeout=60, text=True).stderr


def _put_into_sample_entry(data: bytes, entry: bytes, box: bytes) -> bytes:
    """The file with a box at the end of its sample entry; the sizes of all above grow with it."""
    end = data.index(b"stsd")
    start = data.index(entry, end) - 4
    size = int.from_bytes(data[start : start + 4], "big")
    grown = bytearray(data[: start + size] + box + data[start + size :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry):
        place = start if name == entry else data.index(name) - 4
        old = int.from_bytes(grown[place : place + 4], "big")
        grown[place : place + 4] = (old + len(box)).to_bytes(4, "big")
    return bytes(grown)


@pytest.mark.parametrize("name", ["vvc.mp4", "vvc.mkv"])
def test_vvc_has_every_picture_whatever_the_clock_of_the_source(
    walker: Walker, clips: Clips, tmp_path: Path, name: str
) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=30000/1001:d=1", "-c:v", "mpeg4")
    done = walker.walk(clips.make(name, *picture), _preset("mp4", "vvc", "aac"), tmp_path)
    assert done.status == "done", done.reason
    assert done.verification is not None
    assert done.verification.frames == (30,)


@pytest.mark.parametrize(("profile", "alpha"), [("hq", False), ("4444", True)])
def test_a_profile_of_prores_decides_on_transparency_and_says_so(
    walker: Walker, clips: Clips, tmp_path: Path, profile: str, alpha: bool
) -> None:
    picture = ("-f", "lavfi", "-i", "color=red@0.5:s=64x48:r=25:d=0.4,format=yuva420p")
    options = ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-auto-alt-ref", "0")
    source = clips.make("shine.webm", *picture, *options)
    text = f"name: x\nextends: edit\nvideo: {{profile: {profile}}}\n"
    done = walker.walk(source, parse_preset(text, "x.yaml"), tmp_path)
    made = _look(walker, done)
    assert made.video[0].alpha is alpha
    assert [one.code for one in done.findings] == ([] if alpha else ["transparency-lost"])

"""A film that is encoded in chunks is the film that is encoded whole: pictures, times and sound."""

from __future__ import annotations

import os
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import pytest
from fixtures_planning import LIMITS, Clips, Walked, Walker, fast

from darkstream.errors import IndexDiffers, ProcessFailed, StorageError, StorageFull
from darkstream.media.chunks import Joint, encode_chunk, join_chunks
from darkstream.media.command.soundtrack import tracks_alone
from darkstream.media.decoding import Decoder
from darkstream.media.encode import encode_rest
from darkstream.media.soundtrack import encode_soundtrack
from darkstream.model.encoded import Soundtrack
from darkstream.model.plan import EncodePlan
from darkstream.model.preset import LoudnessRule, PackageRule, Preset, Rung
from darkstream.planning import make_plan, validate
from darkstream.planning.chunks import cut
from darkstream.planning.presets import load_preset

_TONE = ("-f", "lavfi", "-i", "sine=440:r=48000:d=12")
_SURROUND = ("-f", "lavfi", "-i", "anoisesrc=d=12:r=48000:a=0.1,aformat=channel_layouts=5.1")
RUNGS = (Rung(height=120, max_bit_rate=900_000), Rung(height=90, max_bit_rate=300_000))


def bars(rate: str = "24") -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size=160x120:rate={rate}:duration=12")


H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
SOURCES: dict[str, tuple[str, ...]] = {
    "b-pictures.mp4": (*bars(), *_TONE, *H264, "-bf", "3", "-g", "48", "-c:a", "aac"),
    "open-gop-h264.mkv": (
        *(*bars(), *_TONE, *H264, "-g", "24", "-sc_threshold", "0"),
        *("-x264-params", "open-gop=1:bframes=3", "-c:a", "libopus"),
    ),
    "open-gop-hevc.mp4": (
        *(*bars(), *_TONE, *X265, "open-gop=1:keyint=24:bframes=4:log-level=error"),
        *("-tag:v", "hvc1", "-c:a", "aac"),
    ),
    "uneven-rate.mkv": (
        *(*bars("30"), *_TONE, "-vf", r"select='not(eq(mod(n\,7)\,3))',settb=1/1000"),
        *("-fps_mode", "passthrough", *H264, "-g", "60", "-c:a", "libopus"),
    ),
    "hdr10-film.mp4": (
        *(*bars(), *_TONE, "-pix_fmt", "yuv420p10le", "-color_primaries", "bt2020"),
        *("-color_trc", "smpte2084", "-colorspace", "bt2020nc", *X265),
        "keyint=48:log-level=error:max-cll=1000,400:hdr10-opt=1:master-display="
        "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
        *("-tag:v", "hvc1", "-c:a", "aac"),
    ),
    "late-video.mp4": (*("-itsoffset", "0.3", *bars(), *_TONE, *H264, "-g", "48", "-c:a", "aac"),),
    "interlaced.mkv": (
        *(*bars("50"), *_TONE, "-vf", "tinterlace=interleave_top,fieldorder=tff", *H264),
        *("-flags", "+ildct+ilme", "-g", "25", "-c:a", "aac"),
    ),
    "slow-show.mkv": (*bars("1"), *_TONE, *H264, "-g", "2", "-c:a", "aac"),
    "phone.mov": (
        *(*bars("30"), *_TONE, *H264, "-g", "30", "-c:a", "aac"),
        *("-video_track_timescale", "600"),
    ),
    "surround-film.mkv": (*bars(), *_SURROUND, *H264, "-g", "48", "-c:a", "ac3"),
}


def wish(name: str, seconds: Fraction | None, **video: object) -> Preset:
    """A preset that encodes everything, in parts of so many seconds or in one piece."""
    preset = load_preset(name)
    assert preset.video is not None
    told = {"chunk_seconds": seconds or Fraction(0), "copy_codecs": (), **video}
    return preset.model_copy(update={"video": preset.video.model_copy(update=told)})


def times(path: Path, kind: str) -> list[Fraction]:
    """When each packet of the first stream of a kind is shown."""
    with av.open(str(path)) as container:
        stream = next(one for one in container.streams if one.type == kind)
        assert stream.time_base is not None
        shown = [p.pts * stream.time_base for p in container.demux(stream) if p.pts is not None]
    return sorted(shown)


def sounds(path: Path, number: int = 0) -> list[tuple[int | None, int | None, bytes]]:
    """Each packet of an audio track: when it is played, for how long, and what is in it."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        return [(p.pts, p.duration, bytes(p)) for p in container.demux(stream) if p.size]


def samples(walker: Walker, path: Path) -> str:
    """The sound as players get it: when, and the samples."""
    argv = [walker.capabilities.ffmpeg, "-nostdin", "-v", "error", "-i", str(path)]
    argv += ["-map", "0:a", "-f", "framemd5", "-"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def lengths(path: Path) -> list[float]:
    """How long a film and its tracks are, seconds, and how many pictures a second it has."""
    with av.open(str(path)) as container:
        spans = [float((one.duration or 0) * (one.time_base or 1)) for one in container.streams]
        return [
            (container.duration or 0) / 1e6,
            *spans,
            float(container.streams.video[0].average_rate or 0),
        ]


def output(walked: Walked) -> Path:
    assert walked.status == "done" and walked.encoded is not None, walked.reason
    return Path(os.fsdecode(os.path.join(walked.encoded.directory, walked.encoded.main)))


def in_parts(walker: Walker, source: Path, preset: Preset, work: Path) -> Walked:
    walked = walker.walk(source, preset, work)
    assert walked.plan is not None
    return walked


def score(walker: Walker, one: Path, other: Path) -> float:
    """PSNR of the pictures of two films, dB; infinite where they are the same."""
    argv = [walker.capabilities.ffmpeg, "-nostdin", "-i", str(one), "-i", str(other)]
    argv += ["-lavfi", "[0:v]setpts=N[a];[1:v]setpts=N[b];[a][b]psnr", "-f", "null", "-"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return float(done.stderr.rpartition("average:")[2].split()[0])


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
@pytest.mark.parametrize("name", ["open-gop-h264.mkv", "uneven-rate.mkv"])
def test_every_encoder_makes_the_same_pictures_at_the_same_times(
    walker: Walker, clips: Clips, tmp_path: Path, name: str, codec: str
) -> None:
    source = clips.make(name, *SOURCES[name])
    preset = "webm" if codec == "vp9" else "web"
    kept = wish(preset, None, codec=codec)
    cut_up = wish(preset, Fraction(3), codec=codec)
    whole = output(walker.walk(source, kept, tmp_path / "whole"))
    parts = output(walker.walk(source, cut_up, tmp_path / "parts"))
    assert times(parts, "video") == times(whole, "video")
    assert times(parts, "audio") == times(whole, "audio")
    assert score(walker, parts, whole) > 30


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_chunks_are_together_the_whole(
    walker: Walker, clips: Clips, tmp_path: Path, name: str
) -> None:
    source = clips.make(name, *SOURCES[name])
    hdr: dict[str, object] = {}
    if "hdr" in name:
        hdr = {"codec": "hevc", "hdr": "keep", "bit_depth": 10}
    whole = walker.walk(source, wish("web", None, **hdr), tmp_path / "whole")
    parts = walker.walk(source, wish("web", Fraction(3), **hdr), tmp_path / "parts")
    assert parts.encoded is not None and "chunks" in parts.encoded.log
    assert int(parts.encoded.log.split()[0]) >= 3
    one, other = output(parts), output(whole)
    assert times(one, "video") == times(other, "video")
    assert whole.plan is not None
    encoded = any(track.encoder for track in whole.plan.audio)
    assert ("beside them" in parts.encoded.log) is encoded
    assert sounds(one) == sounds(other) != []
    assert samples(walker, one) == samples(walker, other)
    assert lengths(one) == pytest.approx(lengths(other), abs=0.01), "to a few ticks of Matroska"
    assert parts.encoded.frames == whole.encoded.frames if whole.encoded else False
    assert score(walker, one, other) > 30
    if hdr:
        seen = [walker.prober.probe(os.fsencode(path)).video[0] for path in (one, other)]
        assert seen[0].mastering_display == seen[1].mastering_display is not None
        assert seen[0].content_light == seen[1].content_light is not None


_LATE_SOUND = ("-itsoffset", "0.35", *_TONE)
_VIDEO = (*H264, "-g", "48")
SOUNDS: dict[str, tuple[str, ...]] = {
    "stereo-sound.mkv": (*bars(), *_TONE, *_VIDEO, "-c:a", "libvorbis", "-ac", "2"),
    "late-sound.mkv": (*bars(), *_LATE_SOUND, *_VIDEO, "-c:a", "libvorbis"),
    "short-sound.mkv": (*bars(), "-f", "lavfi", "-i", "sine=d=7.77:r=44100", *_VIDEO),
    "slow-sound.mkv": (*bars(), *_TONE, *_VIDEO, "-c:a", "libvorbis", "-ar", "22050"),
}


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        *(("aac", "mp4"), ("opus", "mp4"), ("mp3", "mp4")),
        *(("aac", "mov"), ("mp3", "mov"), ("aac", "mkv"), ("opus", "mkv"), ("opus", "webm")),
    ],
)
@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_sound_that_is_encoded_beside_is_the_same_to_the_sample(
    walker: Walker, clips: Clips, tmp_path: Path, name: str, codec: str, container: str
) -> None:
    source = clips.make(name, *SOUNDS[name])
    made = []
    for way, seconds in (("whole", None), ("parts", Fraction(6))):
        preset = fast(wish("webm" if container == "webm" else "web", seconds))
        rule = preset.audio.model_copy(update={"codec": codec, "copy_codecs": ()})
        preset = preset.model_copy(update={"audio": rule, "container": container})
        walked = walker.walk(source, preset, tmp_path / way)
        made.append(output(walked))
    assert walked.encoded is not None and "beside them" in walked.encoded.log
    whole, parts = made
    assert times(parts, "video") == times(whole, "video")
    assert sounds(parts) == sounds(whole) != []
    assert samples(walker, parts) == samples(walker, whole)
    assert lengths(parts) == pytest.approx(lengths(whole), abs=0.01)


@pytest.mark.parametrize("name", ["uneven-rate.mkv", "late-video.mp4"])
def test_a_ladder_has_its_segments_where_the_whole_has_them(
    walker: Walker, clips: Clips, tmp_path: Path, name: str
) -> None:
    source = clips.make(name, *SOURCES[name])
    rule = PackageRule(kind="abr", ladder=RUNGS, segment_seconds=Fraction(2))
    made = []
    for way, seconds in (("whole", None), ("parts", Fraction(3))):
        preset = wish("abr", seconds).model_copy(update={"package": rule})
        preset = preset.model_copy(
            update={"audio": preset.audio.model_copy(update={"copy_codecs": ()})}
        )
        walked = walker.walk(source, preset, tmp_path / way)
        assert walked.encoded is not None
        assert ("beside them" in walked.encoded.log) is (seconds is not None)
        made.append(output(walked).parent)
    whole, parts = made
    assert sorted(os.listdir(parts)) == sorted(os.listdir(whole))
    for playlist in ("video-0.m3u8", "video-1.m3u8", "audio-2.m3u8"):
        assert (parts / playlist).read_text() == (whole / playlist).read_text()
    assert samples(walker, parts / "manifest.mpd") == samples(walker, whole / "manifest.mpd")


def test_no_seam_of_a_ladder_goes_far_above_its_ceiling(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    noise = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=24:d=24", "-vf", "noise=alls=60:allf=t")
    source = clips.make("noise.mkv", *noise, *H264, "-crf", "10", "-g", "48")
    rule = PackageRule(
        kind="abr",
        ladder=(Rung(height=240, max_bit_rate=600_000),),
        segment_seconds=Fraction(2),
    )
    preset = wish("abr", Fraction(6)).model_copy(update={"package": rule})
    walked = walker.walk(source, preset, tmp_path / "parts")
    segments = sorted(output(walked).parent.glob("seg-0-*.m4s"))
    rates = [path.stat().st_size * 8 / 2 for path in segments]
    assert len(rates) == 12 and min(rates) > 400_000, "the ceiling binds"
    assert max(rates[1:]) < 600_000 * 1.3, rates


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
def test_chunks_of_machines_with_more_or_fewer_threads_are_one_film(
    walker: Walker, clips: Clips, tmp_path: Path, codec: str
) -> None:
    source = clips.make("b-pictures.mp4", *SOURCES["b-pictures.mp4"])
    plan = _cut(walker, source, codec)
    assert plan.chunking is not None
    joints = []
    for chunk in plan.chunking.chunks:
        threads = (None, 1, 4)[chunk.index % 3]
        decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS, threads=threads)
        directory = os.fsencode(tmp_path / f"{chunk.index}")
        made = encode_chunk(plan, chunk, os.fsencode(source), directory, decoder, lambda _: None)
        joints.append(Joint(made, (os.path.join(directory, b"0.mp4"),)))
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    video = join_chunks(plan, joints, os.fsencode(tmp_path / "j"), decoder, encoded=4)
    assert video.pictures == 288


def _cut(walker: Walker, source: Path, codec: str = "h264") -> EncodePlan:
    path = os.fsencode(source)
    preset = fast(wish("webm" if codec == "vp9" else "web", Fraction(3), codec=codec))
    media = walker.prober.probe(path)
    plan = make_plan(media, preset, walker.capabilities, validate(media))
    assert isinstance(plan, EncodePlan)
    return cut(plan, media, preset, walker.prober.list_times(path, 0))


def test_a_chunk_with_other_pictures_than_planned_is_refused(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.make("b-pictures.mp4", *SOURCES["b-pictures.mp4"])
    plan = _cut(walker, source)
    assert plan.chunking is not None
    chunk = plan.chunking.chunks[1].model_copy(update={"pictures": 71})
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    with pytest.raises(IndexDiffers, match="pictures instead of 71"):
        encode_chunk(
            plan, chunk, os.fsencode(source), os.fsencode(tmp_path / "c"), decoder, lambda _: None
        )


def test_chunks_of_two_encodes_are_not_joined(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = clips.make("b-pictures.mp4", *SOURCES["b-pictures.mp4"])
    plan = _cut(walker, source)
    assert plan.chunking is not None
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    joints = []
    for chunk in plan.chunking.chunks:
        video = plan.renditions[0].model_copy(update={"profile": "main" if chunk.index else "high"})
        other = plan.model_copy(update={"renditions": (video,)})
        directory = os.fsencode(tmp_path / f"{chunk.index}")
        made = encode_chunk(other, chunk, os.fsencode(source), directory, decoder, lambda _: None)
        joints.append(Joint(made, (os.path.join(directory, b"0.mp4"),)))
    with pytest.raises(IndexDiffers, match="encoded otherwise than the first"):
        join_chunks(plan, joints, os.fsencode(tmp_path / "j"), decoder, encoded=4)


def test_what_fails_otherwise_than_by_its_chunks_keeps_them(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.make("b-pictures.mp4", *SOURCES["b-pictures.mp4"])
    plan = _cut(walker, source)
    assert plan.chunking is not None
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    joints = []
    for chunk in plan.chunking.chunks:
        directory = os.fsencode(tmp_path / f"{chunk.index}")
        made = encode_chunk(plan, chunk, os.fsencode(source), directory, decoder, lambda _: None)
        joints.append(Joint(made, (os.path.join(directory, b"0.mp4"),)))
    Path(os.fsdecode(joints[1].files[0])).write_bytes(b"no film")
    with pytest.raises(ProcessFailed, match="Invalid data"):
        join_chunks(plan, joints, os.fsencode(tmp_path / "j"), decoder, encoded=4)
    Path(os.fsdecode(joints[1].files[0])).unlink()
    with pytest.raises(StorageError, match="is gone, a finished chunk"):
        join_chunks(plan, joints, os.fsencode(tmp_path / "j"), decoder, encoded=4)


_FULL = "echo '[error] No space left on device' >&2\nexit 228"


def _told_ffmpeg(walker: Walker, directory: Path, does: str) -> Decoder:
    """A decoder whose ffmpeg does what a script says."""
    script = directory / "ffmpeg"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o755)
    able = walker.capabilities.model_copy(update={"ffmpeg": str(script)})
    return Decoder(able, walker.sandbox, LIMITS)


def test_a_full_work_directory_is_told(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = clips.make("b-pictures.mp4", *SOURCES["b-pictures.mp4"])
    plan = _cut(walker, source)
    assert plan.chunking is not None
    decoder = _told_ffmpeg(walker, tmp_path, _FULL)
    where = os.fsencode(tmp_path / "c")
    chunk = plan.chunking.chunks[0]
    with pytest.raises(StorageFull, match="free some, then retry"):
        encode_chunk(plan, chunk, os.fsencode(source), where, decoder, lambda _: None)


def test_damaged_sound_is_left_to_the_command_that_tells_of_it(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.make("stereo-sound.mkv", *SOUNDS["stereo-sound.mkv"])
    plan, decoder = _cut(walker, source), Decoder(walker.capabilities, walker.sandbox, LIMITS)
    where = os.fsencode(tmp_path / "sound")
    made = encode_soundtrack(plan, os.fsencode(source), where, decoder)
    assert made is not None and made.sources[0].frames > 0
    (tmp_path / "cut.mkv").write_bytes(source.read_bytes()[:-20_000])
    assert encode_soundtrack(plan, os.fsencode(tmp_path / "cut.mkv"), where, decoder) is None
    (tmp_path / "no.mkv").write_bytes(b"no film")
    assert encode_soundtrack(plan, os.fsencode(tmp_path / "no.mkv"), where, decoder) is None


def test_sound_that_grows_without_end_is_left_to_the_command_that_tells_of_it(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.make("stereo-sound.mkv", *SOUNDS["stereo-sound.mkv"])
    plan = _cut(walker, source)
    grows = "echo total_size=99999999999\necho progress=continue\nsleep 60"
    where, decoder = tmp_path / "sound", _told_ffmpeg(walker, tmp_path, grows)
    assert encode_soundtrack(plan, os.fsencode(source), os.fsencode(where), decoder) is None
    assert not where.exists(), "what is written next may need the room"


def test_a_work_directory_that_is_full_of_sound_is_told(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.make("stereo-sound.mkv", *SOUNDS["stereo-sound.mkv"])
    plan = _cut(walker, source)
    decoder = _told_ffmpeg(walker, tmp_path, _FULL)
    with pytest.raises(StorageFull, match="free some, then retry"):
        encode_soundtrack(
            plan,
            os.fsencode(source),
            os.fsencode(tmp_path / "sound"),
            decoder,
        )


@pytest.mark.parametrize("harm", ["gone", "cut", "other"])
def test_encoded_sound_that_does_not_go_in_is_encoded_with_the_rest(
    walker: Walker, clips: Clips, tmp_path: Path, harm: str
) -> None:
    source = clips.make("stereo-sound.mkv", *SOUNDS["stereo-sound.mkv"])
    plan, decoder = _cut(walker, source), Decoder(walker.capabilities, walker.sandbox, LIMITS)
    path = os.fsencode(source)
    made = encode_soundtrack(plan, path, os.fsencode(tmp_path / "sound"), decoder)
    assert made is not None and plan.chunking is not None
    sound = tmp_path / "sound" / made.files[0].name
    if harm == "gone":
        sound.unlink()
    elif harm == "cut":
        short = ["-t", "3", "-c", "copy", str(tmp_path / "short.mp4")]
        argv = [walker.capabilities.ffmpeg, "-v", "error", "-i", str(sound), *short]
        subprocess.run(argv, check=True)
        (tmp_path / "short.mp4").rename(sound)
    else:
        sound.write_bytes(b"no sound")
    joints = []
    for chunk in plan.chunking.chunks:
        directory = os.fsencode(tmp_path / f"{chunk.index}")
        one = encode_chunk(plan, chunk, path, directory, decoder, lambda _: None)
        joints.append(Joint(one, (os.path.join(directory, b"0.mp4"),)))
    video = join_chunks(plan, joints, os.fsencode(tmp_path / "j"), decoder, encoded=4)
    track = Soundtrack(made=made, path=os.fsencode(sound))
    encoded = encode_rest(
        plan,
        video.model_copy(update={"soundtrack": track}),
        path,
        os.fsencode(tmp_path),
        capabilities=walker.capabilities,
        sandbox=walker.sandbox,
        limits=LIMITS,
    )
    assert "beside them" not in encoded.log
    assert "its encoded sound did not go in as it was: " in encoded.log
    assert encoded.findings == () and encoded.source[-1].packets > 0
    written = Path(os.fsdecode(encoded.directory)) / os.fsdecode(encoded.main)
    assert times(written, "audio")[-1] > 11.9


_TRACKS = ("-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:a", "-map", "4:a")


def test_a_film_with_sound_of_every_kind_is_the_same(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.make(
        "many-sounds.mkv",
        *(*bars(), *_TONE, *_LATE_SOUND, *_SURROUND, *_TONE, *_TRACKS, *_VIDEO),
        *("-c:a:0", "aac", "-c:a:1", "libvorbis", "-c:a:2", "ac3", "-c:a:3", "libmp3lame"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"),
        *("-metadata:s:a:3", "title=Comments", "-disposition:a:3", "comment"),
    )
    made = []
    for way, seconds in (("whole", None), ("parts", Fraction(6))):
        preset = fast(wish("web", seconds))
        rule = preset.audio.model_copy(update={"loudness": LoudnessRule(target=-20)})
        rule = rule.model_copy(update={"beside_surround": ("stereo",)})
        walked = walker.walk(source, preset.model_copy(update={"audio": rule}), tmp_path / way)
        made.append((walked, walker.prober.probe(os.fsencode(output(walked)))))
    (whole, one), (parts, other) = made
    assert parts.encoded is not None and "beside them" in parts.encoded.log
    assert len(one.audio) >= 5 and any(gain for gain in parts.encoded.gains)
    unlike = {"bit_rate": None}
    assert [track.model_copy(update=unlike) for track in other.audio] == [
        track.model_copy(update=unlike) for track in one.audio
    ]
    assert whole.encoded is not None and whole.encoded.gains == parts.encoded.gains
    assert samples(walker, output(parts)) == samples(walker, output(whole))


def test_sound_of_two_codecs_is_partly_left_to_the_rest(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.make("surround-film.mkv", *SOURCES["surround-film.mkv"])
    rule = PackageRule(kind="abr", ladder=RUNGS, segment_seconds=Fraction(2))
    made = []
    for way, seconds in (("whole", None), ("parts", Fraction(3))):
        preset = wish("abr", seconds).model_copy(update={"package": rule})
        sound = {"beside_codec": "eac3", "copy_codecs": (), "loudness": LoudnessRule(target=-20)}
        preset = preset.model_copy(update={"audio": preset.audio.model_copy(update=sound)})
        made.append(walker.walk(source, preset, tmp_path / way))
    whole, parts = made
    assert parts.plan is not None and parts.encoded is not None and whole.encoded is not None
    encoded = [track for track in parts.plan.audio if track.encoder]
    assert 0 < len(tracks_alone(parts.plan)) < len(encoded)
    assert "beside them" in parts.encoded.log
    assert parts.encoded.gains == whole.encoded.gains and all(parts.encoded.gains)
    for number in range(len(encoded)):
        heard = [f"audio-{len(RUNGS) + number}.m3u8"]
        one, other = (output(walked).parent / heard[0] for walked in made)
        assert one.read_text() == other.read_text()
    assert samples(walker, output(parts)) == samples(walker, output(whole))

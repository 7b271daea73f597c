"""Presentations begin at 0 with picture and sound, whatever the source does, and keep its times."""

from __future__ import annotations

import io
import os
import subprocess
from array import array
from fractions import Fraction
from pathlib import Path

import av
import pytest
from fixtures_planning import Clips, Walked, Walker

from darkstream.media.boxes import read_init
from darkstream.media.tracks import Track, read_tracks
from darkstream.model.preset import PackageRule, Preset, Rung
from darkstream.planning.presets import load_preset

RUNGS = (Rung(height=240, max_bit_rate=900_000), Rung(height=120, max_bit_rate=300_000))
RATE = 8000


def preset() -> Preset:
    rule = PackageRule(kind="abr", ladder=RUNGS, segment_seconds=Fraction(2))
    return load_preset("abr").model_copy(update={"package": rule})


@pytest.fixture(scope="session")
def late_picture(clips: Clips) -> Path:
    """24 pictures a second by the millisecond, from 67 ms after the sound."""
    return clips.make(
        "late-picture.mkv",
        *("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=24:duration=5"),
        *("-f", "lavfi", "-i", "sine=frequency=440:duration=5"),
        *("-vf", "setpts=PTS+0.067/TB", "-fps_mode", "passthrough"),
        *("-c:v", "libx264", "-bf", "2", "-c:a", "libopus"),
    )


@pytest.fixture(scope="session")
def uneven(clips: Clips) -> Path:
    """30 pictures a second, none of them quite on time."""
    return clips.make(
        "off-beat.mp4",
        *("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=9"),
        *("-f", "lavfi", "-i", "sine=frequency=440:duration=9"),
        *("-vf", r"settb=1/15360,setpts=PTS+50*mod(N*N\,9)"),
        *("-fps_mode", "passthrough", "-enc_time_base", "1/15360"),
        *("-c:v", "libx264", "-c:a", "aac"),
    )


@pytest.fixture(scope="session")
def late_sound(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A broadcast whose sound begins after 0.7 s, and goes from stereo to mono after three."""
    parts = tmp_path_factory.mktemp("parts")
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=3")
    made = []
    for number, (tone, channels) in enumerate((("0.7", "2"), ("0", "1"))):
        part = clips.make(
            f"late-sound-{number}.ts",
            *(*picture, "-f", "lavfi", "-i", f"sine=frequency=500:duration={3 - float(tone)}"),
            *("-filter_complex", f"[1]asetpts=PTS+{tone}/TB[a]", "-map", "0:v", "-map", "[a]"),
            *("-c:v", "mpeg2video", "-c:a", "mp2", "-ac", channels),
            *("-output_ts_offset", str(3 * number)),
        )
        made.append(part.read_bytes())
    path = parts / "late-sound.ts"
    path.write_bytes(b"".join(made))
    return path


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("gap", r"aselect=not(between(t\,0.19\,0.34))"),
        ("jitter", r"asetpts=PTS+if(gte(T\,0.25)\,0.003/TB\,0)"),
        ("late", "asetpts=PTS+8/TB"),
    ],
)
def test_a_marked_moment_stays_where_it_was(
    walker: Walker, clips: Clips, tmp_path: Path, name: str, filters: str
) -> None:
    tone = r"aevalsrc=sin(2764*t)*if(gt(t\,1.5)\,0.8\,0.05):d=2.5:s=48000"
    source = clips.make(
        f"moment-{name}.mkv",
        *("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=11", "-f", "lavfi"),
        *("-i", tone, "-af", filters, "-c:v", "libx264", "-c:a", "libopus"),
    )
    directory, tracks = walk(walker, source, tmp_path)
    (sound,) = (track for track in tracks if track.kind == "audio")
    samples = heard(walker, joined(directory, sound))
    loud = next(place for place, sample in enumerate(samples) if abs(sample) > 10_000)
    assert loud / RATE == pytest.approx(9.5 if name == "late" else 1.5, abs=0.03)


def test_sound_that_begins_long_after_the_picture_is_found(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.make(
        "sound-from-8.ts",
        *("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=11"),
        *("-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-af", "asetpts=PTS+8/TB"),
        *("-c:v", "mpeg2video", "-c:a", "aac"),
    )
    media = walker.prober.probe(os.fsencode(source))
    (stream,) = media.audio
    assert (stream.channels, stream.sample_rate, stream.decoded) == (1, 44100, True)
    assert stream.start is not None
    assert media.start is not None
    assert float(stream.start - media.start) == pytest.approx(8, abs=0.1)
    directory, tracks = walk(walker, source, tmp_path)
    (sound,) = (track for track in tracks if track.kind == "audio")
    samples = heard(walker, joined(directory, sound))
    loud = next(place for place, sample in enumerate(samples) if abs(sample) > 1000)
    assert loud / RATE == pytest.approx(8, abs=0.1)


def test_a_picture_that_begins_long_after_the_sound_is_found(walker: Walker, clips: Clips) -> None:
    source = clips.make(
        "picture-from-12.mkv",
        *("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=1"),
        *("-f", "lavfi", "-i", "sine=frequency=440:duration=14", "-vf", "setpts=PTS+12/TB"),
        *("-fps_mode", "passthrough", "-c:v", "libx264", "-c:a", "aac"),
    )
    (video,) = walker.prober.probe(os.fsencode(source)).video
    assert video.decoded


def walk(walker: Walker, source: Path, work: Path) -> tuple[Path, list[Track]]:
    walked: Walked = walker.walk(source, preset(), work)
    assert walked.status == "done", walked.reason
    assert walked.presentation is not None
    directory = Path(os.fsdecode(walked.presentation.path))
    return directory, list(read_tracks(os.fsencode(directory)))


def joined(directory: Path, track: Track) -> bytes:
    names = [track.init, *(segment.name for segment in track.segments)]
    return b"".join((directory / str(name)).read_bytes() for name in names)


def times(file: object) -> list[Fraction]:
    """When each picture is shown, seconds."""
    with av.open(file) as container:
        stream = container.streams.video[0]
        return sorted(
            packet.pts * packet.time_base
            for packet in container.demux(stream)
            if packet.pts is not None
        )


def heard(walker: Walker, data: bytes) -> list[int]:
    """A track's samples from 0 on, at 8 kHz."""
    command = [walker.capabilities.ffmpeg, "-v", "error", "-i", "-", "-f", "s16le", "-ac", "1"]
    command += ["-af", f"aresample={RATE}:async=1:first_pts=0", "-"]
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    return array("h", done.stdout).tolist()


@pytest.mark.parametrize("source", ["late_picture", "uneven", "late_sound"])
def test_all_tracks_begin_at_0_without_empty_edits(
    walker: Walker, tmp_path: Path, request: pytest.FixtureRequest, source: str
) -> None:
    directory, tracks = walk(walker, request.getfixturevalue(source), tmp_path)
    assert [track.segments[0].start for track in tracks] == [0, 0, 0]
    assert [read_init(os.fsencode(directory / str(t.init))).late for t in tracks] == [0, 0, 0]


@pytest.mark.parametrize("source", ["late_picture", "uneven"])
def test_every_picture_but_the_first_is_shown_when_it_was_in_every_rendition(
    walker: Walker, tmp_path: Path, request: pytest.FixtureRequest, source: str
) -> None:
    path: Path = request.getfixturevalue(source)
    directory, tracks = walk(walker, path, tmp_path)
    _, *wanted = times(str(path))
    for track in tracks[:2]:
        assert times(io.BytesIO(joined(directory, track))) == [0, *wanted]


def test_late_sound_stays_late_behind_silence(
    walker: Walker, tmp_path: Path, late_sound: Path
) -> None:
    directory, tracks = walk(walker, late_sound, tmp_path)
    samples = heard(walker, joined(directory, tracks[2]))
    loud = next(place for place, sample in enumerate(samples) if abs(sample) > 1000)
    assert loud / RATE == pytest.approx(0.7, abs=0.03)
    assert len(samples) / RATE == pytest.approx(6, abs=0.1)
    assert max(map(abs, samples[-RATE // 2 : -RATE // 4])) > 1000

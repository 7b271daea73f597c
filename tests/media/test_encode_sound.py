"""Tracks, mixes and loudness, measured in what comes out."""

from __future__ import annotations

import math
import os
import re
import subprocess
from pathlib import Path

import pytest
from fixtures_planning import Clips, Walked, Walker

from darkstream.model.media import AudioStream
from darkstream.planning.presets import parse_preset

_CENTRE_HZ, _FRONT_HZ, _BACK_HZ = 1000, 400, 2500


def _walk(walker: Walker, source: Path, work: Path, audio: str, container: str = "mkv") -> Walked:
    text = f"name: x\ncontainer: {container}\naudio: {{{audio}}}\n"
    done = walker.walk(source, parse_preset(text, "x.yaml"), work)
    assert done.presentation is not None, done.reason
    return done


def _tracks(walker: Walker, done: Walked) -> list[AudioStream]:
    assert done.presentation is not None
    return list(walker.prober.probe(done.presentation.path).audio)


def _ffmpeg(walker: Walker, *options: str) -> str:
    argv = [walker.capabilities.ffmpeg, "-nostdin", "-hide_banner", "-nostats", *options]
    return subprocess.run(argv, check=True, capture_output=True, timeout=120, text=True).stderr


def _level(walker: Walker, path: bytes, track: int, hertz: int) -> float:
    """dB of one tone in the left channel of a track."""
    tone = f"pan=mono|c0=FL,bandpass=f={hertz}:width_type=h:w=40,atrim=0.5,volumedetect"
    source = f"file:{os.fsdecode(path)}"
    said = _ffmpeg(walker, "-i", source, "-map", f"0:a:{track}", "-af", tone, "-f", "null", "-")
    found = re.search(r"mean_volume: (\S+) dB", said)
    assert found is not None
    return float(found[1])


def _heard(walker: Walker, path: bytes, track: int) -> tuple[float, float]:
    """LUFS and dBTP by ffmpeg's other meter, which ours is not."""
    meter = "loudnorm=print_format=json"
    source = f"file:{os.fsdecode(path)}"
    said = _ffmpeg(walker, "-i", source, "-map", f"0:a:{track}", "-af", meter, "-f", "null", "-")
    values = dict(re.findall(r'"(input_i|input_tp)" : "(\S+)"', said))
    return float(values["input_i"]), float(values["input_tp"])


def _surround(clips: Clips) -> Path:
    """5.1 with one tone in the centre, one in front, one behind; and a German stereo track."""
    tones = [f"sine={hz}:d=2:r=48000" for hz in (_CENTRE_HZ, _FRONT_HZ, _BACK_HZ)]
    silence = "anullsrc=cl=mono:r=48000:d=2"
    places = "0.0-FL|1.0-FR|2.0-FC|3.0-LFE|4.0-BL|5.0-BR"
    graph = (
        f"{tones[1]},asplit[fl][fr];{tones[0]}[fc];{silence}[lfe];{tones[2]},asplit[bl][br];"
        f"[fl][fr][fc][lfe][bl][br]join=inputs=6:channel_layout=5.1:map={places}[six]"
    )
    picture = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2")
    stereo = ("-f", "lavfi", "-i", "aevalsrc=sin(800*t)|sin(800*t):d=2:s=48000")
    maps = ("-map", "0", "-map", "[six]", "-map", "1", "-c:v", "mpeg4", "-c:a", "flac")
    marks = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger")
    flags = ("-disposition:a:0", "default", "-disposition:a:1", "0")
    return clips.make("six.mkv", *picture, *stereo, "-filter_complex", graph, *maps, *marks, *flags)


def test_mixes_stand_beside_the_surround_track(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = _surround(clips)
    done = _walk(walker, source, tmp_path, "beside_surround: [stereo, dialogue]")
    tracks = _tracks(walker, done)
    assert [(t.channels, t.language, t.title, t.disposition.default) for t in tracks] == [
        (6, "eng", None, True),
        (2, "eng", "Stereo", False),
        (2, "eng", "Stereo, clear speech", False),
        (2, "ger", None, False),
    ]
    assert done.presentation is not None
    path = done.presentation.path
    above = []
    for track in (1, 2):
        centre, front, back = (
            _level(walker, path, track, hz) for hz in (_CENTRE_HZ, _FRONT_HZ, _BACK_HZ)
        )
        above.append((centre - front, centre - back))
    # BS.775: the centre 3 dB below the front and level with the back.
    assert above[0] == pytest.approx((-3, 0), abs=1)
    assert above[1][0] == pytest.approx(9.1, abs=1.5)
    assert above[1][1] == pytest.approx(14, abs=1.5)


def test_what_was_mixed_before_is_not_mixed_again(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    rules = "copy_codecs: [aac], beside_surround: [stereo, dialogue]"
    first = _walk(walker, _surround(clips), tmp_path, rules)
    assert first.presentation is not None
    path = Path(os.fsdecode(first.presentation.path))
    text = f"name: x\ncontainer: mkv\naudio: {{{rules}}}\n"
    again = walker.walk(path, parse_preset(text, "x.yaml"), tmp_path / "again")
    assert again.decision == "skip", again.reason


def test_preferred_languages_come_first(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    done = _walk(walker, _surround(clips), tmp_path, "languages: [de, en]", "mp4")
    tracks = _tracks(walker, done)
    assert [(t.language, t.disposition.default) for t in tracks] == [("ger", True), ("eng", False)]
    only = _walk(walker, _surround(clips), tmp_path / "o", "tracks: languages, languages: [deu]")
    assert [t.language for t in _tracks(walker, only)] == ["ger"]
    none = _walk(walker, _surround(clips), tmp_path / "n", "tracks: languages, languages: [fr]")
    assert len(_tracks(walker, none)) == 2
    assert [finding.message for finding in none.findings] == [
        "it has no sound in fr: all of it is kept"
    ]


@pytest.mark.parametrize(
    ("sound", "target"),
    [
        ("anoisesrc=a=0.02:c=pink:d=6:seed=1", -23.0),
        ("anoisesrc=a=0.9:c=white:d=6:seed=1", -16.0),
        # Quiet with clicks: no gain alone may lift it that far.
        ("aevalsrc='0.03*sin(2000*t)+0.6*gt(sin(9*t)\\,0.9999)':d=6:s=44100", -16.0),
    ],
)
def test_loudness_is_met_and_peaks_stay_below(
    walker: Walker, clips: Clips, tmp_path: Path, sound: str, target: float
) -> None:
    name = f"loud{abs(hash(sound)) % 1000}.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=6")
    source = clips.make(name, *picture, "-f", "lavfi", "-i", sound, "-c:v", "mpeg4", "-c:a", "flac")
    rule = f"codec: flac, loudness: {{target: {target}, true_peak: -1.5}}"
    done = _walk(walker, source, tmp_path, rule)
    assert done.presentation is not None
    loud, peak = _heard(walker, done.presentation.path, 0)
    assert loud == pytest.approx(target, abs=0.5)
    assert peak <= -1.4
    assert done.findings == ()
    assert done.verification is not None
    assert done.verification.loudness[0] == pytest.approx(loud, abs=0.2)


def test_loudness_of_every_track_of_a_presentation(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    text = (
        "name: x\nextends: abr\naudio: {loudness: {target: -20}}\n"
        "package: {ladder: [{height: 64, max_bit_rate: 300000}]}\n"
    )
    done = walker.walk(_surround(clips), parse_preset(text, "x.yaml"), tmp_path)
    assert done.presentation is not None, done.reason
    assert done.verification is not None
    assert [round(loud or 0) for loud in done.verification.loudness] == [-20, -20]


def test_silence_stays_silent_and_is_told(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1")
    silence = ("-f", "lavfi", "-i", "anullsrc=d=1")
    source = clips.make("silent.mkv", *picture, *silence, "-c:v", "mpeg4", "-c:a", "flac")
    done = _walk(walker, source, tmp_path, "loudness: {target: -23}")
    assert [finding.message for finding in done.findings] == [
        "audio track 1 is silent: its loudness stays as it is"
    ]
    assert done.verification is not None
    assert done.verification.loudness == (None,)
    assert math.isclose(float(done.verification.duration or 0), 1, abs_tol=0.05)


@pytest.mark.parametrize("layout", ["2.1", "3.0(back)", "quad", "3.1"])
@pytest.mark.parametrize("codec", ["aac", "flac", "opus"])
def test_every_channel_of_an_odd_layout_is_heard(
    walker: Walker, clips: Clips, tmp_path: Path, layout: str, codec: str
) -> None:
    count = {"2.1": 3, "3.0(back)": 3}.get(layout, 4)
    bass = {"2.1": 2, "3.1": 3}.get(layout)
    hertz = [60 if number == bass else 300 + 400 * number for number in range(count)]
    tones = "|".join(f"0.3*sin(2*PI*{hz}*t)" for hz in hertz)
    sound = f"aevalsrc='{tones}':d=1:s=48000:c={layout}"
    name = f"odd-{layout}.mov"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1")
    source = clips.make(name, *picture, "-f", "lavfi", "-i", sound, "-c:a", "pcm_s16le")
    done = _walk(walker, source, tmp_path, f"codec: {codec}")
    assert done.presentation is not None
    assert done.findings == ()
    for hz in hertz:
        tone = f"bandpass=f={hz}:width_type=h:w=40,atrim=0.3,astats=measure_perchannel=Peak_level"
        path = f"file:{os.fsdecode(done.presentation.path)}"
        said = _ffmpeg(walker, "-i", path, "-map", "0:a:0", "-af", tone, "-f", "null", "-")
        peaks = [float(one) for one in re.findall(r"Peak level dB: (\S+)", said)]
        assert max(peaks) > -20, (layout, hz, peaks)


def test_copies_and_masters_keep_what_cameras_record(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.4")
    sound = ("-f", "lavfi", "-i", "sine=d=0.4:r=11025", "-c:a", "pcm_s16be", "-c:v", "mpeg4")
    source = clips.make("camera.mov", *picture, *sound)
    (copied,) = _tracks(walker, _walk(walker, source, tmp_path / "c", "codec: copy", "mov"))
    assert (copied.codec, copied.sample_rate) == ("pcm_s16be", 11025)
    done = walker.walk(source, "lossless", tmp_path / "l")
    assert done.presentation is not None, done.reason
    (kept,) = _tracks(walker, done)
    assert (kept.codec, kept.sample_rate) == ("flac", 11025)

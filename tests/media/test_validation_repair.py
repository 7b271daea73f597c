"""What a new container repairs: every picture and every sample of sound is there afterwards."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fixtures_damage import FRAMES, SECONDS, damaged, stretch
from fixtures_planning import LIMITS, Clips, Walked, Walker

from darkstream.media.decoding import Decoder
from darkstream.media.soundness import check
from darkstream.model.plan import EncodePlan, Skip
from darkstream.model.preset import Preset
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset, parse_preset

_MATROSKA = parse_preset("name: x\ncontainer: mkv\nvideo: {codec: h264}\n", "x.yaml")


def _samples(walker: Walker, path: Path | str) -> list[str]:
    """A hash of each decoded picture, and one of all sound, without times."""
    argv = [walker.capabilities.ffmpeg, "-v", "error", "-nostdin", "-i", f"file:{path}"]
    pictures = ("-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-")
    sound = ("-map", "0:a", "-f", "hash", "-")
    said = [
        subprocess.run([*argv, *out], check=True, capture_output=True, text=True, timeout=120)
        for out in (pictures, sound)
    ]
    lines = [line for line in said[0].stdout.splitlines() if not line.startswith("#")]
    return [*(line.rpartition(",")[2].strip() for line in lines), said[1].stdout]


def _walk(walker: Walker, source: Path, preset: Preset, work: Path, *codes: str) -> Walked:
    """One file with what level `quick` finds in it, which must be just these codes."""
    path = os.fsencode(source)
    media = walker.prober.probe(path)
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    _, found = check(media, path, "quick", prober=walker.prober, decoder=decoder)
    assert tuple(finding.code for finding in found) == codes
    work.mkdir(exist_ok=True)
    return walker._plan(path, media.model_copy(update={"findings": found}), preset, work, ())


def _check_whole(walker: Walker, done: Walked, whole: list[str], seconds: float) -> None:
    assert (done.decision, done.status) == ("remux", "done")
    assert "which repairs it" in done.reason
    assert done.presentation is not None
    result = done.presentation.path
    assert _samples(walker, os.fsdecode(result)) == whole
    media = walker.prober.probe(result)
    decoder = Decoder(walker.capabilities, walker.sandbox, LIMITS)
    survey, found = check(media, result, "full", prober=walker.prober, decoder=decoder)
    assert found == ()
    assert survey is not None
    assert float(media.duration or 0) == pytest.approx(seconds, abs=0.15)


@pytest.mark.parametrize(("container", "preset"), [("mp4", load_preset("web")), ("mkv", _MATROSKA)])
def test_a_wrong_duration_is_put_right(
    walker: Walker, clips: Clips, tmp_path: Path, container: str, preset: Preset
) -> None:
    whole, wrong = (damaged(clips, kind, container) for kind in ("none", "wrong duration"))
    assert whole is not None
    assert wrong is not None
    media = walker.prober.probe(os.fsencode(whole))
    decision = make_plan(media, preset, walker.capabilities, validate(media))
    assert isinstance(decision, Skip), "the whole file is as wished"
    done = _walk(walker, wrong, preset, tmp_path / "out", "duration-wrong")
    samples = _samples(walker, whole)
    assert len(samples) == FRAMES + 1
    _check_whole(walker, done, samples, SECONDS)


def test_a_recording_without_duration_and_index_gets_both(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    whole = damaged(clips, "none", "mkv")
    live = clips.make("live.mkv", "-i", str(whole), "-c", "copy", "-live", "1")
    assert walker.prober.probe(os.fsencode(live)).duration is None
    done = _walk(walker, live, _MATROSKA, tmp_path / "out", "duration-missing")
    _check_whole(walker, done, _samples(walker, str(whole)), SECONDS)
    assert done.presentation is not None
    data = Path(os.fsdecode(done.presentation.path)).read_bytes()
    assert b"\x1c\x53\xbb\x6b" in data, "an index (Cues)"
    assert b"\x1c\x53\xbb\x6b" not in live.read_bytes()


def test_timestamps_that_jump_are_joined(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    """Two recordings in one file, as when a receiver begins anew."""
    parts = [
        clips.make(
            f"part{number}.ts",
            *("-f", "lavfi", "-i", f"testsrc2=s=320x240:r=25:d=4,hue=h={number * 90}"),
            *("-f", "lavfi", "-i", f"sine={number * 300}:r=48000:d=4"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "0"),
            *("-c:a", "aac", "-ac", "2", "-output_ts_offset", str(begin)),
        )
        for number, begin in ((1, 500), (2, 20))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    done = _walk(walker, joined, load_preset("web"), tmp_path / "out", "timestamps-jump")
    pictures = [samples for part in parts for samples in _samples(walker, part)[:-1]]
    assert len(pictures) == 200
    assert (done.decision, done.status) == ("remux", "done")
    assert done.presentation is not None
    result = os.fsdecode(done.presentation.path)
    assert _samples(walker, result)[:-1] == pictures
    assert float(walker.prober.probe(os.fsencode(result)).duration or 0) == pytest.approx(
        8, abs=0.3
    )


def test_damage_beside_a_wrong_duration_is_encoded(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    zeroed = damaged(clips, "zeroed middle", "mp4")
    assert zeroed is not None
    both = tmp_path / "both.mp4"
    both.write_bytes(stretch(zeroed.read_bytes()))
    done = _walk(walker, both, load_preset("web"), tmp_path / "out", "packets-zeroed")
    assert done.decision == "convert"
    assert isinstance(done.plan, EncodePlan)

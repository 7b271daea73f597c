"""Odd files: cut by edit lists, begun in the middle, damaged beyond copying, no videos at all."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from fixtures_planning import Clips, Walker

from darkstream.errors import VerificationFailed
from darkstream.media.damage import describe_empty, describe_hidden
from darkstream.media.measure import Measured, check_streams
from darkstream.media.tally import Tally
from darkstream.model.encoded import StreamTally
from darkstream.model.media import Severity
from darkstream.planning.presets import load_preset, parse_preset


def _transport(clips: Clips) -> bytes:
    return clips.plain("odd.ts", seconds=4).read_bytes()


def test_what_an_edit_list_hides_is_no_damage(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    whole = clips.plain("to-cut.mp4", seconds=3)
    source = clips.make("edited.mp4", "-ss", "1.3", "-i", str(whole), "-c", "copy")
    done = walker.walk(source, "web", tmp_path)
    assert (done.decision, done.status, done.findings) == ("remux", "done", ())
    assert done.verification is not None
    assert done.verification.audio_streams == 1


def test_a_recording_that_begins_in_the_middle_is_kept_from_its_first_key_frame(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    data, source = _transport(clips), tmp_path / "middle.ts"
    source.write_bytes(data[len(data) // 188 // 3 * 188 :])
    done = walker.walk(source, "web", tmp_path / "work")
    assert done.status == "done", done.reason
    assert done.findings


def test_what_cannot_even_be_copied_is_refused_not_failed(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    data, source = bytearray(_transport(clips)), tmp_path / "zeros.ts"
    middle = len(data) // 2
    data[middle : middle + 8192] = bytes(8192)
    source.write_bytes(data)
    done = walker.walk(source, "web", tmp_path / "work")
    assert done.status == "rejected" or done.findings
    if done.status == "rejected":
        assert "too damaged to be converted" in done.reason


def test_a_damaged_file_of_which_little_is_left_is_refused(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    whole = clips.plain("odd.mkv", seconds=4).read_bytes()
    source = tmp_path / "little.mkv"
    source.write_bytes(whole[: len(whole) // 4])
    done = walker.walk(source, "web", tmp_path / "work")
    assert done.status == "rejected"
    assert "could be read" in done.reason


def test_a_track_without_any_sound_is_left_out_and_told(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    done = walker.walk(clips.plain("sounding.mkv", "-c:v", "mpeg4"), "web", tmp_path)
    assert done.plan is not None
    assert done.encoded is not None
    assert describe_empty(done.plan, Tally()) == ()
    (index,) = {track.source_index for track in done.plan.audio}
    nothing = StreamTally(index=index, kind="audio", packets=0, frames=0, errors=0)
    found = describe_empty(done.plan, Tally(inputs=[(0, nothing)]))
    assert [finding.code for finding in found] == ["audio-empty"]
    silent = Measured(duration=None, pictures=((320, 240),), audio=0, subtitles=0)
    check_streams(done.plan, done.encoded.model_copy(update={"source": (nothing,)}), silent)
    with pytest.raises(VerificationFailed, match="0 audio streams instead of 1"):
        check_streams(done.plan, done.encoded, silent)


def test_sound_with_times_rounded_to_milliseconds_verifies() -> None:
    tally = Tally()
    tally.note(
        "[null @ 0x1] [error] Application provided invalid, non monotonically increasing dts"
    )
    assert not tally.errors
    tally.note("[in#0 @ 0x1] [warning] Packet corrupt (stream = 0, dts = 1).")
    assert tally.source_damaged


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\xff\xd8\xff\xe0", "a JPEG picture"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"PK\3\4", "a ZIP archive"),
        (b"RIFF\0\1\0\0WEBPVP8 ", "a WebP picture"),
        (b"%PDF-1.7\n", "a PDF document"),
    ],
)
def test_other_files_are_called_by_their_names(
    walker: Walker, tmp_path: Path, head: bytes, what: str
) -> None:
    source = tmp_path / "x.mp4"
    source.write_bytes(head + bytes(range(256)) * 8)
    done = walker.walk(source, "web", tmp_path / "work")
    assert done.status == "rejected"
    assert what in done.reason


def test_nothing_is_hidden_where_all_is_written(walker: Walker, clips: Clips) -> None:
    from test_encode_walk import plan_for

    plan = plan_for(walker, clips.plain(), "web")
    assert describe_hidden(plan, (25,), 25) == ()
    assert [f.code for f in describe_hidden(plan, (20,), 25)] == ["begins-in-the-middle"]


@pytest.mark.parametrize("size", [None, 40 << 20, 2 << 30])
def test_a_recording_that_goes_on_with_zeros_is_kept_up_to_them(
    walker: Walker, clips: Clips, tmp_path: Path, size: int | None
) -> None:
    data, source = _transport(clips), tmp_path / "goes,,on:with zeros.ts"
    source.write_bytes(data)
    if size is not None:
        os.truncate(source, size)
    done = walker.walk(source, "web", tmp_path / "work")
    assert done.status == "done", done.reason
    assert done.verification is not None
    assert done.verification.frames == (100,)
    if size is None:
        assert done.findings == ()
    else:
        assert [finding.code for finding in done.findings] == ["zeros-at-the-end"]
        assert done.media is not None
        assert done.media.content_bytes is not None
        assert 0 <= done.media.content_bytes - len(data) <= 204
        assert f"its last {size - done.media.content_bytes} bytes are zeros" in done.reason


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("ending.ogv", ("-c:v", "libtheora", "-c:a", "libvorbis")),
        ("ending.wmv", ("-c:v", "wmv2", "-c:a", "wmav2")),
    ],
)
def test_a_cut_off_end_is_told(
    walker: Walker, clips: Clips, tmp_path: Path, name: str, codecs: tuple[str, ...]
) -> None:
    whole, source = clips.plain(name, *codecs, seconds=3), tmp_path / name
    intact = walker.walk(whole, "web", tmp_path / "intact")
    assert (intact.status, intact.findings) == ("done", ())
    data = whole.read_bytes()
    source.write_bytes(data[: len(data) * 4 // 5])
    done = walker.walk(source, "web", tmp_path / "work")
    assert done.status == "done", done.reason
    assert done.findings[0].code == "truncated"
    assert done.findings[0].severity is Severity.repairable


def test_a_webm_that_is_as_wished_is_left_as_it_is(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    codecs = ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus")
    done = walker.walk(clips.plain("as-wished.webm", *codecs), "webm", tmp_path)
    assert (done.status, done.reason) == (
        "skipped",
        "already WebM with VP9 (320x240 <= 1920x1080, 8-bit) and Opus",
    )


@pytest.mark.parametrize(
    ("name", "codec", "preset"),
    [
        ("song.mp3", "libmp3lame", "audio"),
        ("song.flac", "flac", "web"),
        ("song.ogg", "libvorbis", "audio"),
        ("song.m4a", "aac", "archive"),
        ("song.opus", "libopus", "webm"),
    ],
)
def test_music_keeps_its_tags_and_tells_no_places(
    walker: Walker, clips: Clips, tmp_path: Path, name: str, codec: str, preset: str
) -> None:
    tags = {
        "title": "One",
        "artist": "Some; one",
        "album": "Songs",
        "date": "1999",
        "genre": "Rock",
    }
    said = [word for key, value in tags.items() for word in ("-metadata", f"{key}={value}")]
    tone = ("-f", "lavfi", "-i", "sine=440:r=48000:d=2", "-c:a", codec)
    source = clips.make(name, *tone, *said, "-metadata", "location=+48.1+11.5/")
    wish = load_preset(preset).model_copy(update={"guards": load_preset("web").guards})
    done = walker.walk(source, wish, tmp_path)
    assert done.presentation is not None, done.reason
    made = walker.prober.probe(done.presentation.path)
    assert made.title == tags.pop("title")
    assert dict(made.tags) == tags
    assert b"+48.1" not in Path(os.fsdecode(done.presentation.path)).read_bytes()


def test_a_varying_rate_passes_through_or_becomes_constant_as_a_whole(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    uneven = "testsrc2=s=96x64:r=30:d=2,select='not(eq(mod(n\\,5)\\,3))'"
    options = ("-fps_mode", "passthrough", "-c:v", "mpeg4", "-video_track_timescale", "30000")
    source = clips.make("uneven.mp4", "-f", "lavfi", "-i", uneven, *options)
    assert walker.prober.probe(os.fsencode(source)).video[0].variable_rate

    def times(wish: str) -> list[Fraction]:
        work = tmp_path / (wish or "keep")
        preset = parse_preset(f"name: x\nextends: web\nvideo: {{{wish}}}\n", "x.yaml")
        done = walker.walk(source, preset, work)
        assert done.presentation is not None, done.reason
        with av.open(os.fsdecode(done.presentation.path)) as container:
            found = [frame.pts * frame.time_base for frame in container.decode(video=0)]
        return [Fraction(at) - Fraction(found[0]) for at in found]

    with av.open(str(source)) as container:
        before = [Fraction(f.pts * f.time_base) for f in container.decode(video=0)]
    assert times("") == [at - before[0] for at in before]
    steady = times("rate_mode: constant")
    assert {later - earlier for earlier, later in pairwise(steady)} == {Fraction(1, 30)}
    assert len(steady) == 60

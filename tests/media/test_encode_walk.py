"""Small clips from source to presentation with the real ffmpeg."""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from fixtures_planning import LIMITS, Clips, Walker, damage, encode_of, fast

from darkstream.errors import (
    Cancelled,
    OutputTooLarge,
    ProcessFailed,
    ProcessTimeout,
    SourceRejected,
    StorageFull,
)
from darkstream.media.encode import _explain, encode
from darkstream.media.process import FfmpegProgress, Limits
from darkstream.media.tally import Tally
from darkstream.model.plan import EncodePlan
from darkstream.observe.cancel import CancelToken
from darkstream.planning import make_plan, validate
from darkstream.planning.presets import load_preset

FASTSTART = ("-movflags", "+faststart")


def plan_for(walker: Walker, source: Path, preset: str) -> EncodePlan:
    media = walker.prober.probe(os.fsencode(source))
    plan = make_plan(media, fast(load_preset(preset)), walker.capabilities, validate(media))
    assert isinstance(plan, EncodePlan)
    return plan


def test_a_remux_starts_fast_and_is_then_skipped(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    done = walker.walk(clips.plain(), "web", tmp_path / "work")
    assert (done.decision, done.status) == ("remux", "done")
    assert done.presentation is not None
    again = walker.walk(done.presentation.path, "web", tmp_path / "again")
    assert (again.decision, again.reason) == (
        "skip",
        "already MP4 with H.264 (320x240 <= 1920x1080, 8-bit) and AAC, starts fast",
    )


@pytest.mark.parametrize("preset", ["web", "mobile", "archive", "hevc", "webm"])
def test_every_preset_encodes_every_picture(
    walker: Walker, clips: Clips, tmp_path: Path, preset: str
) -> None:
    source = clips.plain("mpeg4.mkv", "-c:v", "mpeg4", "-c:a", "ac3")
    wish = load_preset(preset).model_copy(update={"guards": load_preset("web").guards})
    done = walker.walk(source, wish, tmp_path)
    assert (done.decision, done.status) == ("convert", "done"), done.reason
    assert done.verification is not None
    assert done.verification.frames == (25,)
    assert (done.verification.video_streams, done.verification.audio_streams) == (1, 1)


def test_the_audio_preset_drops_the_picture(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    done = walker.walk(clips.plain(), "audio", tmp_path)
    assert done.status == "done"
    assert done.verification is not None
    assert (done.verification.video_streams, done.verification.audio_streams) == (0, 1)


def test_turned_pictures_come_out_upright_once(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    turned = clips.make(
        "turned.mp4", "-display_rotation", "90", "-i", str(clips.plain()), "-c", "copy"
    )
    wish = load_preset("hevc")
    done = walker.walk(turned, wish, tmp_path)
    assert done.status == "done"
    assert (encode_of(done.plan).width, encode_of(done.plan).height) == (240, 320)
    assert done.presentation is not None
    video = walker.prober.probe(done.presentation.path).video[0]
    assert (video.width, video.height, video.rotation) == (240, 320, 0)


def test_hdr_light_levels_survive(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    params = (
        "log-level=none:hdr10-opt=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:"
        "colormatrix=bt2020nc:max-cll=900,300:master-display="
        "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    )
    source = clips.make(
        "hdr.mkv",
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=0.4", "-c:v", "libx265"),
        *("-pix_fmt", "yuv420p10le", "-preset", "ultrafast", "-x265-params", params),
    )
    before = walker.prober.probe(os.fsencode(source)).video[0]
    assert before.mastering_display is not None
    for preset in ("archive", "hevc"):
        wish = load_preset(preset).model_copy(update={"guards": load_preset("web").guards})
        assert wish.video is not None
        wish = wish.model_copy(update={"video": wish.video.model_copy(update={"copy_codecs": ()})})
        done = walker.walk(source, wish, tmp_path / preset)
        assert done.presentation is not None, done.reason
        after = walker.prober.probe(done.presentation.path).video[0]
        assert (after.hdr, after.bit_depth) == ("hdr10", 10)
        assert after.content_light == before.content_light
        assert after.mastering_display is not None
        assert float(after.mastering_display.max_luminance) == pytest.approx(1000, rel=0.01)
    sdr = walker.walk(source, "web", tmp_path / "web")
    assert sdr.presentation is not None, sdr.reason
    mapped = walker.prober.probe(sdr.presentation.path).video[0]
    assert (mapped.hdr, mapped.bit_depth, mapped.colour.transfer) == ("none", 8, "bt709")
    assert mapped.mastering_display is None


@pytest.mark.parametrize("start", [(), FASTSTART])
def test_damage_is_found_before_a_copy_or_a_skip_is_believed(
    walker: Walker, clips: Clips, tmp_path: Path, start: tuple[str, ...]
) -> None:
    whole = clips.plain(f"whole{len(start)}.mp4", *start, seconds=4)
    source = damage(whole, tmp_path / "damaged.mp4")
    done = walker.walk(source, "web", tmp_path / "work")
    assert (done.decision, done.status) == ("convert", "done")
    assert "decode-errors" in {finding.code for finding in done.findings}
    assert "parts of it are damaged" in done.reason


def test_a_ruin_is_refused_with_the_count(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    whole = clips.plain("long.mp4", *FASTSTART, "-bf", "0", seconds=4)
    data = whole.read_bytes()
    source = tmp_path / "cut.mp4"
    source.write_bytes(data[: data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 5])
    done = walker.walk(source, "web", tmp_path / "work")
    assert done.status == "rejected"
    assert "of its 100 pictures could be decoded" in done.reason


@pytest.mark.parametrize(
    "name",
    [
        b"b\xff\xfe.mp4",
        b"-dash %d 'quote\".mp4",
        "ünï 🎬\u202e.mp4".encode(),
        b"new\nline;$(x) &.mp4",
    ],
)
def test_any_name_will_do(walker: Walker, clips: Clips, tmp_path: Path, name: bytes) -> None:
    source = os.path.join(os.fsencode(tmp_path), name)
    os.link(clips.plain(), source)
    assert walker.walk(source, "web", tmp_path / "work").status == "done"


def test_titles_languages_chapters_fonts_and_subtitles_are_kept(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nHello\n")
    (tmp_path / "a.ttf").write_bytes(b"\0\1\0\0font")
    (tmp_path / "meta.txt").write_text(
        ";FFMETADATA1\ntitle=Film\nlocation=+48.1+11.5/\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\n"
        "END=500\ntitle=First\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=500\nEND=1000\ntitle=Second\n"
    )
    source = clips.make(
        "rich.mkv",
        *("-i", str(clips.plain()), "-i", str(tmp_path / "s.srt")),
        *("-i", str(tmp_path / "meta.txt"), "-map_metadata", "2", "-map_chapters", "2"),
        *("-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "1:s", "-c", "copy"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=jpn"),
        *("-metadata:s:a:1", "title=Comments", "-disposition:a:1", "comment"),
        *("-metadata:s:s:0", "language=fra", "-disposition:s:0", "forced"),
        *("-attach", str(tmp_path / "a.ttf")),
        *("-metadata:s:t:0", "mimetype=application/x-truetype-font"),
    )
    wish = load_preset("archive").model_copy(update={"guards": load_preset("web").guards})
    for preset in (wish, load_preset("web")):
        done = walker.walk(source, preset, tmp_path / preset.name)
        assert done.presentation is not None, done.reason
        media = walker.prober.probe(done.presentation.path)
        assert media.title == "Film"
        assert [chapter.title for chapter in media.chapters] == ["First", "Second"]
        assert [track.language for track in media.audio] == ["eng", "jpn"]
        published = Path(os.fsdecode(done.presentation.path)).read_bytes()
        assert b"Comments" in published
        assert media.subtitles[0].language == "fra"
        assert media.subtitles[0].disposition.forced
        assert b"+48.1" not in published
    archived = walker.prober.probe(os.fsencode(tmp_path / "archive/output/output.mkv"))
    assert [a.filename for a in archived.attachments] == ["a.ttf"]


def test_an_encode_that_cannot_become_smaller_is_ended(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.plain("small.mkv", "-c:v", "mpeg4", "-c:a", "ac3", seconds=20)
    plan = plan_for(walker, source, "web").model_copy(update={"smaller_by": 0.999})
    encoded = encode(
        plan,
        os.fsencode(source),
        os.fsencode(tmp_path),
        capabilities=walker.capabilities,
        sandbox=walker.sandbox,
        limits=LIMITS,
    )
    if not encoded.outgrown:
        size = os.stat(os.path.join(encoded.directory, encoded.main)).st_size
        pytest.fail(f"an output of {size} bytes was let pass")
    assert not os.path.exists(encoded.directory)


def test_an_encode_is_ended_as_soon_as_it_is_clear_that_it_will_not_be_smaller(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    noise = ("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=12,noise=alls=20:allf=t")
    source = clips.make("poor.mkv", *noise, "-c:v", "mpeg4", "-q:v", "31")
    plan = plan_for(walker, source, "web")
    slow = encode_of(plan).model_copy(update={"speed": "slower"})
    encoded = encode(
        plan.model_copy(update={"smaller_by": 0.5, "renditions": (slow,)}),
        os.fsencode(source),
        os.fsencode(tmp_path),
        capabilities=walker.capabilities,
        sandbox=walker.sandbox,
        limits=LIMITS,
    )
    assert encoded.outgrown
    assert re.fullmatch(r"after \d\d% it is \d+ bytes: it would grow past \d+", encoded.log)


def test_an_output_that_grows_beyond_belief_is_ended(
    walker: Walker, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clips.plain("huge.mkv", "-c:v", "mpeg4", "-c:a", "ac3")
    allowed: list[int | None] = []

    def outgrow(argv: list[bytes], *, limits: Limits, **_options: object) -> None:
        allowed.append(limits.output_bytes)
        raise OutputTooLarge("its output grew past it", argv=argv, code=-9, stderr="")

    monkeypatch.setattr("darkstream.media.encode.run", outgrow)
    with pytest.raises(OutputTooLarge):
        encode(
            plan_for(walker, source, "web"),
            os.fsencode(source),
            os.fsencode(tmp_path),
            capabilities=walker.capabilities,
            sandbox=walker.sandbox,
            limits=LIMITS,
        )
    assert allowed == [20 * source.stat().st_size + (1 << 30)]


@pytest.mark.parametrize(("kind", "outgrown"), [(OutputTooLarge, True), (ProcessTimeout, False)])
def test_only_the_limit_of_the_output_says_that_it_became_no_smaller(
    walker: Walker,
    clips: Clips,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[ProcessTimeout],
    outgrown: bool,
) -> None:
    source = clips.plain("ended.mkv", "-c:v", "mpeg4", "-c:a", "ac3")

    def end(argv: list[bytes], **_options: object) -> None:
        raise kind("was ended: 'grew past.mkv' took too long", argv=argv, code=-9, stderr="")

    monkeypatch.setattr("darkstream.media.encode.run", end)
    plan = plan_for(walker, source, "web").model_copy(update={"smaller_by": 0.1})
    with nullcontext() if outgrown else pytest.raises(kind, match="took too long"):
        encoded = encode(
            plan,
            os.fsencode(source),
            os.fsencode(tmp_path),
            capabilities=walker.capabilities,
            sandbox=walker.sandbox,
            limits=LIMITS,
        )
        assert encoded.outgrown


def test_what_was_verified_is_not_encoded_again(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.plain("again.mkv", "-c:v", "mpeg4")
    first = walker.walk(source, "web", tmp_path)
    second = walker.walk(source, "web", tmp_path)
    assert first.encoded is not None
    assert second.encoded is not None
    assert (first.encoded.reused, second.encoded.reused) == (False, True)
    assert second.verification is not None
    os.unlink(os.path.join(second.encoded.directory, second.encoded.main))
    third = walker.walk(source, "web", tmp_path)
    assert third.encoded is not None
    assert not third.encoded.reused


def test_a_cancelled_encode_raises_what_it_was_cancelled_with(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    source = clips.plain("long.mkv", "-c:v", "mpeg4", seconds=60)
    token = CancelToken()

    def stop(_: FfmpegProgress) -> None:
        token.cancel()

    with pytest.raises(Cancelled):
        encode(
            plan_for(walker, source, "hevc"),
            os.fsencode(source),
            os.fsencode(tmp_path),
            capabilities=walker.capabilities,
            sandbox=walker.sandbox,
            limits=Limits(wall_s=120),
            cancel=token,
            on_progress=stop,
        )


def test_a_full_disk_and_other_failures_are_told_in_one_line() -> None:
    tally = Tally()
    full = ProcessFailed("x", argv=[b"ffmpeg"], code=1, stderr="write: No space left on device")
    told = _explain(full, tally, b"/home/work/x")
    assert isinstance(told, StorageFull)
    assert "/home/work/x" in str(told)
    tally.note("[enc @ 0x1] [error] no such thing")
    failed = ProcessFailed("x", argv=[b"ffmpeg"], code=1, stderr="")
    told = _explain(failed, tally, b"/home/work/x")
    assert str(told) == "ffmpeg failed: no such thing"


def test_nothing_that_decodes_is_refused(walker: Walker, clips: Clips, tmp_path: Path) -> None:
    source = clips.plain("gone.mkv", "-c:v", "mpeg4")
    plan = plan_for(walker, source, "web")
    broken = plan.model_copy(update={"source_formats": ("avi",)})
    with pytest.raises((ProcessFailed, SourceRejected)):
        encode(
            broken,
            os.fsencode(source),
            os.fsencode(tmp_path),
            capabilities=walker.capabilities,
            sandbox=walker.sandbox,
        )

"""Outputs that are not what the plan promised are never let pass."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_planning import LIMITS, Clips, Walked, Walker, damage, encode_of, video_stream

from darkstream.errors import SourceRejected, VerificationFailed
from darkstream.media.encode import _check_counts
from darkstream.media.tally import Tally
from darkstream.media.verify import inspect, verify
from darkstream.model.encoded import Encoded, Verification
from darkstream.model.plan import EncodePlan


@pytest.fixture
def walked(walker: Walker, clips: Clips, tmp_path: Path) -> Walked:
    done = walker.walk(clips.plain("verified.mkv", "-c:v", "mpeg4", "-c:a", "ac3"), "web", tmp_path)
    assert done.status == "done"
    return done


def check(walker: Walker, plan: EncodePlan | None, encoded: Encoded | None) -> Verification:
    assert plan is not None
    assert encoded is not None
    return verify(
        plan,
        encoded,
        capabilities=walker.capabilities,
        sandbox=walker.sandbox,
        prober=walker.prober,
        limits=LIMITS,
    )


def output(walked: Walked) -> Path:
    assert walked.encoded is not None
    return Path(os.fsdecode(os.path.join(walked.encoded.directory, walked.encoded.main)))


def test_a_damaged_output(walker: Walker, walked: Walked) -> None:
    damage(output(walked), output(walked))
    with pytest.raises(VerificationFailed, match="does not decode"):
        check(walker, walked.plan, walked.encoded)


def test_an_output_cut_short(walker: Walker, walked: Walked) -> None:
    with output(walked).open("rb+") as file:
        file.truncate(output(walked).stat().st_size // 2)
    with pytest.raises(VerificationFailed, match="does not decode"):
        check(walker, walked.plan, walked.encoded)


def test_missing_pictures(walker: Walker, walked: Walked) -> None:
    assert walked.encoded is not None
    claimed = walked.encoded.model_copy(update={"frames": (26,)})
    with pytest.raises(VerificationFailed, match="25 pictures instead of 26"):
        check(walker, walked.plan, claimed)


def test_a_missing_stream(walker: Walker, walked: Walked) -> None:
    assert walked.plan is not None
    wanted = walked.plan.expect.model_copy(update={"audio_streams": 2})
    with pytest.raises(VerificationFailed, match="1 audio streams instead of 2"):
        check(walker, walked.plan.model_copy(update={"expect": wanted}), walked.encoded)


def test_another_size(walker: Walker, walked: Walked) -> None:
    assert walked.plan is not None
    other = encode_of(walked.plan).model_copy(update={"width": 240, "height": 320})
    plan = walked.plan.model_copy(update={"renditions": (other,)})
    with pytest.raises(VerificationFailed, match="shows 320x240 instead of 240x320"):
        check(walker, plan, walked.encoded)


def test_another_duration(walker: Walker, walked: Walked) -> None:
    assert walked.plan is not None
    exact = walked.plan.expect.model_copy(update={"duration": Fraction(3), "frames": 25})
    with pytest.raises(VerificationFailed, match=r"lasts 1\.00 s, the source says 3\.00 s"):
        check(walker, walked.plan.model_copy(update={"expect": exact}), walked.encoded)
    loose = exact.model_copy(update={"frames": None})
    found = check(walker, walked.plan.model_copy(update={"expect": loose}), walked.encoded)
    assert [finding.code for finding in found.findings] == ["duration-differs"]
    near = loose.model_copy(update={"duration": Fraction(3, 2)})
    found = check(walker, walked.plan.model_copy(update={"expect": near}), walked.encoded)
    assert found.findings == ()


def test_ffmpeg_that_loses_pictures(walked: Walked) -> None:
    assert walked.plan is not None
    with pytest.raises(VerificationFailed, match="read 25 pictures and wrote 24"):
        _check_counts(walked.plan, (24,), 25)


def test_a_source_is_looked_through_before_a_skip(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    whole = clips.plain("inspected.mp4", seconds=4)
    media = walker.prober.probe(os.fsencode(whole))
    tools = {"capabilities": walker.capabilities, "sandbox": walker.sandbox}
    assert inspect(media, os.fsencode(whole), limits=LIMITS, **tools) == ()
    broken = damage(whole, tmp_path / "broken.mp4")
    findings = inspect(media, os.fsencode(broken), limits=LIMITS, **tools)
    assert "decode-errors" in {finding.code for finding in findings}
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes(b"")
    findings = inspect(
        media.model_copy(update={"video": (video_stream(frames=None),)}),
        os.fsencode(nothing),
        limits=LIMITS,
        **tools,
    )
    assert findings


def test_a_source_that_is_mostly_gone_is_refused(
    walker: Walker, clips: Clips, tmp_path: Path
) -> None:
    whole = clips.plain("inspected-fast.mp4", "-movflags", "+faststart", "-bf", "0", seconds=4)
    media = walker.prober.probe(os.fsencode(whole))
    cut = tmp_path / "cut.mp4"
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 5])
    with pytest.raises(SourceRejected, match="of its 100 pictures could be decoded"):
        inspect(
            media,
            os.fsencode(cut),
            capabilities=walker.capabilities,
            sandbox=walker.sandbox,
            limits=LIMITS,
        )


def test_the_tally_reads_what_ffmpeg_prints() -> None:
    tally = Tally()
    for line in (
        "[in#0/mov @ 0x1] [verbose]   Input stream #0:1 (video): 28 packets read (9 bytes); "
        "27 frames decoded; 1 decode errors; ",
        "[in#0/mov @ 0x1] [verbose]   Input stream #0:2 (audio): 4 packets read (9 bytes); ",
        "[out#0/mp4 @ 0x1] [verbose]   Output stream #0:0 (video): 27 frames encoded; "
        "27 packets muxed (9 bytes); ",
        "[out#0/mp4 @ 0x1] [verbose]   Output stream #0:1 (audio): 4 packets muxed (9 bytes); ",
        "[in#0 @ 0x1] [warning] Packet corrupt (stream = 0, dts = 1).",
        "[h264 @ 0x1] [error] Invalid NAL unit size (1 > 0).",
        "[h264 @ 0x1] [warning] harmless",
        "not a line of ffmpeg",
    ):
        tally.note(line)
    video, audio = tally.input(1), tally.input(2)
    assert video is not None
    assert audio is not None
    assert (video.packets, video.frames, video.errors) == (28, 27, 1)
    assert (audio.packets, audio.frames) == (4, 0)
    assert [(s.frames, s.packets) for s in tally.outputs] == [(27, 27), (0, 4)]
    assert tally.errors == 2
    assert "Invalid NAL unit size" in tally.example
    assert tally.input(9) is None

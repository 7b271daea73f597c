"""When an output is worth publishing, how far ffmpeg is, and what errors may pass."""

from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

import pytest
from fixtures_flows import make_attempt

from darkstream.errors import (
    ServerUnreachable,
    SourceUnreadable,
    StorageFull,
    VerificationFailed,
)
from darkstream.media.process import FfmpegProgress
from darkstream.media.sandbox import Sandbox
from darkstream.model.encoded import Encoded
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import EncodePlan, Expectation, FilePackage
from darkstream.model.source import ChangeHint, SourceFile
from darkstream.stages.attempt import Attempt
from darkstream.stages.judge import is_smaller, not_smaller, note_encode, reason_of
from flows.transient import may_pass

DAMAGE = Finding(code="frames-lost", severity=Severity.repairable, message="4 pictures are lost")
NOTE = Finding(code="odd-size", severity=Severity.ok, message="its width is odd")


def _plan(smaller_by: float | None) -> EncodePlan:
    return EncodePlan(
        decision="convert",
        reason="the video becomes H.264",
        source_formats=("avi",),
        renditions=(),
        audio=(),
        subtitles=(),
        package=FilePackage(container="mp4", extension="mp4"),
        expect=Expectation(
            duration=None, frames=None, video_streams=1, audio_streams=0, subtitle_streams=0
        ),
        smaller_by=smaller_by,
        build="test",
        planner="1",
    )


def _encoded(directory: Path, size: int, *, outgrown: bool = False) -> Encoded:
    (directory / "a.mp4").write_bytes(b"x" * size)
    return Encoded(
        directory=os.fsencode(directory),
        main=b"a.mp4",
        frames=(),
        source=(),
        decode_errors=0,
        findings=(DAMAGE,),
        outgrown=outgrown,
        command="ffmpeg -i a.avi",
        log="said",
        wall_s=1.0,
        cpu_s=1.0,
    )


@pytest.fixture
def attempt() -> Attempt:
    made = make_attempt()
    hint = ChangeHint(size=1000, mtime_ns=0, ctime_ns=0, inode=1)
    made.source = SourceFile(path=made.claim.source, hint=hint)
    return made


@pytest.mark.parametrize(
    ("size", "smaller_by", "worth"),
    [
        (5000, None, True),
        (999, 0.0, True),
        (1000, 0.0, False),
        (900, 0.1, True),
        (901, 0.1, False),
    ],
)
def test_an_output_must_be_as_small_as_wished(
    attempt: Attempt, tmp_path: Path, size: int, smaller_by: float | None, worth: bool
) -> None:
    assert is_smaller(attempt, _plan(smaller_by), _encoded(tmp_path, size)) is worth


def test_an_encode_that_was_ended_early_is_not_worth_it(attempt: Attempt, tmp_path: Path) -> None:
    assert not is_smaller(attempt, _plan(0.5), _encoded(tmp_path, 1, outgrown=True))
    assert "by 50%" in not_smaller(_plan(0.5))


def test_what_was_lost_is_said(attempt: Attempt, tmp_path: Path) -> None:
    attempt.findings = (NOTE,)
    attempt.tools.__dict__["sandbox"] = Sandbox("rlimits")
    note_encode(attempt, _encoded(tmp_path, 1))
    assert attempt.findings == (NOTE, DAMAGE)
    reason = reason_of(_plan(None), attempt.findings)
    assert reason == "the video becomes H.264; 4 pictures are lost"
    assert reason_of(_plan(None), (NOTE,)) == "the video becomes H.264"
    assert attempt.command == "ffmpeg -i a.avi"
    assert attempt.log == "sandbox: rlimits\nsaid\n"


def test_progress_is_a_share_and_a_time(attempt: Attempt) -> None:
    attempt.note(FfmpegProgress(frame=10, out_time=Fraction(5), speed=2.0), Fraction(20))
    assert (attempt.progress.done, attempt.progress.eta_s) == (0.25, 7.5)
    attempt.note(FfmpegProgress(out_time=Fraction(21)), Fraction(20))
    assert attempt.progress.done == 1.0
    attempt.note(FfmpegProgress(out_time=Fraction(21), speed=2.0), None)
    assert (attempt.progress.done, attempt.progress.eta_s) == (None, None)


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ServerUnreachable("away"), True),
        (OSError(errno.EIO, "cable"), True),
        (_caused(SourceUnreadable("cannot read"), OSError(errno.ESTALE, "stale")), True),
        (_caused(SourceUnreadable("cannot read"), PermissionError(errno.EACCES, "no")), False),
        (_caused(StorageFull("full"), OSError(errno.ENOSPC, "full")), False),
        (VerificationFailed("it does not decode"), False),
        (ValueError("a mistake"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes

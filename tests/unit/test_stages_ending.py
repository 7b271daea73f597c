"""What each way to end an attempt says to the server."""

from __future__ import annotations

import pytest
from fixtures_flows import make_attempt

from darkstream.errors import (
    Cancelled,
    NodePaused,
    ProcessFailed,
    ProcessKilled,
    SourceChanged,
    SourceRejected,
    SourceUnreadable,
    SourceVanished,
    StorageFull,
    VerificationFailed,
)
from darkstream.model.base import LibraryId
from darkstream.model.job import Outcome
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import Reject, Skip
from darkstream.model.wire import Release
from darkstream.stages.attempt import Attempt
from darkstream.stages.ending import CHANGES, decided, ended_by

LOST = Finding(code="frames-lost", severity=Severity.repairable, message="4 pictures are lost")


@pytest.fixture
def attempt() -> Attempt:
    return make_attempt()


@pytest.mark.parametrize(
    ("error", "status", "decision"),
    [
        (SourceVanished("a.avi is no longer there"), "failed", None),
        (SourceRejected("it is encrypted"), "rejected", "reject"),
        (SourceUnreadable("cannot read a.avi: permission denied"), "failed", None),
        (StorageFull("no space left on /out: free 3 GiB"), "failed", None),
        (VerificationFailed("the output does not decode"), "failed", None),
        (Cancelled("the job was cancelled"), "cancelled", None),
    ],
)
def test_an_error_is_an_end_with_its_own_words(
    attempt: Attempt, error: Exception, status: str, decision: str | None
) -> None:
    ending = ended_by(attempt, error)
    assert isinstance(ending, Outcome)
    assert (ending.status, ending.decision, ending.reason) == (status, decision, str(error))
    assert ending.outputs == () and ending.wall_s >= 0


def test_a_file_that_left_its_library_is_no_failure(attempt: Attempt) -> None:
    attempt.claim = attempt.claim.model_copy(update={"library": LibraryId(1)})
    ending = ended_by(attempt, SourceVanished("a.avi is no longer there"))
    assert isinstance(ending, Outcome)
    assert (ending.status, ending.decision, ending.source_gone) == ("skipped", "skip", True)


def test_what_could_not_be_read_at_all_is_a_finding_too(attempt: Attempt) -> None:
    ending = ended_by(attempt, SourceRejected("it is a ZIP archive"))
    assert isinstance(ending, Outcome)
    assert [(one.code, one.severity.value) for one in ending.findings] == [("unreadable", "reject")]


def test_a_failed_tool_leaves_its_command_and_its_words(attempt: Attempt) -> None:
    attempt.plan = {"decision": "convert"}
    error = ProcessFailed(
        "ffmpeg failed: broken\nffmpeg -i 'a b'",
        argv=[b"ffmpeg", b"-i", b"a b"],
        code=1,
        stderr="moov atom not found",
    )
    ending = ended_by(attempt, error)
    assert isinstance(ending, Outcome)
    assert ending.reason == "ffmpeg failed: broken"
    assert ending.command == "ffmpeg -i 'a b'"
    assert "moov atom not found" in ending.log
    assert ending.decision == "convert"


def test_an_error_of_our_own_says_so_and_keeps_the_traceback(attempt: Attempt) -> None:
    with pytest.raises(KeyError) as raised:
        {}["codec"]
    ending = ended_by(attempt, raised.value)
    assert isinstance(ending, Outcome)
    assert ending.status == "failed" and "KeyError" in ending.reason
    assert "Traceback" in ending.log


def test_a_changing_source_is_given_back_a_few_times_and_then_fails() -> None:
    error = SourceChanged("a.avi changed while it was read")
    waits = []
    for number in range(1, CHANGES):
        ending = ended_by(make_attempt(number), error)
        assert isinstance(ending, Release)
        assert ending.count_attempt and ending.reason == str(error)
        waits.append(ending.delay_s)
    assert waits == sorted(waits) and waits[0] > 0
    last = ended_by(make_attempt(CHANGES), error)
    assert isinstance(last, Outcome)
    assert last.status == "failed" and "nobody writes" in last.reason


def test_decisions_to_do_nothing_carry_their_findings(attempt: Attempt) -> None:
    rejected = decided(attempt, Reject(reason="it holds nothing", findings=(LOST,)))
    assert (rejected.status, rejected.decision) == ("rejected", "reject")
    assert rejected.findings == (LOST,)
    skipped = decided(attempt, Skip(reason="it is as wished"))
    assert (skipped.status, skipped.decision, skipped.reason) == (
        "skipped",
        "skip",
        "it is as wished",
    )


def test_the_log_keeps_its_end(attempt: Attempt) -> None:
    attempt.tell("first")
    attempt.tell("x" * 100_000 + "last")
    assert attempt.log.endswith("last\n")
    assert "first" not in attempt.log and len(attempt.log) < 70_000


def test_a_killed_tool_says_nothing_of_the_file_so_the_job_is_tried_again(attempt: Attempt) -> None:
    error = ProcessKilled(
        "ffmpeg was killed from outside\nffmpeg -i a", argv=[b"ffmpeg"], code=-9, stderr=""
    )
    ending = ended_by(attempt, error)
    assert isinstance(ending, Release)
    assert (ending.reason, ending.count_attempt) == ("ffmpeg was killed from outside", True)


def test_a_node_that_rests_gives_its_job_back_and_counts_nothing(attempt: Attempt) -> None:
    release = ended_by(attempt, NodePaused("the node den was paused"))
    assert isinstance(release, Release)
    assert (release.count_attempt, release.delay_s) == (False, 0)
    assert release.reason == "the node den was paused"

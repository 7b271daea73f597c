"""The walk of one file: its steps wired by futures, so that Prefect's UI shows the graph."""

from __future__ import annotations

import json
from typing import Any, Literal

from prefect.futures import PrefectConcurrentFuture

from darkstream.errors import HardwareFailed, IndexDiffers, VerificationFailed
from darkstream.model.base import JobId
from darkstream.model.job import ContentKey, Outcome, Reservation
from darkstream.model.media import Finding
from darkstream.model.plan import EncodePlan, Reject, Skip
from darkstream.planning import merge_findings
from darkstream.planning.chunks import tell_difference
from darkstream.planning.quality import is_open
from darkstream.stages.attempt import Attempt
from darkstream.stages.chunks import forget_chunks
from darkstream.stages.ending import decided, done, skipped
from darkstream.stages.hardware import plan_around
from darkstream.stages.judge import (
    is_smaller,
    not_smaller,
    note_encode,
    note_verification,
    reason_of,
)
from darkstream.stages.plan import key_of
from darkstream.stages.published import Published
from darkstream.stages.reserve import reserve
from darkstream.stages.workplace import workplace
from flows import steps
from flows.progress import watch
from flows.wiring import submit

_Future = PrefectConcurrentFuture[Any]
_RESUMED = "an earlier attempt had encoded and verified it"
_NOTHING = "[]"
"""No findings."""


def walk(attempt: Attempt) -> Outcome | None:
    """Bring one job to its end; None when another job encodes just that, and this one waits.

    Raises what its steps raise.
    """
    if attempt.claim.quarantine is not None:
        resumed = submit(steps.resume_replacement, attempt).result()
        if resumed is not None:
            return done(attempt, "convert", _RESUMED, resumed)
    found = submit(steps.identify_source, attempt)
    attempt.source, attempt.identity = found.result()
    media = submit(steps.probe_source, attempt, found)
    if _must_see(attempt):
        media = submit(steps.measure_source, attempt, media)
    attempt.media = json.loads(media.result())
    report = submit(steps.validate_media, attempt, media)
    report.result()
    damage: tuple[Finding, ...] = ()
    while True:
        told = steps.FINDINGS.dump_json(damage).decode()
        decision = submit(steps.make_plan, attempt, media, report, told)
        chosen = _take_plan(attempt, decision)
        try:
            if isinstance(chosen, EncodePlan):
                chosen, decision = _search(attempt, chosen, decision)
                ending = _convert(attempt, chosen, decision)
            else:
                ending = _leave_alone(attempt, chosen, media, decision)
        except HardwareFailed as error:
            plan_around(attempt, error)
            continue
        if not isinstance(ending, str):
            return ending
        # What was to be left, copied or cut as it is turned out to be otherwise: plan again.
        news = steps.FINDINGS.validate_json(ending)
        if {finding.code for finding in news} <= {finding.code for finding in damage}:
            raise VerificationFailed("the source is damaged, and what could be made of it as well")
        damage = merge_findings(damage, news)


def _must_see(attempt: Attempt) -> bool:
    """Whether the preset decides by what is in the pictures."""
    rule = attempt.claim.preset.video
    return rule is not None and (rule.crop == "auto" or rule.fields == "measured")


def _take_plan(attempt: Attempt, decision: _Future) -> EncodePlan | Skip | Reject:
    chosen = steps.DECISION.validate_json(decision.result())
    attempt.plan = json.loads(decision.result())
    attempt.findings = chosen.findings
    return chosen


def _search(attempt: Attempt, chosen: EncodePlan, decision: _Future) -> tuple[EncodePlan, _Future]:
    """The plan whose qualities are all found."""
    if not is_open(chosen):
        return chosen, decision
    searching = submit(steps.search_quality, attempt, decision)
    watch(attempt, searching)
    found = _take_plan(attempt, searching)
    if not isinstance(found, EncodePlan):
        raise TypeError("a search gives the plan that it was given")
    return found, searching


def _leave_alone(
    attempt: Attempt, chosen: Skip | Reject, media: _Future, decision: _Future
) -> Outcome | steps.Json:
    if isinstance(chosen, Reject):
        return decided(attempt, chosen)
    inspected = submit(steps.inspect_source, attempt, media, decision)
    if (found := inspected.result()) != _NOTHING:
        return found
    return decided(attempt, chosen, _keep(attempt, decision, chosen.on_skip))


def _keep(
    attempt: Attempt, decision: _Future, on_skip: Literal["none", "link", "copy"]
) -> Published | None:
    if on_skip == "none" or attempt.claim.in_place is not None:
        return None
    return submit(steps.keep_source, attempt, decision, on_skip == "link").result()


def _convert(
    attempt: Attempt, chosen: EncodePlan, decision: _Future
) -> Outcome | steps.Json | None:
    key = attempt.key = key_of(attempt.content, chosen)
    refused: tuple[JobId, ...] = ()
    while True:
        answer = reserve(attempt, refused)
        if answer.action == "wait":
            return None
        if answer.action == "encode" or answer.job is None:
            return _encode(attempt, chosen, key, decision)
        reused = _reuse(attempt, chosen, decision, answer)
        if reused is not None:
            return reused
        refused = (*refused, answer.job)


def _reuse(
    attempt: Attempt, chosen: EncodePlan, decision: _Future, answer: Reservation
) -> Outcome | None:
    published = submit(steps.reuse_result, attempt, decision, answer).result()
    if published is None:
        return None
    reason = f"{chosen.reason}; job {answer.job} had made just that of the same content"
    return done(attempt, chosen.decision, reason, published, reused=answer.job)


def _encode(
    attempt: Attempt, chosen: EncodePlan, key: ContentKey, decision: _Future
) -> Outcome | steps.Json:
    with workplace(attempt, key) as directory:
        encoding = submit(steps.encode_source, attempt, decision, directory)
        watch(attempt, encoding)
        try:
            encoded = encoding.result()
        except IndexDiffers as error:
            attempt.tell(f"encoded in one piece instead: {error}")
            forget_chunks(attempt)
            return steps.FINDINGS.dump_json((tell_difference(),)).decode()
        note_encode(attempt, encoded)
        if not is_smaller(attempt, chosen, encoded):
            kept = _keep(attempt, decision, attempt.claim.preset.guards.on_skip)
            return skipped(attempt, not_smaller(chosen), kept)
        verifying = submit(steps.verify_output, attempt, decision, encoding)
        try:
            verification = verifying.result()
        except VerificationFailed:
            forget_chunks(attempt)  # one of them may be why
            raise
        if verification.damaged_source:
            forget_chunks(attempt)
            return steps.FINDINGS.dump_json(verification.findings).decode()
        note_verification(attempt, verification)
        publishing = submit(steps.publish_output, attempt, decision, encoding, verifying)
        reason = reason_of(chosen, attempt.findings)
        return done(attempt, chosen.decision, reason, publishing.result())

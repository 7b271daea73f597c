"""Damage of a source as findings: what decoding it to the end has shown."""

from __future__ import annotations

from fractions import Fraction

from darkstream.errors import SourceRejected
from darkstream.media.tally import Tally
from darkstream.model.media import Finding, Severity
from darkstream.model.plan import EncodePlan, VideoCopy

LEAST_SHARE = Fraction(1, 2)
"""Below this share of readable pictures or seconds a file is refused rather than repaired."""


def describe_damage(
    tally: Tally, *, expected: int | None, decoded: int | None
) -> tuple[Finding, ...]:
    """Findings on a source that was decoded whole.

    `expected` and `decoded` are pictures of its main video; None: not known. A count that differs
    without any error is no damage: edit lists leave pictures out on purpose.
    """
    if not tally.errors:
        return ()
    findings = [
        _finding(
            "decode-errors",
            f"parts of it are damaged: {tally.errors} errors while it was decoded"
            f" ({tally.example})",
        )
    ]
    lost = (expected or 0) - (decoded or 0)
    if expected and decoded is not None and lost > 0:
        findings.append(
            _finding("frames-lost", f"{lost} of its {expected} pictures could not be read")
        )
    return tuple(findings)


def describe_hidden(
    plan: EncodePlan, frames: tuple[int, ...], packets: int | None
) -> tuple[Finding, ...]:
    """A finding on pictures a copy leaves out: nobody can show what comes before a key frame.

    `frames` were written, `packets` read. Raises SourceRejected where most of it is such.
    """
    copied = any(isinstance(rendition, VideoCopy) for rendition in plan.renditions)
    hidden = (packets or 0) - frames[0] if copied else 0
    if hidden <= 0 or packets is None:
        return ()
    if frames[0] < packets * LEAST_SHARE:
        raise SourceRejected(
            f"it is damaged: only {frames[0]} of its {packets} pictures follow a key frame"
        )
    message = f"it begins in the middle: {hidden} pictures before its first key frame are left out"
    return (_finding("begins-in-the-middle", message),)


def describe_empty(plan: EncodePlan, tally: Tally) -> tuple[Finding, ...]:
    """A finding on audio tracks that a source announces and has not one packet of."""
    empty = {stream.index for _, stream in tally.inputs if not stream.packets}
    names = ", ".join(str(t.source_index) for t in plan.audio if t.source_index in empty)
    if not names:
        return ()
    return (_finding("audio-empty", f"there is no sound in its audio stream {names}"),)


def refuse_ruins(tally: Tally, *, expected: int | None, decoded: int | None) -> None:
    """Raise SourceRejected where most of a source cannot be decoded."""
    if decoded == 0:
        raise SourceRejected("not one picture of it could be decoded")
    if tally.errors and expected and decoded is not None and decoded < expected * LEAST_SHARE:
        raise SourceRejected(
            f"it is damaged: only {decoded} of its {expected} pictures could be decoded"
        )


def _finding(code: str, message: str) -> Finding:
    return Finding(code=code, severity=Severity.repairable, message=message)

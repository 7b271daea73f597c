"""Putting finished work at its final name, or nowhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from darkstream.errors import SourceError, TargetExists
from darkstream.model.job import OutputFile, PublishTarget, Reservation
from darkstream.model.plan import EncodePlan
from darkstream.model.wire import FileToPublish, TargetRequest
from darkstream.planning.naming import extension_of, output_candidates
from darkstream.stages.attempt import Attempt
from darkstream.stages.patience import outlast
from darkstream.storage.parts import Part
from darkstream.storage.publish import Publication

log = structlog.get_logger(__name__)

_MOST_NAMES = 50


@dataclass(frozen=True, slots=True)
class Published:
    """What is at its final name now; `presentation` is what to open first."""

    outputs: tuple[OutputFile, ...]
    presentation: bytes

    @property
    def size(self) -> int:
        """Bytes published."""
        return sum(output.size for output in self.outputs)


def publish(attempt: Attempt, plan: EncodePlan, work: bytes, entry: bytes | None) -> Published:
    """Publish a finished file or package directory (`work`, absolute).

    `entry` is the file of a package to open first. Raises LeaseLost, StorageFull, StorageError and
    what the attempt was cancelled with.
    """
    names = _candidates(attempt, extension_of(plan))
    return _publish(attempt, names, lambda to: to.place(work, names[0]), entry)


def publish_again(attempt: Attempt, plan: EncodePlan, earlier: Reservation) -> Published | None:
    """Publish what an earlier job made of the same content and plan, by sharing or copying it.

    None where its file is gone or is not what it was. Raises what `publish` does.
    """
    if earlier.destination is None or len(earlier.outputs) != 1:
        return None
    (output,) = earlier.outputs
    path = os.path.join(earlier.destination, output.path)
    names = _candidates(attempt, extension_of(plan))
    entry = None
    if earlier.presentation is not None and earlier.presentation != output.path:
        entry = os.path.relpath(earlier.presentation, output.path)
    try:
        return _publish(
            attempt,
            names,
            lambda to: to.link_or_copy(path, names[0], hard_link=True, expect=output.blake3),
            entry,
        )
    except SourceError as error:
        log.info("result_gone", job=earlier.job, reason=str(error))
        return None


def publish_source(attempt: Attempt, *, hard_link: bool) -> Published:
    """Put the source itself at the destination, as a link or a copy.

    Raises what `publish` does, and SourceChanged where it is not what was identified.
    """
    source, content = attempt.claim.source, attempt.content
    extension = os.fsdecode(os.path.splitext(source)[1][1:]) or "bin"
    names = _candidates(attempt, extension)
    return _publish(
        attempt,
        names,
        lambda to: to.link_or_copy(source, names[0], hard_link=hard_link, expect=content),
        None,
    )


def _publish(
    attempt: Attempt,
    names: tuple[bytes, ...],
    place: Callable[[Publication], Part],
    entry: bytes | None,
) -> Published:
    claim = attempt.claim
    with Publication(
        claim.destination,
        job=claim.job,
        token=claim.token,
        source=claim.source,
        cancel=attempt.cancel,
    ) as to:
        part = place(to)
        output = _give_name(attempt, to, part, names)
    path = output.path if entry is None else os.path.join(output.path, entry)
    return Published((output,), path)


def _give_name(
    attempt: Attempt, to: Publication, part: Part, names: tuple[bytes, ...]
) -> OutputFile:
    """Reserve a name and take it; a name that a stranger's file holds is refused, and the next.

    What is there may also be of another job of the same source, which took the name meanwhile:
    asked again, the server says so.
    """
    refused: tuple[bytes, ...] = ()
    former: PublishTarget | None = None
    while True:
        target = _reserve(attempt, part, names, refused)
        try:
            return to.publish(part, target)
        except TargetExists:
            if target == former:
                refused = (*refused, target.path)
            if len(refused) >= min(len(names), _MOST_NAMES):
                raise
            former = target


def _reserve(
    attempt: Attempt, part: Part, names: tuple[bytes, ...], refused: tuple[bytes, ...]
) -> PublishTarget:
    wanted = FileToPublish(candidates=names, refused=refused, size=part.size, blake3=part.blake3)
    request = TargetRequest(token=attempt.claim.token, files=(wanted,))
    client, job = attempt.tools.client, attempt.claim.job
    (target,) = outlast(lambda: client.reserve_targets(job, request), attempt.cancel)
    return target


def _candidates(attempt: Attempt, extension: str) -> tuple[bytes, ...]:
    claim = attempt.claim
    return output_candidates(claim.preset, claim.relative, extension, claim.job)

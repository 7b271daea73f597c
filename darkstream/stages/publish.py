"""Putting finished work at its final name, or nowhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from darkstream.errors import SourceError, StorageError, TargetExists
from darkstream.model.encoded import Presentation
from darkstream.model.job import OutputFile, PublishTarget, Reservation
from darkstream.model.plan import EncodePlan
from darkstream.model.wire import FileToPublish, TargetRequest
from darkstream.planning.naming import companion_candidates, extension_of, output_candidates
from darkstream.stages.attempt import Attempt
from darkstream.stages.keys import content_key
from darkstream.stages.patience import outlast
from darkstream.stages.published import Published
from darkstream.stages.replace import place_candidates, replace
from darkstream.storage.parts import Part
from darkstream.storage.publish import Publication

log = structlog.get_logger(__name__)

_MOST_NAMES = 50


_Place = Callable[[Publication, bytes], Part]


@dataclass(frozen=True, slots=True)
class _Item:
    """One thing to publish: the names it may have, and how it comes beside the first of them."""

    names: tuple[bytes, ...]
    place: _Place


def publish(attempt: Attempt, plan: EncodePlan, finished: Presentation) -> Published:
    """Publish a finished file or package directory, then what goes beside it.

    Raises LeaseLost, StorageFull, StorageError and what the attempt was cancelled with.
    """
    extension = extension_of(plan)
    beside = [(made.suffix, _moving(made.path)) for made in finished.companions]
    main = _Item(_candidates(attempt, extension), _moving(finished.path))
    return _publish(attempt, main, extension, beside, finished.entry)


def publish_again(attempt: Attempt, plan: EncodePlan, earlier: Reservation) -> Published | None:
    """Publish what an earlier job made of the same content and plan, by sharing or copying it.

    None where its files are gone or are not what they were. Raises what `publish` does, and
    KeyUnavailable where they are encrypted and their key cannot be had any more.
    """
    if earlier.destination is None or not earlier.outputs:
        return None
    first, *others = earlier.outputs
    if not os.path.lexists(os.path.join(earlier.destination, first.path)):
        return None
    content_key(attempt, plan, known=True)
    suffixes = [_suffix_of(output, plan) for output in others]
    if None in suffixes:
        return None
    entry = None
    if earlier.presentation is not None and earlier.presentation != first.path:
        entry = os.path.relpath(earlier.presentation, first.path)
    extension = extension_of(plan)
    # An original may be changed where it lies: what took its place must be no other one's too.
    linked = attempt.claim.in_place is None
    main = _Item(
        _candidates(attempt, extension), _sharing(earlier.destination, first, hard_link=linked)
    )
    beside = [
        (suffix, _sharing(earlier.destination, output, hard_link=linked))
        for suffix, output in zip(suffixes, others, strict=True)
        if suffix is not None
    ]
    try:
        return _publish(attempt, main, extension, beside, entry)
    except SourceError as error:
        log.info("result_gone", job=earlier.job, reason=str(error))
        return None


def _moving(path: bytes) -> _Place:
    return lambda to, name: to.place(path, name)


def _sharing(destination: bytes, output: OutputFile, *, hard_link: bool) -> _Place:
    path, expect = os.path.join(destination, output.path), output.blake3
    return lambda to, name: to.link_or_copy(path, name, hard_link=hard_link, expect=expect)


def _suffix_of(output: OutputFile, plan: EncodePlan) -> str | None:
    """Which companion an earlier output is; the longest suffix tells '.eng.srt' from '.srt'."""
    ends = (one.suffix for one in plan.companions if output.path.endswith(one.suffix.encode()))
    return max(ends, key=len, default=None)


def publish_source(attempt: Attempt, *, hard_link: bool) -> Published:
    """Put the source itself at the destination, as a link or a copy.

    Raises what `publish` does, and SourceChanged where it is not what was identified.
    """
    source, content = attempt.claim.source, attempt.content
    extension = os.fsdecode(os.path.splitext(source)[1][1:]) or "bin"
    main = _Item(
        _candidates(attempt, extension),
        lambda to, name: to.link_or_copy(source, name, hard_link=hard_link, expect=content),
    )
    return _publish(attempt, main, extension, (), None)


def _publish(
    attempt: Attempt,
    main: _Item,
    extension: str,
    beside: Sequence[tuple[str, _Place]],
    entry: bytes | None,
) -> Published:
    """The main output first: its name is that of the others."""
    claim = attempt.claim
    if claim.in_place is not None:
        if beside:
            raise StorageError("what takes the place of one file cannot be several")
        return replace(attempt, claim.in_place, main.names, main.place)
    with Publication(
        claim.destination,
        job=claim.job,
        token=claim.token,
        source=claim.source,
        cancel=attempt.cancel,
    ) as to:
        output = _give_name(attempt, to, main)
        others = [
            _give_name(
                attempt, to, _Item(companion_candidates(output.path, extension, suffix), place)
            )
            for suffix, place in beside
        ]
    path = output.path if entry is None else os.path.join(output.path, entry)
    return Published((output, *others), path)


def _give_name(attempt: Attempt, to: Publication, item: _Item) -> OutputFile:
    """Reserve a name and take it; a name that a stranger's file holds is refused, and the next.

    What is there may also be of another job of the same source, which took the name meanwhile:
    asked again, the server says so.
    """
    names = item.names
    part = item.place(to, names[0])
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
    if claim.in_place is not None:
        return place_candidates(claim, extension)
    return output_candidates(claim.preset, claim.relative, extension, claim.job)

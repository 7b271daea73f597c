"""Having a result take the place of its original, or wait for that to be approved."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import structlog

from darkstream.errors import Cancelled, SourceVanished, StorageBusy, TargetExists
from darkstream.library.identity import check_unchanged, sample, stat_hint, unchanged
from darkstream.media.evidence import gather
from darkstream.model.job import Claim, OutputFile, PublishTarget
from darkstream.model.plan import EncodePlan
from darkstream.model.replacement import CLIP, Evidence, FileNow, InPlace, KnownFile, Replacement
from darkstream.model.source import SourceFile
from darkstream.model.wire import FileToPublish, ReplacementReport, TargetRequest
from darkstream.planning.naming import output_candidates
from darkstream.stages.attempt import Attempt
from darkstream.stages.patience import outlast
from darkstream.stages.published import Published
from darkstream.storage.disk import identify
from darkstream.storage.faults import storage_faults
from darkstream.storage.known import know
from darkstream.storage.parts import Part
from darkstream.storage.publish import Publication
from darkstream.storage.quarantine import check_replaceable, held_name, prepare
from darkstream.storage.replace import Replacing

log = structlog.get_logger(__name__)

_MOST_NAMES = 50
_BUSY_S = 1.0
BESIDE = "{dir}/{stem}.{ext}"
"""The template of a result's name: whatever the preset's is, it lies where its original lay."""


def place_candidates(claim: Claim, extension: str) -> tuple[bytes, ...]:
    """Names for a result beside its original, best first: that of the original, if it may be."""
    beside = claim.preset.model_copy(update={"output": BESIDE})
    return output_candidates(beside, claim.relative, extension, claim.job)


def check_source(attempt: Attempt) -> None:
    """Raise SourceShared for a source that is to be left where it is; StorageError."""
    rule = attempt.claim.in_place
    if rule is not None and os.path.lexists(attempt.claim.source):
        check_replaceable(attempt.claim.source, rule)


def replace(
    attempt: Attempt,
    rule: InPlace,
    names: tuple[bytes, ...],
    place: Callable[[Publication, bytes], Part],
) -> Published:
    """Put a result in the place of its original, or (where that is to be asked) beside it, hidden.

    Raises SourceChanged, SourceShared, StorageFull, StorageError, LeaseLost and what the attempt
    was cancelled with: then the original is where and what it was.
    """
    if (resumed := resume(attempt)) is not None:
        return resumed
    claim = attempt.claim
    original = _original(attempt)
    check_replaceable(claim.source, rule)
    directory = prepare(claim.destination, claim.relative, claim.job, secrets.token_hex(4))
    _report(attempt, directory)
    attempt.quarantine = directory
    with Publication(
        claim.destination, job=claim.job, token=claim.token, cancel=attempt.cancel
    ) as to:
        part = place(to, os.path.join(directory, b"result"))
        target = PublishTarget(path=os.path.join(directory, held_name(names[0])))
        held = to.publish(part, target)
        evidence = _gather(attempt, to, held.path) if rule.approve == "ask" else None
    what = Replacement(
        job=claim.job,
        root=claim.destination,
        source=claim.relative,
        target=_reserve(attempt, names, (), held),
        quarantine=directory,
        original=original,
        result=know(os.path.join(claim.destination, held.path), held.blake3),
        rule=rule,
        disk=identify(claim.destination, directory),
        evidence=evidence,
    )
    with Replacing(claim.destination, directory, attempt.cancel) as it:
        it.hold(what)
        return _offer(attempt, it, what, names)


def _gather(attempt: Attempt, to: Publication, held: bytes) -> Evidence:
    """What somebody can decide by whether the result may take the original's place."""
    claim, tools = attempt.claim, attempt.tools
    plan = EncodePlan.model_validate(attempt.plan)
    decoder = tools.decoder(attempt.cancel)
    source, work = _source(attempt), tools.settings.work_directory
    with storage_faults(os.fsencode(work)):
        work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"clip-{claim.job}-", dir=work) as directory:
        clip = os.path.join(os.fsencode(directory), CLIP)
        result = os.path.join(claim.destination, held)
        with unchanged(source.path, source.hint):
            evidence = gather(plan, source.path, result, clip, decoder)
        if evidence.clip:
            path = os.path.join(os.path.dirname(held), CLIP)
            to.publish(to.place(clip, path), PublishTarget(path=path))
    return evidence


def resume(attempt: Attempt) -> Published | None:
    """Settle what an earlier attempt began: its result is in place, or everything is as it was.

    Raises SourceChanged where the original was changed meanwhile, and StorageError.
    """
    claim = attempt.claim
    if attempt.quarantine is None:
        return None
    with _alone(attempt, attempt.quarantine) as it:
        if claim.in_place is None and it.journal is not None:
            it.restore()  # the library does not wish it any more
            journal = None
        else:
            journal = it.recover()
        if journal is None:
            attempt.quarantine = None
            return None
        log.info("replacement_resumed", job=claim.job, goal=journal.goal)
        what = journal.replacement
        if journal.goal == "place":
            return _in_place(what)
        return _offer(attempt, it, what, _names(attempt, what))


@contextmanager
def _alone(attempt: Attempt, directory: bytes) -> Iterator[Replacing]:
    """What an earlier attempt began, once nobody else is at it: `settle` may just take it back."""
    with ExitStack() as stack:
        while True:
            it = Replacing(attempt.claim.destination, directory, attempt.cancel)
            try:
                stack.enter_context(it)
            except StorageBusy:
                if attempt.cancel.wait(_BUSY_S):
                    attempt.cancel.check()
            else:
                break
        yield it


def _offer(
    attempt: Attempt, it: Replacing, what: Replacement, names: tuple[bytes, ...]
) -> Published:
    """Place what is held, or leave it there until somebody approves it."""
    if what.rule.approve == "auto":
        return _place(attempt, it, what, names)
    path = os.path.join(what.quarantine, held_name(what.target))
    held = OutputFile(path=path, size=what.result.size, blake3=what.result.blake3)
    return Published((held,), path, replacement=what)


def _names(attempt: Attempt, what: Replacement) -> tuple[bytes, ...]:
    extension = os.fsdecode(os.path.splitext(what.target)[1][1:])
    return place_candidates(attempt.claim, extension)


def _place(
    attempt: Attempt, it: Replacing, what: Replacement, names: tuple[bytes, ...]
) -> Published:
    """Place it under the first of its names that no stranger has."""
    refused: tuple[bytes, ...] = ()
    while True:
        try:
            _report(attempt, what.quarantine, what)
            if os.path.lexists(attempt.claim.source):
                check_replaceable(attempt.claim.source, what.rule)
            journal = it.place(what)
        except TargetExists:
            refused = (*refused, what.target)
            if len(refused) >= min(len(names), _MOST_NAMES):
                raise
            target = _reserve(attempt, names, refused, _as_output(what))
            what = what.model_copy(update={"target": target})
            it.hold(what)
        except Cancelled:
            it.restore()
            raise
        else:
            return _in_place(journal.replacement)


def _in_place(what: Replacement) -> Published:
    output = _as_output(what)
    return Published((output,), what.target, replacement=what, placed=placed_file(what))


def placed_file(what: Replacement) -> FileNow:
    """What a scan finds at the result's name; raises SourceVanished, SourceUnreadable."""
    return _file_now(what, what.target, what.result.blake3)


def restored_file(what: Replacement) -> FileNow:
    """What a scan finds at the original's name; raises SourceVanished, SourceUnreadable."""
    return _file_now(what, what.source, what.original.blake3)


def _file_now(what: Replacement, path: bytes, content: str) -> FileNow:
    full = os.path.join(what.root, path)
    hint = stat_hint(full)
    return FileNow(path=path, hint=hint, sample=sample(full), content=content)


def _original(attempt: Attempt) -> KnownFile:
    """The source as it was encoded; raises SourceChanged where it is another now."""
    source = _source(attempt)
    check_unchanged(source.path, source.hint)
    return KnownFile(**source.hint.model_dump(), blake3=attempt.content)


def _source(attempt: Attempt) -> SourceFile:
    if attempt.source is None:
        raise SourceVanished("the source was not found")
    return attempt.source


def _as_output(what: Replacement) -> OutputFile:
    return OutputFile(path=what.target, size=what.result.size, blake3=what.result.blake3)


def _report(attempt: Attempt, directory: bytes, what: Replacement | None = None) -> None:
    report = ReplacementReport(token=attempt.claim.token, quarantine=directory, replacement=what)
    client, job = attempt.tools.client, attempt.claim.job
    outlast(lambda: client.report_replacement(job, report), attempt.cancel)


def _reserve(
    attempt: Attempt, names: tuple[bytes, ...], refused: tuple[bytes, ...], output: OutputFile
) -> bytes:
    """A name that no other job has; what has it on disk is seen when it is taken."""
    if names[0] == attempt.claim.relative:
        return names[0]
    wanted = FileToPublish(
        candidates=names, refused=refused, size=output.size, blake3=output.blake3
    )
    request = TargetRequest(token=attempt.claim.token, files=(wanted,))
    client, job = attempt.tools.client, attempt.claim.job
    (target,) = outlast(lambda: client.reserve_targets(job, request), attempt.cancel)
    return target.path

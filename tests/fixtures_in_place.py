"""What a worker tells a catalog of replaced originals; no file is there."""

from __future__ import annotations

import os

from fixtures_catalog import claim, dispatch, end, hint, library, walk

from darkstream.catalog import Catalog
from darkstream.model.base import JobId
from darkstream.model.job import Claim, OutputFile
from darkstream.model.replacement import FileNow, InPlace, KnownFile, Replacement
from darkstream.model.wire import FileToPublish, ReplacementReport, TargetRequest

OLD, NEW = "0" * 64, "e" * 64
"""What is in an original, and in its result."""
RESULT_BYTES = 7
_HINT = hint(RESULT_BYTES)


def in_place(catalog: Catalog, **rule: object) -> None:
    """The library of these tests, whose results take the place of the originals."""
    library(catalog, destination=b"/in", in_place=InPlace.model_validate(rule))


def what_of(held: Claim, target: bytes | None = None) -> Replacement:
    """A replacement; the result has the original's name, or another one."""
    old = KnownFile(size=1, mtime_ns=1, inode=1, blake3=OLD)
    new = KnownFile(size=RESULT_BYTES, mtime_ns=7, inode=7, blake3=NEW)
    assert held.in_place is not None
    return Replacement(
        job=held.job,
        root=b"/in",
        source=held.relative,
        target=target or held.relative,
        quarantine=f".darkstream-originals/{held.job}-ab".encode(),
        original=old,
        result=new,
        rule=held.in_place,
    )


def claim_one(catalog: Catalog, name: bytes = b"a.mkv") -> Claim:
    """The job of one file that a scan found."""
    walk(catalog, {name: (1, "s")})
    return claim(catalog, dispatch(catalog))


def report(catalog: Catalog, held: Claim, *, at_once: bool = True) -> None:
    """An attempt is about to replace its original; `at_once`: right now."""
    what = what_of(held)
    told = what if at_once else None
    body = ReplacementReport(token=held.token, quarantine=what.quarantine, replacement=told)
    catalog.replacements.report(held.job, body)


def commit(
    catalog: Catalog, held: Claim, *, waits: bool = False, target: bytes | None = None
) -> JobId:
    """The result is in place, or waits."""
    what = what_of(held, target)
    place = os.path.join(what.quarantine, b"result") if waits else what.target
    output = OutputFile(path=place, size=RESULT_BYTES, blake3=NEW)
    if not what.same_name:
        wanted = FileToPublish(candidates=(what.target,), size=RESULT_BYTES, blake3=NEW)
        names = TargetRequest(token=held.token, files=(wanted,))
        catalog.results.reserve_targets(held.job, names)
    placed = FileNow(path=what.target, hint=_HINT, sample="n", content=NEW)
    told = {"outputs": (output,), "replacement": what, "placed": None if waits else placed}
    ended = end(held, **told).model_copy(update={"content": OLD})
    catalog.results.commit(held.job, ended)
    return held.job


def replaced(
    catalog: Catalog, name: bytes = b"a.mkv", *, waits: bool = False, target: bytes | None = None
) -> JobId:
    """A job whose result is in place, or waits."""
    held = claim_one(catalog, name)
    report(catalog, held)
    return commit(catalog, held, waits=waits, target=target)

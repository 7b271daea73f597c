"""The names of published files, from their reservation to what is on the disk."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from fixtures_catalog import claim, dispatch, end, silence, start

from darkstream.catalog import Catalog
from darkstream.errors import Conflict, TargetExists
from darkstream.model.job import Claim, OutputFile
from darkstream.model.wire import FileToPublish, TargetRequest
from darkstream.storage.publish import Publication


def test_two_sources_never_get_one_name(catalog: Catalog) -> None:
    wanted = FileToPublish(candidates=(b"a.mp4", b"a.mkv.mp4"), size=1, blake3="1")

    def reserve(held: Claim, blake3: str) -> tuple[bytes, tuple[str, ...]]:
        file = wanted.model_copy(update={"blake3": blake3})
        request = TargetRequest(token=held.token, files=(file,))
        (target,) = catalog.results.reserve_targets(held.job, request)
        return target.path, target.replaces

    first, second = start(catalog, "a.mkv"), start(catalog, "a.avi")
    assert reserve(first, "1") == (b"a.mp4", ())
    assert reserve(second, "2") == (b"a.mkv.mp4", ())
    catalog.results.commit(first.job, end(first))
    newer = start(catalog, "a.mkv")
    assert reserve(newer, "3") == (b"a.mp4", ("1",))
    third = start(catalog, "a.ts")
    with pytest.raises(Conflict):
        reserve(third, "4")


def test_a_refused_name_is_never_taken_for_our_own_later(catalog: Catalog) -> None:
    """The name may be the original's, beside which the result goes."""
    held = start(catalog, "a.mp4")
    wanted = FileToPublish(candidates=(b"a.mp4", b"a.mp4.mp4"), size=1, blake3="the original")

    def reserve(*refused: bytes) -> tuple[bytes, tuple[str, ...]]:
        file = wanted.model_copy(update={"refused": refused})
        request = TargetRequest(token=held.token, files=(file,))
        (target,) = catalog.results.reserve_targets(held.job, request)
        return target.path, target.replaces

    assert reserve() == (b"a.mp4", ())
    assert reserve(b"a.mp4") == (b"a.mp4.mp4", ())
    assert reserve() == (b"a.mp4", ())


Death = Literal["after the reservation", "after the rename"]
DEATHS: tuple[Death, ...] = ("after the reservation", "after the rename")


def _publish(catalog: Catalog, held: Claim, out: Path, made: bytes, death: Death | None) -> None:
    """An attempt whose encode gave `made`, as far as it came."""
    work = out.parent / f"work-{held.token}"
    work.write_bytes(made)
    names = (b"a.mp4", b"a.mkv.mp4")
    with Publication(os.fsencode(out), job=held.job, token=held.token) as publication:
        part = publication.place(os.fsencode(work), names[0])
        refused: tuple[bytes, ...] = ()
        while True:
            file = FileToPublish(candidates=names, refused=refused, size=1, blake3=part.blake3)
            request = TargetRequest(token=held.token, files=(file,))
            (target,) = catalog.results.reserve_targets(held.job, request)
            if death == "after the reservation":
                return
            try:
                output = publication.publish(part, target)
                break
            except TargetExists:
                refused = (*refused, target.path)
    if death is None:
        _commit(catalog, held, output)


def _commit(catalog: Catalog, held: Claim, output: OutputFile) -> None:
    catalog.results.commit(held.job, end(held, outputs=[output], presentation=output.path))


@pytest.mark.parametrize("deaths", [*product(DEATHS, DEATHS), *product(DEATHS)])
def test_attempts_that_die_with_other_bytes_leave_one_output(
    catalog: Catalog, tmp_path: Path, deaths: tuple[Death, ...]
) -> None:
    """No encoder promises the same bytes twice, and nobody knows where an attempt died."""
    out = tmp_path / "out"
    held = start(catalog, "a.mkv")
    for number, death in enumerate(deaths):
        _publish(catalog, held, out, b"bytes of attempt %d" % number, death)
        silence(catalog)
        catalog.leases.expire()
        if catalog.jobs.get(held.job).status.ended:
            catalog.jobs.retry(held.job)
        held = claim(catalog, dispatch(catalog))
    _publish(catalog, held, out, b"the last", None)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"a.mp4": b"the last"}
    newer = start(catalog, "a.mkv")
    _publish(catalog, newer, out, b"a newer source", None)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {"a.mp4": b"a newer source"}


def test_a_strangers_file_at_our_name_is_never_replaced(catalog: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "out"
    held = start(catalog, "a.mkv")
    _publish(catalog, held, out, b"ours", "after the rename")
    (out / "a.mp4").write_bytes(b"edited by its owner")
    silence(catalog)
    catalog.leases.expire()
    _publish(catalog, claim(catalog, dispatch(catalog)), out, b"again", None)
    assert (out / "a.mp4").read_bytes() == b"edited by its owner"
    assert (out / "a.mkv.mp4").read_bytes() == b"again"
    assert catalog.results is not None


def test_a_link_at_our_name_is_a_strangers_too(catalog: Catalog, tmp_path: Path) -> None:
    out = tmp_path / "out"
    held = start(catalog, "a.mkv")
    _publish(catalog, held, out, b"ours", "after the rename")
    (out / "a.mp4").rename(out / "moved.mp4")
    (out / "a.mp4").symlink_to("moved.mp4")
    silence(catalog)
    catalog.leases.expire()
    _publish(catalog, claim(catalog, dispatch(catalog)), out, b"again", None)
    assert (out / "moved.mp4").read_bytes() == b"ours"
    assert (out / "a.mkv.mp4").read_bytes() == b"again"

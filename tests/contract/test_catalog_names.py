"""The names of published files, from their reservation to what is on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from fixtures_catalog import claim, dispatch, end, silence, start, submit

from darkstream.catalog import Catalog
from darkstream.errors import Conflict
from darkstream.model.base import JobId
from darkstream.model.encoded import Presentation
from darkstream.model.job import Claim, PublishTarget
from darkstream.model.plan import FilePackage
from darkstream.model.wire import FileToPublish, TargetRequest
from darkstream.observe.cancel import CancelToken
from darkstream.stages.publish import publish as publish_work


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


class Killed(Exception):
    """The worker is no more."""


class Server:
    """What a worker hears of the server; something may happen after its first reservation."""

    def __init__(self, catalog: Catalog, meanwhile: Callable[[], None]) -> None:
        self._catalog = catalog
        self._meanwhile = meanwhile

    def reserve_targets(self, job: JobId, request: TargetRequest) -> tuple[PublishTarget, ...]:
        targets = self._catalog.results.reserve_targets(job, request)
        meanwhile, self._meanwhile = self._meanwhile, nothing
        meanwhile()
        return targets


def nothing() -> None:
    """Nothing happens."""


def die() -> None:
    raise Killed


FILE: Any = SimpleNamespace(package=FilePackage(container="mp4", extension="mp4"))


def publish(
    catalog: Catalog,
    held: Claim,
    made: bytes,
    death: Death | None = None,
    meanwhile: Callable[[], None] = nothing,
) -> None:
    """An attempt whose encode gave `made`, as far as it came."""
    work = Path(os.fsdecode(held.destination)).parent / f"work-{held.job}-{held.token}"
    work.write_bytes(made)
    server = Server(catalog, die if death == "after the reservation" else meanwhile)
    tools = SimpleNamespace(client=server)
    attempt: Any = SimpleNamespace(claim=held, tools=tools, cancel=CancelToken())
    try:
        finished = Presentation(path=os.fsencode(work), files=1, size=len(made))
        published = publish_work(attempt, FILE, finished)
    except Killed:
        return
    if death is None:
        outputs = published.outputs
        catalog.results.commit(held.job, end(held, outputs=outputs, presentation=outputs[0].path))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def begin(catalog: Catalog, out: Path) -> Claim:
    submit(catalog, "a.mkv", destination=os.fsencode(out))
    return claim(catalog, dispatch(catalog))


def lose(catalog: Catalog, held: Claim) -> Claim:
    """The worker is taken for lost; the next one has the job."""
    silence(catalog)
    catalog.leases.expire()
    if catalog.jobs.get(held.job).status.ended:
        catalog.jobs.retry(held.job)
    return claim(catalog, dispatch(catalog))


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize("deaths", [*product(DEATHS, DEATHS), *product(DEATHS)])
def test_attempts_that_die_with_other_bytes_leave_one_output(
    catalog: Catalog, out: Path, deaths: tuple[Death, ...]
) -> None:
    """No encoder promises the same bytes twice, and nobody knows where an attempt died."""
    held = begin(catalog, out)
    for number, death in enumerate(deaths):
        publish(catalog, held, b"bytes of attempt %d" % number, death)
        held = lose(catalog, held)
    publish(catalog, held, b"the last")
    assert files(out) == {"a.mp4": b"the last"}
    publish(catalog, begin(catalog, out), b"a newer source")
    assert files(out) == {"a.mp4": b"a newer source"}


def test_two_jobs_of_one_source_at_once_leave_one_output(catalog: Catalog, out: Path) -> None:
    first, second = begin(catalog, out), begin(catalog, out)
    publish(catalog, first, b"first", meanwhile=lambda: publish(catalog, second, b"second"))
    assert files(out) == {"a.mp4": b"first"}


def test_a_strangers_file_at_our_name_is_never_replaced(catalog: Catalog, out: Path) -> None:
    held = begin(catalog, out)
    publish(catalog, held, b"ours", "after the rename")
    (out / "a.mp4").write_bytes(b"edited by its owner")
    publish(catalog, lose(catalog, held), b"again")
    assert files(out) == {"a.mp4": b"edited by its owner", "a.mkv.mp4": b"again"}


def test_a_link_at_our_name_is_a_strangers_too(catalog: Catalog, out: Path) -> None:
    held = begin(catalog, out)
    publish(catalog, held, b"ours", "after the rename")
    (out / "a.mp4").rename(out / "moved.mp4")
    (out / "a.mp4").symlink_to("moved.mp4")
    publish(catalog, lose(catalog, held), b"again")
    assert (out / "a.mp4").is_symlink()
    assert (out / "moved.mp4").read_bytes() == b"ours"
    assert (out / "a.mkv.mp4").read_bytes() == b"again"

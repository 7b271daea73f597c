"""A library with one film, what is to take its place, and what may never be lost of them."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import blake3
import pytest
from fixtures_power import bytes_of

from darkstream.model.base import FencingToken, JobId
from darkstream.model.job import PublishTarget
from darkstream.model.replacement import InPlace, KnownFile, Replacement, ReplacementAction
from darkstream.model.wire import ReplacementOrder
from darkstream.storage.known import know
from darkstream.storage.publish import Publication
from darkstream.storage.quarantine import DIRECTORY, held_name, prepare
from darkstream.storage.replace import Replacing

JOB = JobId(17)
MARK = "cafe"
OLD = b"original" * 500
NEW = b"result" * 300
MTIME = 1_600_000_000_123_456_789
NAMES = {"the same name": b"Series/a.mkv", "another name": b"Series/a.mp4"}


@dataclass
class Case:
    """A library with one film and what is to take its place."""

    root: Path
    work: Path
    source: bytes
    target: bytes
    rule: InPlace
    known: KnownFile

    @property
    def original(self) -> Path:
        return self.root / os.fsdecode(self.source)

    @property
    def result(self) -> Path:
        return self.root / os.fsdecode(self.target)

    def put(self) -> Replacement:
        """What a job does: quarantine directory, result, journal, exchange."""
        known = self.known
        directory = prepare(os.fsencode(self.root), self.source, JOB, MARK)
        with Publication(os.fsencode(self.root), job=JOB, token=FencingToken(1)) as to:
            part = to.place(os.fsencode(self.work), os.path.join(directory, b"x"))
            name = os.path.join(directory, held_name(self.target))
            output = to.publish(part, PublishTarget(path=name))
        path = os.path.join(os.fsencode(self.root), output.path)
        return Replacement(
            job=JOB,
            root=os.fsencode(self.root),
            source=self.source,
            target=self.target,
            quarantine=directory,
            original=known,
            result=know(path, output.blake3),
            rule=self.rule,
        )

    def hold(self) -> bytes:
        what = self.put()
        with self.open(what.quarantine) as it:
            it.hold(what)
        return what.quarantine

    def place(self, directory: bytes) -> None:
        with self.open(directory) as it:
            assert it.journal is not None
            it.place(it.journal.replacement)

    def convert(self) -> None:
        self.place(self.hold())

    def restore(self, *, force: bool = False) -> None:
        with self.open(self.quarantine) as it:
            it.restore(force=force)

    def forget(self) -> None:
        with self.open(self.quarantine) as it:
            it.forget()

    def open(self, directory: bytes) -> Replacing:
        return Replacing(os.fsencode(self.root), directory)

    @property
    def quarantine(self) -> bytes:
        return os.path.join(DIRECTORY, f"{JOB}-{MARK}".encode())

    def copies(self) -> list[bytes]:
        return list(bytes_of(self.root).values())


def new_case(
    top: Path, target: bytes = b"Series/a.mkv", elsewhere: Path | None = None, **rule: object
) -> Case:
    """A library made anew; the work may be a file on another file system."""
    root, work = top / "films", elsewhere or top / "work.mp4"
    (root / "Series").mkdir(parents=True)
    work.write_bytes(NEW)
    original = root / "Series/a.mkv"
    original.write_bytes(OLD)
    original.chmod(0o640)
    os.setxattr(original, "user.note", b"seen twice")
    os.utime(original, ns=(MTIME, MTIME))
    known = know(os.fsencode(original), blake3.blake3(OLD).hexdigest())
    return Case(root, work, b"Series/a.mkv", target, InPlace.model_validate(rule), known)


def is_original(path: Path) -> bool:
    found = path.lstat()
    return (
        path.read_bytes() == OLD
        and stat.S_IMODE(found.st_mode) == 0o640
        and found.st_mtime_ns == MTIME
        and os.getxattr(path, "user.note") == b"seen twice"
    )


Doing = Callable[[Case], None]


def prepared_for(doing: str, case: Case) -> Doing:
    if doing == "convert":
        return Case.convert
    held = case.hold()
    if doing == "approve":
        return lambda one: one.place(held)
    if doing == "keep":
        return Case.restore
    case.place(held)
    if doing == "undo":
        return Case.restore
    if doing == "force":
        case.result.write_bytes(b"tagged since")
        return lambda one: one.restore(force=True)
    return Case.forget


def check_whole(case: Case, doing: str) -> None:
    """The old or the new one is whole under a name a user finds; the original is somewhere."""
    present = [path.read_bytes() for path in {case.original, case.result} if path.exists()]
    allowed = [OLD, NEW, b"tagged since"] if doing == "force" else [OLD, NEW]
    assert present and all(one in allowed for one in present)
    if doing != "forget":
        assert OLD in case.copies()


def recover(case: Case) -> None:
    top = case.root / os.fsdecode(DIRECTORY)
    for directory in list(top.iterdir()) if top.exists() else []:
        with case.open(os.fsencode(directory.relative_to(case.root))) as it:
            it.recover()


def make_order(case: Case, action: ReplacementAction) -> ReplacementOrder:
    """What the server asks for, as long as nobody said that it was done."""
    with case.open(case.quarantine) as it:
        what = it.present().replacement
    return ReplacementOrder(
        job=what.job, root=what.root, quarantine=what.quarantine, action=action, replacement=what
    )


def check_settled(case: Case, doing: str) -> None:
    """After recovery it is either as before or done, and can be done again or undone."""
    left = list((case.root / os.fsdecode(DIRECTORY)).glob("*"))
    if doing in ("undo", "force", "keep"):
        if left:  # it had not begun
            case.restore(force=doing == "force")
        assert is_original(case.original) and NEW not in case.copies()
    elif doing == "forget":
        if left:
            case.forget()
        assert bytes_of(case.root) == {os.fsdecode(case.target): NEW}
    else:
        waits = case.original.exists() and case.original.read_bytes() == OLD
        if waits:
            assert case.target == case.source or not case.result.exists(), "half done"
        else:
            (quarantine,) = left
            assert {path.stem for path in quarantine.iterdir()} == {"journal", "lock", "original"}
        if waits:
            case.work.write_bytes(NEW)
            for file in left:
                shutil.rmtree(file)  # what maintain does with work that was never to be placed
            case.convert()
        assert case.result.read_bytes() == NEW
        assert stat.S_IMODE(case.result.lstat().st_mode) == 0o640
        case.restore()
        assert is_original(case.original)
        assert bytes_of(case.root) == {"Series/a.mkv": OLD}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A name for a file on another file system than the test's."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    with tempfile.TemporaryDirectory(dir=shared) as directory:
        yield Path(directory) / "work.mp4"

"""Orders about replacements: one that cannot be carried out says why, and nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import blake3
import pytest
from fixtures_flows import make_attempt
from fixtures_power import bytes_of

from darkstream.errors import Cancelled, ServiceError, StorageBusy, StorageError
from darkstream.model.base import JobId
from darkstream.model.replacement import InPlace, Replacement, ReplacementAction, ReplacementState
from darkstream.model.wire import ReplacementEnd, ReplacementOrder
from darkstream.stages.replace import _alone
from darkstream.stages.settle import _DOING, carry_out
from darkstream.storage.content import Content, content_of
from darkstream.storage.disk import identify
from darkstream.storage.known import know
from darkstream.storage.quarantine import held_name, prepare
from darkstream.storage.replace import Replacing

JOB = JobId(17)
OLD, NEW = b"original" * 500, b"result" * 300
NAMES = {"the same name": b"Series/a.mkv", "another name": b"Series/a.mp4"}


@dataclass
class Disk:
    """A library on a disk of its own, with one replacement."""

    root: Path
    what: Replacement

    def order(self, action: ReplacementAction, *, force: bool = False) -> ReplacementEnd:
        end = carry_out(self.make_order(action, force=force))
        assert end is not None
        return end

    def make_order(self, action: ReplacementAction, *, force: bool = False) -> ReplacementOrder:
        return ReplacementOrder(
            job=JOB,
            root=self.what.root,
            quarantine=self.what.quarantine,
            action=action,
            force=force,
            replacement=self.what,
        )

    def place(self) -> None:
        with Replacing(self.what.root, self.what.quarantine) as it:
            self.what = it.place(self.what).replacement

    def at(self, path: bytes) -> Path:
        return self.root / os.fsdecode(path)

    def unmount(self) -> None:
        """What a mount point looks like without its disk."""
        self.root.rename(self.root.with_name("disk"))
        self.root.mkdir()

    def mount(self) -> None:
        self.root.rmdir()
        self.root.with_name("disk").rename(self.root)


@pytest.fixture(params=NAMES, name="disk")
def make_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    root = tmp_path / "films"
    (root / "Series").mkdir(parents=True)
    source, target = b"Series/a.mkv", NAMES[request.param]
    original = root / "Series/a.mkv"
    original.write_bytes(OLD)
    top = os.fsencode(root)
    quarantine = prepare(top, source, JOB, "cafe")
    held = os.path.join(top, quarantine, held_name(target))
    Path(os.fsdecode(held)).write_bytes(NEW)
    what = Replacement(
        job=JOB,
        root=top,
        source=source,
        target=target,
        quarantine=quarantine,
        original=know(os.fsencode(original), blake3.blake3(OLD).hexdigest()),
        result=know(held, blake3.blake3(NEW).hexdigest()),
        rule=InPlace(),
        disk=identify(top, quarantine),
    )
    with Replacing(top, quarantine) as it:
        it.hold(what)
    return Disk(root, what)


@pytest.mark.parametrize("action", ["expire", "abandon", "undo"])
def test_a_disk_that_is_not_mounted_is_not_done(disk: Disk, action: ReplacementAction) -> None:
    disk.place()
    disk.unmount()
    end = disk.order(action)
    assert end.state is None and "mounted" in end.error
    assert list(disk.root.iterdir()) == []
    disk.mount()
    assert disk.order(action).error == ""


@pytest.mark.parametrize("action", get_args(ReplacementAction))
@pytest.mark.parametrize("other", ["an older copy", "one with originals of its own", "a note"])
def test_another_disk_at_the_same_path_is_not_done(
    disk: Disk, action: ReplacementAction, other: str
) -> None:
    if action in ("undo", "expire"):
        disk.place()
    disk.unmount()
    if other == "a note":
        (disk.root / "not-mounted").write_text("mount it")
    else:
        (disk.root / "Series").mkdir()
        disk.at(disk.what.source).write_bytes(OLD)
    if other == "one with originals of its own":
        again = prepare(disk.what.root, disk.what.source, JobId(18), "beef")
        assert identify(disk.what.root, again) != disk.what.disk
    before = bytes_of(disk.root)
    end = disk.order(action)
    assert end.state is None and "mounted" in end.error and disk.what.disk in end.error
    assert bytes_of(disk.root) == before
    shutil.rmtree(disk.root)
    disk.root.with_name("disk").rename(disk.root)
    assert disk.order(action).error == ""


def test_a_disk_keeps_its_id(disk: Disk) -> None:
    assert identify(disk.what.root, disk.what.quarantine) == disk.what.disk
    disk.order("keep")
    quarantine = prepare(disk.what.root, disk.what.source, JobId(18), "beef")
    assert identify(disk.what.root, quarantine) == disk.what.disk
    (disk.at(quarantine).parent / "id").write_text("")
    with pytest.raises(StorageError, match="remove it"):
        identify(disk.what.root, quarantine)


@pytest.mark.parametrize("action", ["approve", "keep", "abandon"])
def test_a_result_that_waits_on_a_disk_that_is_away_stays(
    disk: Disk, action: ReplacementAction
) -> None:
    disk.unmount()
    end = disk.order(action)
    assert end.state is None and "mounted" in end.error
    assert list(disk.root.iterdir()) == []
    disk.mount()
    assert disk.order(action).error == ""


def test_a_journal_that_is_gone_is_not_an_original_that_expired(disk: Disk) -> None:
    disk.place()
    disk.at(disk.what.quarantine).joinpath("journal").unlink()
    end = disk.order("expire")
    assert end.state is None and "journal" in end.error
    assert disk.at(disk.what.quarantine).joinpath("original.mkv").read_bytes() == OLD


@pytest.mark.parametrize("action", ["keep", "abandon"])
def test_what_was_done_and_not_told_is_told(disk: Disk, action: ReplacementAction) -> None:
    first = disk.order(action)
    assert first.error == "" and not disk.at(disk.what.quarantine).exists()
    assert disk.order(action).state is first.state


@pytest.mark.parametrize("action", ["keep", "abandon"])
def test_what_was_done_and_not_told_is_told_though_somebody_edits_the_original(
    disk: Disk, action: ReplacementAction
) -> None:
    """The journal is gone, and the worker died before it said so."""
    first = disk.order(action)
    edited = b"changed!" * 500
    disk.at(disk.what.source).write_bytes(edited)
    disk.unmount()
    assert "mounted" in disk.order(action).error
    disk.mount()
    again = disk.order(action)
    assert (again.state, again.file, again.error) == (first.state, None, "")
    assert disk.at(disk.what.source).read_bytes() == edited


def test_an_undo_that_was_done_is_told_though_somebody_edits_the_original(disk: Disk) -> None:
    disk.place()
    assert disk.order("undo").state is ReplacementState.undone
    disk.at(disk.what.source).write_bytes(b"edited")
    again = disk.order("undo")
    if disk.what.same_name:  # it may as well be the result that was edited
        assert again.state is None and "removed by hand" in again.error
        assert disk.order("expire").state is ReplacementState.expired
    else:
        assert (again.state, again.file) == (ReplacementState.undone, None)
    assert disk.at(disk.what.source).read_bytes() == b"edited"


@pytest.mark.parametrize("action", ["approve", "keep"])
def test_a_result_that_was_thrown_away_for_a_changed_original_is_told_of_later(
    disk: Disk, action: ReplacementAction
) -> None:
    disk.at(disk.what.source).write_bytes(b"edited")
    assert disk.order("approve").state is ReplacementState.kept
    again = disk.order(action)
    assert again.state is ReplacementState.kept and again.file is None
    assert ("gone" in again.error) == (action == "approve")


@pytest.mark.parametrize("how", ["renamed", "deleted", "with its directory"])
def test_a_result_whose_original_is_gone_is_thrown_away(disk: Disk, how: str) -> None:
    original = disk.at(disk.what.source)
    if how == "renamed":
        original.rename(original.with_name("b.mkv"))
    elif how == "deleted":
        original.unlink()
    else:
        shutil.rmtree(original.parent)
    end = disk.order("approve")
    assert end.state is ReplacementState.kept and "thrown away" in end.error
    assert not disk.at(disk.what.target).exists()
    assert not disk.at(disk.what.quarantine).exists()


@pytest.mark.parametrize("edited", [True, False])
@pytest.mark.parametrize("action", ["approve", "keep", "abandon", "undo", "expire"])
def test_what_ended_with_its_directory_left_is_told(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, action: ReplacementAction, edited: bool
) -> None:
    """The worker dies once the journal is gone, before the directory is."""
    if action in ("undo", "expire"):
        disk.place()
    elif action == "approve" or edited:
        disk.at(disk.what.source).write_bytes(b"edited")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "rmdir", _end)
        disk.order(action)
    left = disk.at(disk.what.quarantine)
    assert left.is_dir()
    if edited and action == "undo" and not disk.what.same_name:
        disk.at(disk.what.source).write_bytes(b"edited")
    again = disk.order(action)
    states: dict[str, ReplacementState] = {
        "undo": ReplacementState.undone,
        "expire": ReplacementState.expired,
        "abandon": ReplacementState.undone,
    }
    assert again.state is states.get(action, ReplacementState.kept)
    assert ("gone" in again.error) == (action == "approve")
    assert not left.exists()


def _end(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_expiry_that_was_done_is_told(disk: Disk) -> None:
    disk.place()
    assert disk.order("expire").state is ReplacementState.expired
    disk.unmount()
    assert "mounted" in disk.order("expire").error
    disk.mount()
    assert disk.order("expire").state is ReplacementState.expired
    assert disk.at(disk.what.target).read_bytes() == NEW


def test_a_quarantine_that_somebody_removed_has_expired_with_its_time(disk: Disk) -> None:
    disk.place()
    shutil.rmtree(disk.at(disk.what.quarantine))
    assert "removed by hand" in disk.order("undo").error
    disk.at(disk.what.target).unlink()
    assert disk.order("expire").state is ReplacementState.expired


def test_an_order_that_does_not_stand_any_more_is_not_carried_out(disk: Disk) -> None:
    disk.place()
    for action in _DOING:
        assert carry_out(disk.make_order(action), lambda: False) is None
    assert disk.at(disk.what.target).read_bytes() == NEW
    with Replacing(disk.what.root, disk.what.quarantine) as it:
        assert it.present().goal == "place"


@pytest.mark.parametrize("goal", ["hold", "place"])
def test_whether_an_order_stands_is_asked_while_nobody_else_is_at_it(disk: Disk, goal: str) -> None:
    if goal == "place":
        disk.place()

    def stands() -> bool:
        with pytest.raises(StorageBusy), Replacing(disk.what.root, disk.what.quarantine):
            pytest.fail("entered twice")
        return True

    end = carry_out(disk.make_order("abandon"), stands)
    assert end is not None and end.state is ReplacementState.undone


def test_a_server_that_refuses_to_say_ends_it_all(disk: Disk) -> None:
    def stands() -> bool:
        raise ServiceError("it said 500")

    with pytest.raises(ServiceError):
        carry_out(disk.make_order("abandon"), stands)


def test_an_attempt_waits_for_who_is_at_its_files(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = make_attempt()
    claim = attempt.claim.model_copy(update={"destination": disk.what.root})
    monkeypatch.setattr(attempt, "claim", claim)
    waited = []
    with ExitStack() as other:
        other.enter_context(Replacing(disk.what.root, disk.what.quarantine))

        def wait(_seconds: float) -> bool:
            waited.append(other.close())
            return False

        monkeypatch.setattr(attempt.cancel, "wait", wait)
        with _alone(attempt, disk.what.quarantine) as it:
            assert waited and it.present().goal == "hold"


def test_an_attempt_that_waits_can_be_cancelled(disk: Disk) -> None:
    attempt = make_attempt()
    attempt.claim = attempt.claim.model_copy(update={"destination": disk.what.root})
    attempt.cancel.cancel(Cancelled("somebody cancelled it"))
    with (
        Replacing(disk.what.root, disk.what.quarantine),
        pytest.raises(Cancelled),
        _alone(attempt, disk.what.quarantine),
    ):
        pytest.fail("entered")


@pytest.mark.parametrize("removed", [True, False])
def test_an_attempt_that_ended_before_it_moved_anything_left_nothing(
    disk: Disk, removed: bool
) -> None:
    directory = disk.at(disk.what.quarantine)
    shutil.rmtree(directory)
    if not removed:
        directory.mkdir()
    order = disk.make_order("abandon").model_copy(update={"replacement": None})
    disk.unmount()
    end = carry_out(order)
    assert end is not None and "mounted" in end.error
    disk.mount()
    end = carry_out(order)
    assert end is not None and end.state is ReplacementState.undone
    assert not directory.exists() and disk.at(disk.what.source).read_bytes() == OLD


def test_an_original_edited_with_its_time_kept_is_not_told_as_the_original(disk: Disk) -> None:
    found = disk.at(disk.what.source)
    before = found.lstat()
    with found.open("r+b") as file:
        file.write(b"edited")
    os.utime(found, ns=(before.st_atime_ns, before.st_mtime_ns))
    end = disk.order("keep")
    assert (end.state, end.file) == (ReplacementState.kept, None)


def test_what_an_attempt_left_before_it_had_a_journal_is_removed(disk: Disk) -> None:
    held = disk.at(disk.what.quarantine)
    held.joinpath("journal").unlink()
    order = ReplacementOrder(
        job=JOB, root=disk.what.root, quarantine=disk.what.quarantine, action="abandon"
    )
    end = carry_out(order)
    assert end is not None and end.state is ReplacementState.undone
    assert not held.exists() and disk.at(disk.what.source).read_bytes() == OLD


def test_an_original_that_cannot_be_read_is_not_a_changed_one(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.at(disk.what.source).chmod(0o600)  # so that its bytes have to tell
    real = content_of

    def failing_once(*args: Any, **options: Any) -> Content:
        monkeypatch.setattr("darkstream.storage.known.content_of", real)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("darkstream.storage.known.content_of", failing_once)
    end = disk.order("approve")
    assert end.state is None and "input/output error" in end.error
    assert disk.order("approve").state is ReplacementState.placed
    assert disk.at(disk.what.target).read_bytes() == NEW


def test_an_error_of_the_system_ends_one_order_and_not_all(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("darkstream.storage.quarantine._is_open_elsewhere", _fail)
        assert "input/output error" in disk.order("approve").error
    with monkeypatch.context() as patch:
        patch.setattr("darkstream.stages.settle.check_replaceable", _fail)
        assert "Input/output error" in disk.order("approve").error
    assert disk.order("approve").error == ""


def _fail(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("size", [len(OLD), 9])
def test_a_file_that_changed_while_its_result_waited_is_not_told_as_the_original(
    disk: Disk, size: int
) -> None:
    edited = b"e" * size
    disk.at(disk.what.source).write_bytes(edited)
    end = disk.order("keep")
    assert (end.state, end.file) == (ReplacementState.kept, None)
    assert disk.at(disk.what.source).read_bytes() == edited


def test_an_original_that_is_kept_is_told(disk: Disk) -> None:
    end = disk.order("keep")
    assert end.file is not None and end.file.content == disk.what.original.blake3

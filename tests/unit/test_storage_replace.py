"""Replacing originals on a real file system: whatever happens, nothing is lost."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import blake3
import pytest
from fixtures_power import bytes_of
from fixtures_replacement import MTIME, NAMES, NEW, OLD, Case, is_original, new_case

from darkstream.errors import (
    Conflict,
    SourceChanged,
    SourceShared,
    StorageBusy,
    StorageError,
    TargetExists,
)
from darkstream.model.replacement import InPlace, Replacement
from darkstream.observe.cancel import CancelToken
from darkstream.storage import rename
from darkstream.storage.content import Content, content_of
from darkstream.storage.exchange import Step
from darkstream.storage.journal import locked
from darkstream.storage.quarantine import (
    DIRECTORY,
    check_replaceable,
)
from darkstream.storage.replace import Replacing


@pytest.fixture(params=NAMES, name="case")
def make_case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return new_case(tmp_path, NAMES[request.param])


def test_the_result_takes_the_place_and_the_looks_of_the_original(case: Case) -> None:
    case.convert()
    found = case.result.lstat()
    assert case.result.read_bytes() == NEW
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert found.st_mtime_ns == MTIME
    assert os.getxattr(case.result, "user.note") == b"seen twice"
    assert case.copies().count(OLD) == 1
    assert [path.name for path in (case.root / "Series").iterdir()] == [case.result.name]


def test_the_time_may_be_that_of_the_replacement(tmp_path: Path) -> None:
    case = new_case(tmp_path, mtime="now")
    held = case.hold()
    (result,) = (case.root / os.fsdecode(held)).glob("result*")
    os.utime(result, ns=(MTIME // 2, MTIME // 2))  # it was encoded long before
    case.place(held)
    assert case.result.lstat().st_mtime_ns > MTIME


def test_undone_it_is_as_it_was(case: Case) -> None:
    inode = case.original.lstat().st_ino
    case.convert()
    case.restore()
    assert is_original(case.original) and case.original.lstat().st_ino == inode
    assert bytes_of(case.root) == {"Series/a.mkv": OLD}
    assert not (case.root / os.fsdecode(DIRECTORY)).exists()


def test_forgotten_only_the_result_is_left(case: Case) -> None:
    case.convert()
    case.forget()
    assert bytes_of(case.root) == {os.fsdecode(case.target): NEW}


def test_a_result_that_waits_changes_nothing_and_is_dropped_or_placed(case: Case) -> None:
    held = case.hold()
    assert is_original(case.original)
    case.restore()
    assert bytes_of(case.root) == {"Series/a.mkv": OLD} and is_original(case.original)
    case.work.write_bytes(NEW)
    held = case.hold()
    case.place(held)
    assert case.result.read_bytes() == NEW


@pytest.mark.parametrize("end", ["place", "restore", "discard"])
def test_a_clip_to_decide_by_goes_once_somebody_has(case: Case, end: str) -> None:
    held = case.hold()
    clip = case.root / os.fsdecode(held) / "compare.mp4"
    clip.write_bytes(b"both")
    if end == "place":
        case.place(held)
        assert clip.parent.exists() and case.result.read_bytes() == NEW
    elif end == "restore":
        case.restore()
    else:
        (clip.parent / "journal").unlink()
        with case.open(held) as it:
            it.discard()
    assert not clip.exists() and OLD in case.copies()
    assert clip.parent.exists() == (end == "place")


def test_an_original_that_waits_to_be_replaced_is_not_forgotten(case: Case) -> None:
    case.hold()
    with pytest.raises(StorageError, match="not in place"):
        case.forget()
    assert is_original(case.original)


@pytest.mark.parametrize("how", ["rewritten", "exchanged", "gone"])
def test_an_original_that_changed_is_left_alone(case: Case, how: str) -> None:
    held = case.hold()
    if how == "rewritten":
        case.original.write_bytes(b"edited" + OLD[6:])
        os.utime(case.original, ns=(MTIME, MTIME))
    elif how == "exchanged":
        (case.root / "new").write_bytes(b"edited")
        (case.root / "new").rename(case.original)
    else:
        case.original.unlink()
    before = case.original.read_bytes() if case.original.exists() else None
    with pytest.raises(SourceChanged):
        case.place(held)
    after = case.original.read_bytes() if case.original.exists() else None
    assert after == before


def test_an_original_exchanged_in_the_last_moment_gets_its_name_again(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the rename somebody saves a new file over the name."""
    held = case.hold()
    real = rename._renameat2

    def late(one: rename.Place, other: rename.Place, flags: int) -> None:
        monkeypatch.setattr(rename, "_renameat2", real)
        edited = case.root / "edited"
        edited.write_bytes(b"edited")
        if case.target == case.source:
            edited.rename(case.original)
            real(one, other, flags)
        else:
            real(one, other, flags)
            edited.rename(case.original)

    monkeypatch.setattr(rename, "_renameat2", late)
    with pytest.raises(SourceChanged):
        case.place(held)
    assert bytes_of(case.root) == {"Series/a.mkv": b"edited"}


def test_a_touched_original_is_still_the_same(case: Case) -> None:
    held = case.hold()
    case.original.chmod(0o600)
    case.place(held)
    assert stat.S_IMODE(case.result.lstat().st_mode) == 0o600


def test_a_strangers_file_of_the_results_name_is_never_overwritten(tmp_path: Path) -> None:
    case = new_case(tmp_path, b"Series/a.mp4")
    case.result.write_bytes(b"foreign")
    held = case.hold()
    with pytest.raises(TargetExists):
        case.place(held)
    assert case.result.read_bytes() == b"foreign" and is_original(case.original)


@pytest.mark.parametrize("damage", [b"", NEW[:-1] + b"?"])
def test_a_result_that_was_damaged_while_it_waited_is_not_placed(case: Case, damage: bytes) -> None:
    path = case.hold()
    (held,) = (case.root / os.fsdecode(path)).glob("result*")
    found = held.lstat()
    held.write_bytes(damage)
    os.utime(held, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(StorageError, match="throws the result away"):
        case.place(path)
    assert is_original(case.original)
    case.restore()
    assert bytes_of(case.root) == {"Series/a.mkv": OLD}


@pytest.mark.parametrize("when", ["before", "while it waits"])
def test_a_strangers_file_with_the_bytes_of_the_result_is_not_the_result(
    tmp_path: Path, when: str
) -> None:
    case = new_case(tmp_path, b"Series/a.mp4")
    if when == "before":
        case.result.write_bytes(NEW)
        case.result.chmod(0o600)
        with pytest.raises(TargetExists):
            case.place(case.hold())
    else:
        case.hold()
        case.result.write_bytes(NEW)
    case.restore()
    assert is_original(case.original) and case.copies().count(NEW) == 1
    assert case.result.read_bytes() == NEW


def test_what_was_changed_since_is_undone_only_by_force(case: Case) -> None:
    case.convert()
    case.result.write_bytes(b"tagged since")
    with pytest.raises(Conflict, match="--force"):
        case.restore()
    assert case.result.read_bytes() == b"tagged since" and OLD in case.copies()
    case.restore(force=True)
    assert is_original(case.original)
    if case.target != case.source:
        assert case.result.read_bytes() == b"tagged since"


def test_what_was_only_touched_since_is_undone(case: Case) -> None:
    case.convert()
    os.utime(case.result)
    case.restore()
    assert bytes_of(case.root) == {"Series/a.mkv": OLD}


def test_undo_works_where_the_result_was_deleted(case: Case) -> None:
    case.convert()
    case.result.unlink()
    case.restore()
    assert is_original(case.original)


def test_an_original_is_not_forgotten_where_its_result_is_gone(case: Case) -> None:
    case.convert()
    case.result.unlink()
    with pytest.raises(StorageError, match="not where it was put"):
        case.forget()
    assert case.copies().count(OLD) == 1
    case.restore()
    assert is_original(case.original)


@pytest.mark.parametrize("changed", [b"", b"broken" * 300])
def test_an_original_is_not_forgotten_where_its_result_is_another(
    case: Case, changed: bytes
) -> None:
    case.convert()
    found = case.result.lstat()
    with case.result.open("r+b") as file:
        file.write(changed)
        file.truncate(len(changed))
    os.utime(case.result, ns=(found.st_atime_ns, found.st_mtime_ns))
    with pytest.raises(StorageError, match="not where it was put"):
        case.forget()
    assert OLD in case.copies() and case.result.read_bytes() == changed


def test_an_original_is_kept_where_its_result_is_changed_after_the_first_look(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its times it is the result; the bytes that are read last say that it is not."""
    case.convert()
    found, real = case.result.lstat(), Replacing._next

    def late(self: Replacing, *args: Any, **options: Any) -> Step | None:
        step = real(self, *args, **options)
        if step is Step.drop_quarantined:
            with case.result.open("r+b") as file:
                file.write(b"tagged")
            os.utime(case.result, ns=(found.st_atime_ns, found.st_mtime_ns))
        return step

    monkeypatch.setattr(Replacing, "_next", late)
    with pytest.raises(StorageError, match="not where it was put"):
        case.forget()
    assert OLD in case.copies() and case.result.read_bytes().startswith(b"tagged")


def test_what_was_begun_to_be_forgotten_is_looked_at_again(case: Case) -> None:
    case.convert()
    with case.open(case.quarantine) as it:
        it._write(it.present().model_copy(update={"goal": "forget"}))
    case.result.unlink()
    with case.open(case.quarantine) as it, pytest.raises(StorageError, match="not where"):
        it.recover()
    case.restore()
    assert is_original(case.original)


def test_an_original_that_somebody_removed_is_forgotten_with_any_result(case: Case) -> None:
    case.convert()
    case.result.write_bytes(b"tagged since")
    (kept,) = (case.root / os.fsdecode(case.quarantine)).glob("original*")
    kept.unlink()
    case.forget()
    assert bytes_of(case.root) == {os.fsdecode(case.target): b"tagged since"}


def test_a_changed_result_whose_time_was_kept_is_undone_only_by_force(case: Case) -> None:
    case.convert()
    found = case.result.lstat()
    with case.result.open("r+b") as file:
        file.write(b"tagged")
    os.utime(case.result, ns=(found.st_atime_ns, found.st_mtime_ns))
    before = case.result.read_bytes()
    assert before != NEW and len(before) == len(NEW)
    with pytest.raises(Conflict, match="--force"):
        case.restore()
    assert case.result.read_bytes() == before and OLD in case.copies()
    case.restore(force=True)
    assert is_original(case.original)


def test_a_result_changed_while_it_is_undone_is_not_thrown_away(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check and the removal somebody writes into it, and sets its time back."""
    case.convert()
    found, checked = case.result.lstat(), Replacing._check_result

    def late(self: Replacing, what: Replacement) -> None:
        checked(self, what)
        with case.result.open("r+b") as file:
            file.write(b"tagged")
        os.utime(case.result, ns=(found.st_atime_ns, found.st_mtime_ns))

    monkeypatch.setattr(Replacing, "_check_result", late)
    if case.source == case.target:
        with pytest.raises(StorageError, match="unexpected"):
            case.restore()
    else:
        case.restore()
    assert any(one.startswith(b"tagged") for one in case.copies())
    assert is_original(case.original)


@pytest.mark.parametrize("read", [1, 2, 3])
@pytest.mark.parametrize("doing", ["undo", "forget"])
def test_what_is_written_while_a_result_is_read_is_not_thrown_away(
    case: Case, monkeypatch: pytest.MonkeyPatch, doing: str, read: int
) -> None:
    """The writer has it open all the time, and what was read is the result still."""
    case.convert()
    reads: list[bytes] = []
    real = content_of

    def late(path: bytes, cancel: CancelToken | None = None, *, dir_fd: int) -> Content:
        content = real(path, cancel, dir_fd=dir_fd)
        if content.blake3 == blake3.blake3(NEW).hexdigest():
            reads.append(path)
            if len(reads) == read:
                file.write(b"USER EDIT")
        return content

    monkeypatch.setattr("darkstream.storage.known.content_of", late)
    with case.result.open("r+b", buffering=0) as file, suppress(Conflict, StorageError):
        case.restore() if doing == "undo" else case.forget()
    assert OLD in case.copies() or doing == "forget"
    edited = [one for one in case.copies() if one.startswith(b"USER EDIT")]
    assert len(edited) == (len(reads) >= read)
    if doing == "forget":
        assert (OLD in case.copies()) == bool(edited)


def test_a_result_that_cannot_be_read_is_undone_by_force(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.convert()

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("darkstream.storage.known.content_of", failing)
    with pytest.raises(StorageError, match="input/output error"):
        case.restore()
    assert case.result.read_bytes() == NEW and OLD in case.copies()
    case.restore(force=True)
    assert bytes_of(case.root) == {"Series/a.mkv": OLD}


def test_a_result_is_not_given_up_for_an_original_that_is_nowhere(case: Case) -> None:
    case.convert()
    (kept,) = (case.root / os.fsdecode(case.quarantine)).glob("original*")
    kept.unlink()
    if case.target != case.source:
        case.original.write_bytes(b"a new one")
    with pytest.raises(StorageError, match="not in"):
        case.restore(force=True)
    assert case.result.read_bytes() == NEW


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_original_that_was_written_to_in_quarantine_comes_back_by_force(
    case: Case, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    """Somebody had it open when it was replaced, and goes on writing."""
    if not exchanges:
        monkeypatch.setattr(rename, "_renameat2", _no_such_rename)
    with case.original.open("ab") as file:
        case.convert()
        file.write(b"more")
    with pytest.raises(Conflict, match="written to since"):
        case.forget()
    with pytest.raises(Conflict, match="with --force"):
        case.restore()
    assert case.result.read_bytes() == NEW and OLD + b"more" in case.copies()
    case.restore(force=True)
    assert bytes_of(case.root) == {"Series/a.mkv": OLD + b"more"}


def test_of_two_changed_files_none_is_given_up(case: Case) -> None:
    with case.original.open("ab") as file:
        case.convert()
        file.write(b"more")
    case.result.write_bytes(b"tagged since")
    with suppress(StorageError):
        case.restore(force=True)
    assert OLD + b"more" in case.copies() and b"tagged since" in case.copies()


def _no_such_rename(*_: object) -> None:
    raise rename.Unsupported(errno.EINVAL, "no such rename")


def test_undo_does_not_overwrite_a_new_file_of_the_originals_name(tmp_path: Path) -> None:
    case = new_case(tmp_path, b"Series/a.mp4")
    case.convert()
    case.original.write_bytes(b"a new one")
    with pytest.raises(StorageError, match="move it away"):
        case.restore()
    assert case.original.read_bytes() == b"a new one" and OLD in case.copies()
    case.original.unlink()
    case.restore()
    assert is_original(case.original)


def test_two_processes_are_never_at_the_same_replacement(case: Case) -> None:
    held = case.hold()
    with (
        case.open(held),
        pytest.raises(StorageError, match="another process"),
        case.open(held),
    ):
        pytest.fail("entered twice")


@pytest.mark.parametrize("code", [errno.EBADF, errno.ENOLCK])
def test_where_nothing_can_be_locked_nothing_is_replaced(
    case: Case, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    held = case.hold()

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="with locks"):
        case.place(held)
    assert is_original(case.original)


def test_what_is_locked_is_a_file_that_can_be_written_to(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS has neither locks of directories nor exclusive ones of files that are only read."""
    held, real = case.hold(), fcntl.flock

    def lock(descriptor: int, how: int) -> None:
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if mode == os.O_RDONLY or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    with case.open(held), pytest.raises(StorageBusy), case.open(held):
        pytest.fail("entered twice")
    case.place(held)
    case.restore()
    assert bytes_of(case.root) == {"Series/a.mkv": OLD}


def test_a_lock_of_what_another_one_ended_is_none(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, real = case.hold(), fcntl.flock

    def lock(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        case.restore()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    with pytest.raises(StorageBusy):
        case.place(held)
    assert bytes_of(case.root) == {"Series/a.mkv": OLD}


def test_a_disk_that_is_away_is_no_empty_one(case: Case) -> None:
    held = case.hold()
    case.root.rename(case.root.with_name("elsewhere"))
    with pytest.raises(StorageError, match="mounted"):
        case.place(held)
    assert not case.root.exists()


def test_names_that_are_no_text(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    case.source, case.target = b"Series/caf\xe9.mkv", b"Series/caf\xe9.mp4"
    os.rename(case.root / "Series/a.mkv", os.path.join(os.fsencode(case.root), case.source))
    case.convert()
    assert case.result.read_bytes() == NEW
    case.restore()
    assert is_original(case.original)


def test_a_hard_linked_original_is_left_alone_unless_told(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    os.link(case.original, case.root / "seed.mkv")
    with pytest.raises(SourceShared, match="2 names"):
        check_replaceable(os.fsencode(case.original), case.rule)
    check_replaceable(os.fsencode(case.original), InPlace(hard_links="replace"))


def test_an_open_file_is_left_alone_unless_told(tmp_path: Path) -> None:
    case = new_case(tmp_path)
    path = os.fsencode(case.original)
    check_replaceable(path, case.rule)
    with case.original.open("rb"):
        with pytest.raises(SourceShared, match="open"):
            check_replaceable(path, case.rule)
        check_replaceable(path, InPlace(open_files="replace"))


def test_the_quarantine_is_for_its_owner_alone(case: Case) -> None:
    held = case.hold()
    for path in (DIRECTORY, held):
        mode = os.lstat(os.path.join(os.fsencode(case.root), path)).st_mode
        assert stat.S_IMODE(mode) == 0o700


def test_a_directory_that_takes_no_changes_is_said_before_the_encode(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    case = new_case(tmp_path)
    for path in (case.root / "Series", case.root, tmp_path, *list(tmp_path.parents)[:2]):
        path.chmod(0o755)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            check_replaceable(os.fsencode(case.original), case.rule)
        except StorageError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert "permission denied" in said and str(case.original.parent) in said


def test_a_lock_that_is_closed_with_an_error_is_unlocked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def fail(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with monkeypatch.context() as patched, locked(directory, b"/films"):
            patched.setattr(os, "close", fail)
        with locked(directory, b"/films"):
            pass
    finally:
        close(directory)

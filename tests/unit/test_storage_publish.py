"""Publishing on a real file system: whole or not at all, and never over anything foreign."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest

from darkstream.errors import (
    Cancelled,
    SourceChanged,
    SourceVanished,
    StorageError,
    StorageFull,
    TargetExists,
)
from darkstream.model.base import FencingToken, JobId
from darkstream.model.job import OutputFile, PublishTarget
from darkstream.observe.cancel import CancelToken
from darkstream.storage import publish as publish_module
from darkstream.storage import rename
from darkstream.storage.content import content_of
from darkstream.storage.parts import occupy, owner, reap_parts, reap_work
from darkstream.storage.publish import Publication

JOB, TOKEN = JobId(7), FencingToken(3)
NEW = b"new output" * 1000
OLD = b"old output" * 1000


def digest(content: bytes) -> str:
    return blake3.blake3(content).hexdigest()


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    (path / "film.mp4").write_bytes(NEW)
    (path / "abr" / "v0").mkdir(parents=True)
    (path / "abr" / "master.m3u8").write_bytes(b"#EXTM3U")
    (path / "abr" / "v0" / "1.m4s").write_bytes(NEW)
    return path


def publication(out: Path, cancel: CancelToken | None = None) -> Publication:
    return Publication(os.fsencode(out), job=JOB, token=TOKEN, cancel=cancel)


def test_a_file_is_published(out: Path, work: Path) -> None:
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"Series/One/film.mp4")
        assert owner(part.name) == (JOB, TOKEN)
        assert os.listdir(out / "Series" / "One") == [os.fsdecode(part.name)]
        assert os.path.exists(part.path)
        assert (part.size, part.blake3, part.package) == (len(NEW), digest(NEW), False)
        output = publishing.publish(part, PublishTarget(path=b"Series/One/film.mp4"))
    assert output == OutputFile(path=b"Series/One/film.mp4", size=len(NEW), blake3=digest(NEW))
    assert tree(out) == {"Series/One/film.mp4": NEW}
    assert not (work / "film.mp4").exists()


def test_bytes_are_durable_before_the_name_and_the_name_before_the_answer(
    out: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, give = os.fsync, publish_module.rename_without_replacing

    def record_sync(descriptor: int) -> None:
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    def record_name(place: rename.Place, final: rename.Place) -> None:
        done.append("renamed")
        give(place, final)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(publish_module, "rename_without_replacing", record_name)
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"Series/film.mp4")
        publishing.publish(part, PublishTarget(path=b"Series/film.mp4"))
    assert done == ["out", os.fsdecode(part.name), "renamed", "Series"]


def test_a_package_is_published(out: Path, work: Path) -> None:
    expected = content_of(os.fsencode(work / "abr"))
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "abr"), b"film")
        assert part.package
        assert (part.size, part.blake3) == (expected.size, expected.blake3)
        publishing.publish(part, PublishTarget(path=b"film"))
    assert tree(out) == {"film/master.m3u8": b"#EXTM3U", "film/v0/1.m4s": NEW}


def test_another_file_system_gets_a_copy(
    small_disk: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with publication(small_disk / "out") as publishing:
        file = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        package = publishing.place(os.fsencode(work / "abr"), b"film")
        publishing.publish(file, PublishTarget(path=b"film.mp4"))
        publishing.publish(package, PublishTarget(path=b"film"))
    assert tree(small_disk / "out") == {
        "film.mp4": NEW,
        "film/master.m3u8": b"#EXTM3U",
        "film/v0/1.m4s": NEW,
    }
    assert (work / "film.mp4").read_bytes() == NEW


def test_a_name_that_is_free_in_another_directory(out: Path, work: Path) -> None:
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"a/film.mp4")
        publishing.publish(part, PublishTarget(path=b"b/film.mp4"))
    assert tree(out) == {"b/film.mp4": NEW}


def test_a_foreign_file_is_never_overwritten(out: Path, work: Path) -> None:
    out.mkdir()
    (out / "film.mp4").write_bytes(OLD)
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        with pytest.raises(TargetExists, match=r"film\.mp4 is there already"):
            publishing.publish(part, PublishTarget(path=b"film.mp4"))
        with pytest.raises(TargetExists):
            publishing.publish(part, PublishTarget(path=b"film.mp4", replaces=(digest(b"other"),)))
        publishing.publish(part, PublishTarget(path=b"film.mkv.mp4"))
    assert tree(out) == {"film.mp4": OLD, "film.mkv.mp4": NEW}


def test_a_foreign_file_with_the_same_bytes_is_not_ours(out: Path, work: Path) -> None:
    """It may be an original: what is adopted may be replaced later."""
    out.mkdir()
    (out / "film.mp4").write_bytes(NEW)
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        with pytest.raises(TargetExists):
            publishing.publish(part, PublishTarget(path=b"film.mp4"))


@pytest.mark.parametrize("content", [NEW, OLD])
def test_the_original_is_never_replaced_whatever_is_on_record(
    out: Path, work: Path, content: bytes
) -> None:
    out.mkdir()
    original = out / "film.mp4"
    original.write_bytes(content)
    os.link(original, out / "link.mp4")
    with Publication(
        os.fsencode(out), job=JOB, token=TOKEN, source=os.fsencode(original)
    ) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        with pytest.raises(TargetExists):
            publishing.publish(part, PublishTarget(path=b"film.mp4", replaces=(digest(content),)))
    assert tree(out) == {"film.mp4": content, "link.mp4": content}


def test_a_hard_link_to_the_original_may_be_replaced(out: Path, work: Path, tmp_path: Path) -> None:
    """It is what `on_skip: link` once made; the original keeps its own name."""
    out.mkdir()
    original = tmp_path / "film.mp4"
    original.write_bytes(OLD)
    os.link(original, out / "film.mp4")
    with Publication(
        os.fsencode(out), job=JOB, token=TOKEN, source=os.fsencode(original)
    ) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        publishing.publish(part, PublishTarget(path=b"film.mp4", replaces=(digest(OLD),)))
    assert tree(out) == {"film.mp4": NEW}
    assert original.read_bytes() == OLD


@pytest.fixture(params=["exchange", "no exchange"])
def exchanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no exchange":
        monkeypatch.setattr(rename, "_libc", object)


@pytest.mark.usefixtures("exchanging")
def test_an_own_earlier_output_is_replaced(out: Path, work: Path) -> None:
    out.mkdir()
    (out / "film.mp4").write_bytes(OLD)
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        publishing.publish(part, PublishTarget(path=b"film.mp4", replaces=(digest(OLD),)))
    assert tree(out) == {"film.mp4": NEW}


@pytest.mark.usefixtures("exchanging")
def test_an_own_earlier_package_is_replaced(out: Path, work: Path) -> None:
    (out / "film").mkdir(parents=True)
    (out / "film" / "stale.m4s").write_bytes(OLD)
    replaces = (content_of(os.fsencode(out / "film")).blake3,)
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "abr"), b"film")
        publishing.publish(part, PublishTarget(path=b"film", replaces=replaces))
    assert tree(out) == {"film/master.m3u8": b"#EXTM3U", "film/v0/1.m4s": NEW}


@pytest.mark.usefixtures("exchanging")
def test_a_file_that_takes_the_name_in_the_middle_survives(
    out: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.mkdir()
    (out / "film.mp4").write_bytes(OLD)
    real = publish_module._replace

    def intrude(place: rename.Place, final: rename.Place, before: publish_module.State) -> bool:
        (out / "film.mp4").unlink()
        (out / "film.mp4").write_bytes(b"somebody else's")
        return real(place, final, before)

    monkeypatch.setattr(publish_module, "_replace", intrude)
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        with pytest.raises(TargetExists):
            publishing.publish(part, PublishTarget(path=b"film.mp4", replaces=(digest(OLD),)))
    assert tree(out) == {"film.mp4": b"somebody else's"}


def test_a_former_attempts_own_output_is_adopted(out: Path, work: Path) -> None:
    out.mkdir()
    (out / "film.mp4").write_bytes(NEW)
    inode = (out / "film.mp4").stat().st_ino
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        output = publishing.publish(part, PublishTarget(path=b"film.mp4", replaces=(digest(NEW),)))
    assert output.blake3 == digest(NEW)
    assert (out / "film.mp4").stat().st_ino == inode
    assert tree(out) == {"film.mp4": NEW}


def test_what_is_not_published_goes_back(out: Path, work: Path) -> None:
    with publication(out) as publishing:
        publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        publishing.place(os.fsencode(work / "abr"), b"film")
    assert tree(out) == {}
    assert set(tree(work)) == {"film.mp4", "abr/master.m3u8", "abr/v0/1.m4s"}


def test_an_error_leaves_no_part(small_disk: Path, work: Path) -> None:
    (work / "big.mp4").write_bytes(bytes(2 << 20))
    said = r"no space left on .*: free 1\.0 MiB or choose another"
    with pytest.raises(StorageFull, match=said), publication(small_disk) as publishing:
        publishing.place(os.fsencode(work / "big.mp4"), b"big.mp4")
    assert tree(small_disk) == {}
    assert (work / "big.mp4").stat().st_size == 2 << 20


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_where_we_may_not_mount_one(
    out: Path, work: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The same by refusing in the system's place: another file system, and no space on it."""

    def refuse_with(refusal: int) -> Callable[..., None]:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(refusal, os.strerror(refusal))

        return refuse

    with publication(out) as publishing, monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse_with(errno.EXDEV))
        patch.setattr(os, "copy_file_range", refuse_with(code))
        with pytest.raises(StorageFull, match=r"no space left on .*: free 9\.8 KiB or choose"):
            publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
    assert tree(out) == {}


def test_a_disk_that_fills_up_in_the_middle(
    small_disk: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check before the copy saw room; the copy finds none."""
    (work / "big.mp4").write_bytes(bytes(2 << 20))
    monkeypatch.setattr(publish_module, "check_room", lambda *_: None)
    said = "no space left on"
    with pytest.raises(StorageFull, match=said), publication(small_disk) as publishing:
        publishing.place(os.fsencode(work / "big.mp4"), b"big.mp4")
    assert tree(small_disk) == {}


def test_cancel_leaves_no_part(out: Path, work: Path) -> None:
    cancel = CancelToken()
    with pytest.raises(Cancelled), publication(out, cancel) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        cancel.cancel()
        publishing.publish(part, PublishTarget(path=b"film.mp4"))
    assert tree(out) == {}


@pytest.mark.parametrize(
    "relative", [b"../film.mp4", b"/film.mp4", b"a//b", b"a/./b", b"a/..", b"", b"a/", b"a\0b"]
)
def test_a_path_that_could_lead_out_is_refused(out: Path, work: Path, relative: bytes) -> None:
    with publication(out) as publishing:
        with pytest.raises(StorageError, match="no name for an output"):
            publishing.place(os.fsencode(work / "film.mp4"), relative)
        part = publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")
        with pytest.raises(StorageError, match="no name for an output"):
            publishing.publish(part, PublishTarget(path=relative))


def test_a_link_in_the_destination_is_not_followed(out: Path, work: Path, tmp_path: Path) -> None:
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (out / "Series").symlink_to(tmp_path / "elsewhere")
    said = r"cannot write to .*Series"
    with publication(out) as publishing, pytest.raises(StorageError, match=said):
        publishing.place(os.fsencode(work / "film.mp4"), b"Series/film.mp4")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_destination_that_is_a_file(out: Path, work: Path) -> None:
    out.write_bytes(b"")
    with pytest.raises(StorageError, match="something of that name is in the way"):
        publication(out).__enter__()


def test_names_at_the_limit(out: Path, work: Path) -> None:
    name = b"\xff" * 255
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(work / "film.mp4"), name)
        publishing.publish(part, PublishTarget(path=name))
        with pytest.raises(StorageError, match="a name is too long"):
            publishing.place(os.fsencode(work / "abr"), b"x" * 256 + b"/film")
    assert os.listdir(os.fsencode(out)) == [name]


def test_a_package_with_a_link_in_it_is_refused(out: Path, work: Path) -> None:
    (work / "abr" / "v0" / "2.m4s").symlink_to("/etc/passwd")
    with publication(out) as publishing, pytest.raises(StorageError, match="no regular file"):
        publishing.place(os.fsencode(work / "abr"), b"film")
    assert tree(out) == {}


@pytest.mark.parametrize("hard_link", [False, True])
def test_an_earlier_output_is_used_again(out: Path, work: Path, hard_link: bool) -> None:
    source = work / "film.mp4"
    with publication(out) as publishing:
        part = publishing.link_or_copy(
            os.fsencode(source), b"again.mp4", hard_link=hard_link, expect=digest(NEW)
        )
        publishing.publish(part, PublishTarget(path=b"again.mp4"))
    assert tree(out) == {"again.mp4": NEW}
    assert source.read_bytes() == NEW
    assert os.path.samefile(source, out / "again.mp4") is hard_link


def test_a_package_is_used_again(out: Path, work: Path) -> None:
    with publication(out) as publishing:
        package = os.fsencode(work / "abr")
        expect = content_of(package).blake3
        part = publishing.link_or_copy(package, b"film", hard_link=False, expect=expect)
        publishing.publish(part, PublishTarget(path=b"film"))
    assert tree(out / "film") == tree(work / "abr")


def test_a_hard_link_across_file_systems_is_a_copy(small_disk: Path, work: Path) -> None:
    with publication(small_disk) as publishing:
        part = publishing.link_or_copy(
            os.fsencode(work / "film.mp4"), b"film.mp4", hard_link=True, expect=digest(NEW)
        )
        publishing.publish(part, PublishTarget(path=b"film.mp4"))
    assert tree(small_disk) == {"film.mp4": NEW}


def test_an_earlier_output_that_changed_or_went(out: Path, work: Path) -> None:
    ends = (("film.mp4", SourceChanged, "not what it was"), ("gone.mp4", SourceVanished, "there"))
    with publication(out) as publishing:
        for name, kind, said in ends:
            with pytest.raises(kind, match=said):
                publishing.link_or_copy(
                    os.fsencode(work / name), b"film.mp4", hard_link=True, expect=digest(OLD)
                )
    assert tree(out) == {}
    assert (work / "film.mp4").read_bytes() == NEW


def test_a_discarded_part_is_gone(out: Path, work: Path) -> None:
    with publication(out) as publishing:
        part = publishing.link_or_copy(
            os.fsencode(work / "film.mp4"), b"a.mp4", hard_link=False, expect=digest(NEW)
        )
        publishing.discard(part)
        assert os.listdir(out) == []


def test_read_only_and_forbidden_places_say_what_to_do(
    out: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code, said in (
        (30, "read-only; choose another"),
        (13, "give the user that runs the worker"),
    ):

        def refuse(*_: object, code: int = code, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        with publication(out) as publishing, monkeypatch.context() as patch:
            patch.setattr(os, "rename", refuse)
            with pytest.raises(StorageError, match=said):
                publishing.place(os.fsencode(work / "film.mp4"), b"film.mp4")


SEAMS = (
    "rename", "link", "unlink", "mkdir", "fsync", "open", "close", "write", "readv", "lstat",
    "copy_file_range", "rmdir",
)  # fmt: skip
CASES = ("new", "replace", "package", "replace package", "copy", "old file system")


def attempt(case: str, out: Path, work: Path) -> None:
    """One publication as a worker would do it."""
    package = "package" in case
    source = os.fsencode(work / ("abr" if package else "film.mp4"))
    name = b"Series/film" if package else b"Series/film.mp4"
    replaces: tuple[str, ...] = ()
    if os.path.lexists(out / os.fsdecode(name)) and case != "new":
        replaces = (content_of(os.fsencode(out / os.fsdecode(name))).blake3,)
    with publication(out) as publishing:
        if case == "copy":
            expect = content_of(source).blake3
            part = publishing.link_or_copy(source, name, hard_link=False, expect=expect)
        else:
            part = publishing.place(source, name)
        publishing.publish(part, PublishTarget(path=name, replaces=replaces))


def killed_at(step: int, case: str, out: Path, work: Path) -> bool:
    """Publish in a child that is gone, without cleaning up, at its n-th call; whether it was."""
    child = os.fork()
    if child == 0:
        ending = signal.SIGABRT
        try:
            left = [step]
            for name in SEAMS:

                def call(*args: object, real: object = getattr(os, name), **more: object) -> object:
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*args, **more)  # type: ignore[operator]

                setattr(os, name, call)
            if case == "old file system":
                rename._libc = object  # type: ignore[assignment]
            attempt(case, out, work)
            ending = signal.SIGTERM
        finally:
            os.kill(os.getpid(), ending)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (-signal.SIGTERM, -signal.SIGKILL)
    return code == -signal.SIGKILL


@pytest.mark.parametrize("case", CASES)
def test_kill_at_any_call_leaves_no_partial_file(
    case: str, out: Path, work: Path, tmp_path: Path
) -> None:
    """Then the reaper cleans up, and the next attempt publishes."""
    # In a small process: to fork this one at each call takes minutes once it has grown.
    words = [case, str(out), str(work), str(tmp_path / "kept")]
    program = "import sys; from test_storage_publish import check_kills; check_kills(*sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10, "calls"


def check_kills(case: str, at: str, source: str, kept: str) -> None:
    """Publish again and again, killed one call later each time; writes how many there were."""
    out, work = Path(at), Path(source)
    package = "package" in case
    whole = {"master.m3u8": b"#EXTM3U", "v0/1.m4s": NEW} if package else NEW
    older = {"stale.m4s": OLD} if package else OLD
    final = out / "Series" / ("film" if package else "film.mp4")
    shutil.copytree(work, kept)
    step = 0
    while True:
        step += 1
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(work)
        shutil.copytree(kept, work)
        (out / "Series").mkdir(parents=True)
        if "replace" in case or case == "old file system":
            if package:
                final.mkdir()
                (final / "stale.m4s").write_bytes(OLD)
            else:
                final.write_bytes(OLD)
        killed = killed_at(step, case, out, work)
        found = tree(final) if final.is_dir() else final.read_bytes() if final.exists() else None
        before = older if "replace" in case or case == "old file system" else None
        assert found in (whole, before), f"killed at call {step}"
        reap_parts(os.fsencode(out), (), older_than_s=-60)
        assert [path.name for path in out.rglob(".darkstream-*")] == []
        if not killed:
            break
        if found in (older, None):
            shutil.rmtree(work)
            shutil.copytree(kept, work)
            attempt(case, out, work)
        assert (tree(final) if package else final.read_bytes()) == whole
    sys.stdout.write(str(step))


def test_the_reaper_keeps_live_and_young_parts(out: Path) -> None:
    (out / "Series").mkdir(parents=True)
    names = [
        ".darkstream-1-1-0.part",
        ".darkstream-1-2-0.part",
        "Series/.darkstream-2-5-0.part",
        "Series/.darkstream-3-1-1.part",
    ]
    for name in names:
        (out / name).write_bytes(b"x")
    for name in ("film.mp4", ".darkstream-x.part", "Series/x.part"):
        (out / name).write_bytes(b"keep")
    (out / "Series" / ".darkstream-4-1-0.part").mkdir()
    (out / "Series" / ".darkstream-4-1-0.part" / "1.m4s").write_bytes(b"x")
    live = {(JobId(1), FencingToken(2)), (JobId(2), FencingToken(5))}
    assert reap_parts(os.fsencode(out), live) == ()
    shallow = reap_parts(os.fsencode(out), (), older_than_s=-60, deep=False)
    assert {os.path.basename(path) for path in shallow} == {
        b".darkstream-1-1-0.part",
        b".darkstream-1-2-0.part",
    }
    for name in names[:2]:
        (out / name).write_bytes(b"x")
    gone = reap_parts(os.fsencode(out), live, older_than_s=-60)
    assert {os.path.basename(path) for path in gone} == {
        b".darkstream-1-1-0.part",
        b".darkstream-3-1-1.part",
        b".darkstream-4-1-0.part",
    }
    assert set(tree(out)) == {
        ".darkstream-1-2-0.part",
        ".darkstream-x.part",
        "Series/.darkstream-2-5-0.part",
        "Series/x.part",
        "film.mp4",
    }


def test_work_directories_are_reaped(tmp_path: Path) -> None:
    held, left = (os.fsencode(tmp_path / name) for name in ("held", "left"))
    (tmp_path / "left").mkdir()
    (tmp_path / "a file").write_bytes(b"x")
    descriptor = occupy(held)
    assert descriptor is not None
    assert reap_work(os.fsencode(tmp_path)) == ()
    gone = reap_work(os.fsencode(tmp_path), lambda _path: -60)
    assert set(gone) == {left, os.fsencode(tmp_path / "a file")}
    assert os.listdir(tmp_path) == ["held"]  # an encode of days is not reaped
    os.close(descriptor)
    assert reap_work(os.fsencode(tmp_path), lambda _path: -60) == (held,)
    assert reap_work(os.fsencode(tmp_path / "none")) == ()

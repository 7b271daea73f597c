"""What may go wrong around a publication: former attempts, bad copies, races, other users."""

from __future__ import annotations

import errno
import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3
import pytest

from darkstream.errors import StorageError, StorageFull, TargetExists
from darkstream.model.base import FencingToken, JobId
from darkstream.model.job import PublishTarget
from darkstream.storage import publish as publish_module
from darkstream.storage import rename
from darkstream.storage.content import content_of
from darkstream.storage.parts import occupy
from darkstream.storage.publish import Publication

JOB, TOKEN = JobId(7), FencingToken(3)
NEW, OLD = b"new output" * 1000, b"old output" * 1000


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(NEW)
    return path


def publication(out: Path) -> Publication:
    return Publication(os.fsencode(out), job=JOB, token=TOKEN)


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_what_earlier_attempts_left_beside_the_name_goes(out: Path, film: Path) -> None:
    series = out / "Series"
    series.mkdir()
    (series / ".darkstream-7-2-0.part").write_bytes(b"a former attempt's")
    package = series / ".darkstream-7-1-0.part"
    (package / "v0").mkdir(parents=True)
    for kept in (".darkstream-8-1-0.part", ".darkstream-7-4-0.part"):
        (series / kept).write_bytes(b"another's")
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(film), b"Series/film.mp4")
        publishing.publish(part, PublishTarget(path=b"Series/film.mp4"))
    assert names(series) == [".darkstream-7-4-0.part", ".darkstream-8-1-0.part", "film.mp4"]


def test_a_file_where_a_directory_should_be_is_one_clear_line(out: Path, film: Path) -> None:
    (out / "Series").write_bytes(b"no directory")
    with publication(out) as publishing, pytest.raises(StorageError, match="choose another"):
        publishing.place(os.fsencode(film), b"Series/film.mp4")
    assert names(out) == ["Series"]
    assert film.read_bytes() == NEW


def test_a_path_nobody_could_open_is_refused(out: Path, film: Path) -> None:
    deep = b"/".join([b"d" * 200] * 21) + b"/film.mp4"
    with publication(out) as publishing, pytest.raises(StorageError, match="at most 4095"):
        publishing.place(os.fsencode(film), deep)
    assert names(out) == []


def test_a_copy_that_differs_is_not_published(
    out: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    def bad_copy(_source: bytes, target: rename.Place, *_: object, **__: object) -> None:
        flags = os.O_CREAT | os.O_WRONLY
        descriptor = os.open(target.name, flags, 0o666, dir_fd=target.directory)
        os.write(descriptor, NEW[:-1] + b"?")
        os.close(descriptor)

    monkeypatch.setattr(os, "rename", other_disk)
    monkeypatch.setattr(publish_module, "duplicate", bad_copy)
    with publication(out) as publishing, pytest.raises(StorageError, match="may be failing"):
        publishing.place(os.fsencode(film), b"film.mp4")
    assert names(out) == []


def _package(directory: Path, content: bytes) -> Path:
    directory.mkdir()
    (directory / "master.m3u8").write_bytes(content)
    return directory


def _without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise rename.Unsupported(errno.EINVAL, "no such rename")

    monkeypatch.setattr(publish_module, "exchange", unsupported)


@pytest.mark.parametrize("failure", [errno.EEXIST, errno.EIO])
def test_a_directory_that_stepped_aside_comes_back(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: int
) -> None:
    """Without an exchange of names, the earlier package is there again when its heir fails."""
    _without_exchange(monkeypatch)
    former = _package(out / "film.abr", OLD)
    target = PublishTarget(path=b"film.abr", replaces=(content_of(os.fsencode(former)).blake3,))
    real: Callable[..., None] = rename.rename_without_replacing
    calls: list[bytes] = []

    def failing(source: rename.Place, final: rename.Place) -> None:
        calls.append(final.name)
        if len(calls) == 3:  # taken; aside; the new one: it fails
            raise OSError(failure, os.strerror(failure))
        real(source, final)

    with publication(out) as publishing:
        part = publishing.place(os.fsencode(_package(tmp_path / "new", NEW)), b"film.abr")
        monkeypatch.setattr(publish_module, "rename_without_replacing", failing)
        expected = TargetExists if failure == errno.EEXIST else StorageError
        with pytest.raises(expected):
            publishing.publish(part, target)
    assert names(out) == ["film.abr"]
    assert (former / "master.m3u8").read_bytes() == OLD


def test_a_directory_is_replaced_without_an_exchange(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_exchange(monkeypatch)
    former = _package(out / "film.abr", OLD)
    target = PublishTarget(path=b"film.abr", replaces=(content_of(os.fsencode(former)).blake3,))
    with publication(out) as publishing:
        part = publishing.place(os.fsencode(_package(tmp_path / "new", NEW)), b"film.abr")
        publishing.publish(part, target)
    assert names(out) == ["film.abr"]
    assert (former / "master.m3u8").read_bytes() == NEW


@pytest.mark.parametrize("failure", [errno.ENOTEMPTY, errno.ENOTDIR])
def test_a_name_taken_in_the_moment_of_the_rename_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: int
) -> None:
    _package(tmp_path / "part", NEW)

    def late(*_: object, **__: object) -> None:
        raise OSError(failure, os.strerror(failure))

    monkeypatch.setattr(os, "rename", late)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            rename.link_and_unlink(
                rename.Place(descriptor, b"part"), rename.Place(descriptor, b"film.abr")
            )
    finally:
        os.close(descriptor)


def test_a_package_with_a_link_to_a_directory_is_not_ours(out: Path, tmp_path: Path) -> None:
    package = _package(tmp_path / "package", NEW)
    (package / "v0").symlink_to(out)
    with publication(out) as publishing, pytest.raises(StorageError, match="no regular file"):
        publishing.place(os.fsencode(package), b"film.abr")


def test_only_one_process_is_in_a_work_directory(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "work" / "x")
    first = occupy(path)
    assert first is not None
    assert occupy(path) is None
    os.close(first)
    second = occupy(path)
    assert second is not None
    os.close(second)


def test_a_work_directory_that_is_removed_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its former holder removes it after we opened it and before we have the lock."""
    import fcntl

    path = tmp_path / "x"
    real: Any = fcntl.flock

    def remove_first(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        path.rmdir()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    descriptor = occupy(os.fsencode(path))
    assert descriptor is not None
    assert os.path.samestat(os.fstat(descriptor), path.stat())
    os.close(descriptor)


def as_nobody(act: Callable[[], None]) -> None:
    """Do it in a child that may do nothing but what anybody may; its assertions are ours."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            act()
            code = 0
        except BaseException:  # noqa: BLE001 - this is a fork: nothing may return into pytest
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="as another user these modes would lock us out too")
@pytest.mark.parametrize("closed", ["", "Series"])
@pytest.mark.parametrize("mode", [0o555, 0o311, 0o000])
def test_a_forbidden_destination_says_what_to_do(
    out: Path, film: Path, closed: str, mode: int
) -> None:
    (out / "Series").mkdir()
    for directory in (*out.parents, out):
        if directory.stat().st_uid == 0 and len(directory.parts) > 2:
            directory.chmod(0o755)
    film.chmod(0o644)
    (out / closed).chmod(mode)

    def publish() -> None:
        with pytest.raises(StorageError) as told, publication(out) as publishing:
            publishing.link_or_copy(
                os.fsencode(film),
                b"Series/film.mp4" if closed else b"film.mp4",
                hard_link=False,
                expect=blake3.blake3(NEW).hexdigest(),
            )
        assert "give the user that runs the worker write access" in str(told.value)
        assert str(out) in str(told.value)

    as_nobody(publish)
    assert names(out / closed) == ([] if closed else ["Series"])


def test_a_disk_that_is_full_takes_no_directory(small_disk: Path, film: Path) -> None:
    """Full of names or of bytes: the line is the same, and nothing is left."""
    filler = small_disk / "filler"
    with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    with pytest.raises(StorageFull, match=r"free .* or choose another"):
        publish_into(small_disk / "Series", film)
    filler.unlink()
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    publish_into(small_disk / "Series", film)
    assert (small_disk / "Series" / "film.mp4").read_bytes() == NEW


def publish_into(directory: Path, film: Path) -> None:
    with publication(directory) as publishing:
        part = publishing.place(os.fsencode(film), b"film.mp4")
        publishing.publish(part, PublishTarget(path=b"film.mp4"))


def test_two_at_once_never_share_a_name(out: Path, tmp_path: Path) -> None:
    """Thirty attempts race for one name: each gets it or is told, and nothing is lost."""
    won: list[bytes] = []
    lost: list[TargetExists] = []

    def race(number: int) -> None:
        content = b"%d" % number * 1000
        source = tmp_path / f"work-{number}"
        source.write_bytes(content)
        with Publication(os.fsencode(out), job=JobId(number), token=TOKEN) as publishing:
            part = publishing.place(os.fsencode(source), b"film.mp4")
            try:
                publishing.publish(part, PublishTarget(path=b"film.mp4"))
                won.append(content)
            except TargetExists as error:
                lost.append(error)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(10, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 29)
    assert (out / "film.mp4").read_bytes() == won[0]
    assert names(out) == ["film.mp4"]

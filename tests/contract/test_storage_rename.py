"""One suite over every way to give a file its final name."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darkstream.errors import StorageError
from darkstream.storage import rename
from darkstream.storage.rename import (
    Place,
    Unsupported,
    exchange,
    link_and_unlink,
    rename_noreplace,
    rename_without_replacing,
)

Rename = Callable[[Place, Place], None]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["renameat2", "link and unlink", "whichever there is"])
def way(request: pytest.FixtureRequest, directory: int) -> Rename:
    ways: dict[str, Rename] = {
        "renameat2": rename_noreplace,
        "link and unlink": link_and_unlink,
        "whichever there is": rename_without_replacing,
    }
    if request.param == "renameat2":
        try:
            rename_noreplace(Place(directory, b"none"), Place(directory, b"other"))
        except Unsupported:
            pytest.skip("no renameat2 on this system or file system")
        except FileNotFoundError:
            pass
    return ways[request.param]


def test_a_free_name_is_given(way: Rename, directory: int, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"new")
    way(Place(directory, b"part"), Place(directory, b"final\xff"))
    assert os.listdir(os.fsencode(tmp_path)) == [b"final\xff"]
    with open(os.fsencode(tmp_path) + b"/final\xff", "rb") as file:
        assert file.read() == b"new"


@pytest.mark.parametrize("kind", ["file", "directory", "empty directory", "dangling link"])
@pytest.mark.parametrize("package", [False, True])
def test_a_taken_name_is_not_touched(
    way: Rename, directory: int, tmp_path: Path, kind: str, package: bool
) -> None:
    if package:
        (tmp_path / "part").mkdir()
        (tmp_path / "part" / "segment").write_bytes(b"new")
    else:
        (tmp_path / "part").write_bytes(b"new")
    final = tmp_path / "final"
    match kind:
        case "file":
            final.write_bytes(b"old")
        case "directory":
            final.mkdir()
            (final / "inner").write_bytes(b"old")
        case "empty directory":
            final.mkdir()
        case "dangling link":
            final.symlink_to("nowhere")
    before = final.lstat()
    with pytest.raises(FileExistsError):
        way(Place(directory, b"part"), Place(directory, b"final"))
    after = final.lstat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert (tmp_path / "part").exists()


def test_a_directory_gets_its_name(way: Rename, directory: int, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "segment").write_bytes(b"new")
    way(Place(directory, b"part"), Place(directory, b"final"))
    assert (tmp_path / "final" / "segment").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["final"]


def test_a_missing_part_is_an_error(way: Rename, directory: int) -> None:
    with pytest.raises(FileNotFoundError):
        way(Place(directory, b"none"), Place(directory, b"final"))


def test_exchange_swaps(directory: int, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").mkdir()
    exchange(Place(directory, b"one"), Place(directory, b"two"))
    assert (tmp_path / "one").is_dir()
    assert (tmp_path / "two").read_bytes() == b"1"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
def test_an_old_file_system_gets_the_fallback(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    class Libc:
        @staticmethod
        def renameat2(*_: object) -> int:
            ctypes.set_errno(code)
            return -1

    monkeypatch.setattr(rename, "_libc", Libc)
    (tmp_path / "part").write_bytes(b"new")
    (tmp_path / "taken").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        rename_without_replacing(Place(directory, b"part"), Place(directory, b"taken"))
    rename_without_replacing(Place(directory, b"part"), Place(directory, b"final"))
    assert (tmp_path / "final").read_bytes() == b"new"
    assert (tmp_path / "taken").read_bytes() == b"old"
    with pytest.raises(Unsupported):
        exchange(Place(directory, b"final"), Place(directory, b"taken"))


def test_a_system_without_the_call_gets_the_fallback(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rename, "_libc", object)
    (tmp_path / "part").write_bytes(b"new")
    rename_without_replacing(Place(directory, b"part"), Place(directory, b"final"))
    assert os.listdir(tmp_path) == ["final"]


def test_a_file_system_with_neither_is_refused(
    directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(rename, "_libc", object)
    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "part").write_bytes(b"new")
    with pytest.raises(StorageError, match="choose another destination"):
        rename_without_replacing(Place(directory, b"part"), Place(directory, b"final"))
    assert os.listdir(tmp_path) == ["part"]

"""Which files an analysis is of, and what is said of those that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from darkstream.errors import Cancelled
from darkstream.library import directory as directory_module
from darkstream.model.analysis import Analysis
from darkstream.observe.cancel import CancelToken
from darkstream.stages.analyse import find_files
from darkstream.stages.analyses import find_all


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    """Two films, and a third in a folder that nobody may look into."""
    for name in ("a.mkv", "shut/b.mkv", "z/c.mkv"):
        film = tmp_path / name
        film.parent.mkdir(exist_ok=True)
        film.touch()
    return os.fsencode(tmp_path)


def _shut(monkeypatch: pytest.MonkeyPatch) -> None:
    real = directory_module.open_directory

    def refuse(top: int, path: bytes) -> int:
        if path == b"shut":
            raise PermissionError(13, "Permission denied")
        return real(top, path)

    monkeypatch.setattr("darkstream.library.walk.open_directory", refuse)


def test_a_folder_in_it_that_cannot_be_read_is_a_result(
    root: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _shut(monkeypatch)
    first, shut, last = find_files(root)
    assert (first, last) == (root + b"/a.mkv", root + b"/z/c.mkv")
    assert isinstance(shut, Analysis)
    assert (shut.status, shut.source) == ("failed", os.fsdecode(root) + "/shut")
    assert shut.reason is not None
    assert shut.reason.startswith("the directory cannot be read: permission denied; give the user")


def test_a_folder_that_cannot_be_read_itself_is_a_result(
    root: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("darkstream.library.walk.open_directory", refuse)
    (shut,) = find_files(root)
    assert isinstance(shut, Analysis)
    assert (shut.status, shut.source) == ("failed", os.fsdecode(root))
    assert "permission denied" in (shut.reason or "")


def test_links_and_what_was_never_a_source_are_passed_over(root: bytes) -> None:
    os.symlink(b"a.mkv", root + b"/link.mkv")
    os.mkfifo(root + b"/pipe.mkv")
    names = [root + b"/" + name for name in (b"a.mkv", b"shut/b.mkv", b"z/c.mkv")]
    assert list(find_files(root)) == names


def test_a_walk_over_nothing_but_folders_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}").mkdir()
    real, cancel = directory_module.open_directory, CancelToken()
    met: list[bytes] = []

    def look(top: int, path: bytes) -> int:
        met.append(path)
        if path == b"03":
            cancel.cancel(Cancelled("it was forgotten"))
        return real(top, path)

    monkeypatch.setattr("darkstream.library.walk.open_directory", look)
    with pytest.raises(Cancelled, match="it was forgotten"):
        find_all((os.fsencode(tmp_path),), cancel)
    assert met == [b"", b"00", b"01", b"02", b"03"]

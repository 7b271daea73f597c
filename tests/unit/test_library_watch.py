"""Watching a real directory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from darkstream.errors import StorageError
from darkstream.library.watch import _Pause, is_visible, watch
from darkstream.observe.cancel import CancelToken


@contextmanager
def watching(root: Path, called: threading.Semaphore) -> Iterator[None]:
    cancel = CancelToken()
    thread = threading.Thread(
        target=watch, args=(os.fsencode(root), called.release, cancel), kwargs={"quiet_s": 0.2}
    )
    thread.start()
    try:
        yield
    finally:
        cancel.cancel()
        thread.join(10)
    assert not thread.is_alive()


def test_a_new_file_calls_back(root: Path) -> None:
    called = threading.Semaphore(0)
    with watching(root, called):
        for number in range(100):  # the watch begins at an unknown moment
            (root / f"{number}.mkv").write_bytes(b"x")
            if called.acquire(timeout=0.5):
                return
    pytest.fail("never called back")


@pytest.mark.parametrize(
    ("path", "visible"),
    [
        ("/films/a.mkv", True),
        ("/films/one/a.mkv", True),
        ("/films/.darkstream-1-2-0.part", False),
        ("/films/.git/a.mkv", False),
    ],
)
def test_hidden_names_do_not_count(path: str, visible: bool) -> None:
    assert is_visible(path, "/films") is visible


def test_a_root_below_a_hidden_directory_is_visible() -> None:
    assert is_visible("/home/.films/a.mkv", "/home/.films")


def test_changes_are_gathered_until_they_pause() -> None:
    pause = _Pause(quiet_s=5.0, longest_s=12.0)
    change: set[object] = {object()}
    calls = [
        second
        for second in range(60)
        if pause.over(float(second), change if second in {1, 3, 5} else set())  # type: ignore[arg-type]
    ]
    assert calls == [10]


def test_changes_without_a_pause_are_told_in_the_end() -> None:
    pause = _Pause(quiet_s=5.0, longest_s=12.0)
    change: set[object] = {object()}
    calls = [second for second in range(40) if pause.over(float(second), change)]  # type: ignore[arg-type]
    assert calls == [12, 25, 38]


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="use a schedule"):
        watch(os.fsencode(tmp_path / "nowhere"), lambda: None, CancelToken())


def test_a_root_whose_name_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not UTF-8"):
        watch(os.fsencode(tmp_path) + b"/\xff", lambda: None, CancelToken())

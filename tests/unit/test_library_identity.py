"""Hints, samples, whole hashes, and whether a file is complete."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import blake3
import pytest
from fixtures_library import scan_order

from darkstream.errors import (
    Cancelled,
    ProcessFailed,
    SourceChanged,
    SourceRejected,
    SourceUnreadable,
    SourceVanished,
    StorageError,
)
from darkstream.library import identity
from darkstream.library.identity import (
    check_unchanged,
    identify,
    sample,
    stat_hint,
    unchanged,
)
from darkstream.library.outputs import missing_outputs
from darkstream.library.settling import Settling, settle, settled
from darkstream.observe.cancel import CancelToken

KIB = 1024


def write(path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    return os.fsencode(path)


def test_identify_hashes_every_byte(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * KIB + 17)
    path = write(tmp_path / "film.mkv", content)
    found = identify(path)
    assert found.content == blake3.blake3(content).hexdigest()
    assert found.sample == sample(path)
    assert found.seconds > 0


def test_identify_knows_an_empty_file(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", b"")
    assert identify(path).content == blake3.blake3().hexdigest()


@pytest.mark.parametrize(
    ("offset", "seen"),
    [(0, True), (100 * KIB, False), (512 * KIB, True), (1024 * KIB - 1, True)],
)
def test_a_sample_sees_start_middle_and_end(tmp_path: Path, offset: int, seen: bool) -> None:
    content = bytearray(1024 * KIB)
    path = write(tmp_path / "film.mkv", bytes(content))
    before = sample(path)
    content[offset] ^= 1
    write(tmp_path / "film.mkv", bytes(content))
    assert (sample(path) != before) is seen


def test_a_sample_sees_the_size(tmp_path: Path) -> None:
    one = write(tmp_path / "one.mkv", bytes(300 * KIB))
    two = write(tmp_path / "two.mkv", bytes(301 * KIB))
    assert sample(one) != sample(two)
    assert len(sample(one)) == 16


def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "film.mkv", b"12345")
    real = identity._content

    def write_meanwhile(descriptor: int, cancel: CancelToken) -> str:
        found = real(descriptor, cancel)
        write(tmp_path / "film.mkv", b"123456")
        return found

    monkeypatch.setattr(identity, "_content", write_meanwhile)
    with pytest.raises(SourceChanged, match=r"film\.mkv changed while it was read"):
        identify(path)


def test_cancel_ends_a_hash(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", b"12345")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        identify(path, cancel)


def test_errors_are_one_clear_line(tmp_path: Path) -> None:
    gone = os.fsencode(tmp_path / "gone\n.mkv")
    with pytest.raises(SourceVanished, match=r"gone\\n\.mkv is no longer there$"):
        stat_hint(gone)
    with pytest.raises(SourceVanished):
        sample(gone)
    with pytest.raises(SourceUnreadable, match="no regular file"):
        identify(os.fsencode(tmp_path))


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mkv")
    with pytest.raises(SourceUnreadable, match="no regular file"):
        sample(os.fsencode(tmp_path / "pipe.mkv"))


def test_permission_denied_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SourceUnreadable) as caught:
        sample(b"/films/x.mkv")
    assert str(caught.value) == (
        "cannot read /films/x.mkv: permission denied; "
        "give the user that runs the worker read access"
    )


def test_check_unchanged(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", b"1")
    hint = stat_hint(path)
    check_unchanged(path, hint)
    write(tmp_path / "film.mkv", b"22")
    with pytest.raises(SourceChanged):
        check_unchanged(path, hint)


class Waits(CancelToken):
    """Counts the waits, and does something in the middle of each."""

    def __init__(self, meanwhile: object = None) -> None:
        super().__init__()
        self.waited: list[float] = []
        self.meanwhile = meanwhile

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        if callable(self.meanwhile):
            self.meanwhile()
        return self.cancelled


def test_many_files_settle_in_one_wait(tmp_path: Path) -> None:
    files = [
        (path, stat_hint(path))
        for path in (write(tmp_path / f"{number}.mkv", b"1") for number in range(5))
    ]

    def meanwhile() -> None:
        (tmp_path / "1.mkv").write_bytes(b"22")
        (tmp_path / "2.mkv").unlink()

    token = Waits(meanwhile)
    states = settle(files, 60.0, token)
    assert states == [
        Settling.settled,
        Settling.growing,
        Settling.vanished,
        Settling.settled,
        Settling.settled,
    ]
    assert len(token.waited) == 1
    assert 50 < token.waited[0] <= 60


def test_a_file_that_was_still_long_enough_is_not_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", b"1")
    hint = stat_hint(path)
    deadline = time.monotonic() + 10
    while time.time() - hint.ctime_ns / 1e9 < 0.05 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    token = Waits()
    assert settled(path, hint, 0.05, token)
    assert token.waited == []


def test_a_file_that_changed_since_its_hint_is_growing_without_a_wait(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", b"1")
    hint = stat_hint(path)
    write(tmp_path / "film.mkv", b"22")
    token = Waits()
    assert not settled(path, hint, 60.0, token)
    assert token.waited == []


def test_a_clock_ahead_of_ours_is_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "film.mkv", b"1")
    hint = stat_hint(path)
    monkeypatch.setattr(time, "time", lambda: hint.ctime_ns / 1e9 - 3600)
    token = Waits()
    assert settled(path, hint, 2.0, token)
    assert token.waited == [2.0]


def test_cancel_ends_the_wait(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", b"1")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        settled(path, stat_hint(path), 60.0, cancel)


def test_missing_outputs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mp4").write_bytes(b"")
    outputs = (
        (b"b.mkv", b"b.mp4"),
        (b"a.mkv", b"a.mp4"),
        (b"c.mkv", b"a.mp4/c.mp4"),
        (b"b.mkv", b"b.txt"),
    )
    assert missing_outputs(scan_order(tmp_path, out, outputs=outputs)) == (b"b.mkv", b"c.mkv")


def test_a_destination_that_is_gone_as_a_whole_is_an_unmounted_disk(tmp_path: Path) -> None:
    """A whole library must not be converted again because a disk was not there."""
    outputs = ((b"a.mkv", b"a.mp4"),)
    with pytest.raises(SourceUnreadable, match="is its disk mounted"):
        missing_outputs(scan_order(tmp_path, tmp_path / "out", outputs=outputs))
    assert missing_outputs(scan_order(tmp_path, tmp_path / "out")) == ()
    (tmp_path / "out").mkdir()  # as the line says: the user means it
    assert missing_outputs(scan_order(tmp_path, tmp_path / "out", outputs=outputs)) == (b"a.mkv",)


def test_an_error_is_only_believed_of_a_file_that_stayed(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", b"1")
    hint = stat_hint(path)
    with unchanged(path, hint):
        pass
    with pytest.raises(SourceRejected), unchanged(path, hint):
        raise SourceRejected("no film")
    (tmp_path / "other").write_bytes(b"1")
    os.replace(tmp_path / "other", tmp_path / "film.mkv")  # same bytes, another file
    for error in (SourceRejected("no film"), StorageError("full"), ProcessFailed):
        with pytest.raises(SourceChanged), unchanged(path, hint):
            if isinstance(error, type):
                raise error("ffmpeg failed", argv=[b"ffmpeg"], code=1, stderr="")
            raise error
    with pytest.raises(SourceChanged), unchanged(path, hint):
        pass
    with pytest.raises(Cancelled), unchanged(path, hint):
        raise Cancelled("by the user")

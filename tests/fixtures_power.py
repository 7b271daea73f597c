"""A machine that loses its power before or after any of the system calls of what is tested."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from darkstream.storage import rename
from darkstream.storage.rename import Place

_Note = Callable[[], None]
_numbers = count()

_LOOKS = ("read", "readv", "lstat", "stat", "fstat", "listxattr", "getxattr", "statvfs", "access")
_CHANGES = (
    *("open", "write", "fsync", "rename", "link", "unlink", "mkdir", "rmdir", "copy_file_range"),
    *("fchmod", "fchown", "utime", "setxattr", "removexattr"),
)


class PowerLoss(BaseException):
    """Nothing of the program runs after it."""


class Power:
    """Counts system calls and fails at one of them; from then on none is done any more.

    With `forgetful` what was not synced is lost: bytes of files, and names in directories.
    """

    def __init__(self, trash: Path, *, forgetful: bool = False) -> None:
        self.calls: list[str] = []
        self._trash = trash
        self._forgetful = forgetful
        self._fails_at: int | None = None
        self._after = False
        self._gone = False
        self._unsynced: list[tuple[set[int], Callable[[], None]]] = []
        self._unwritten: dict[int, int] = {}
        self._descriptors: list[int] = []
        self.lacks_renames = False
        """Whether the file system has neither RENAME_NOREPLACE nor RENAME_EXCHANGE."""

    def fail_at(self, call: int, *, after: bool) -> None:
        self._fails_at, self._after = call, after

    @contextmanager
    def on(self) -> Iterator[None]:
        """Run what is tested; a loss of power ends it."""
        with pytest.MonkeyPatch.context() as patch:
            self._real = {name: getattr(os, name) for name in (*_LOOKS, *_CHANGES)}
            for name, call in self._real.items():
                patch.setattr(os, name, self._watched(name, call))
            self._real["renameat2"] = rename._renameat2
            patch.setattr(rename, "_renameat2", self._watched("renameat2", rename._renameat2))
            patch.setattr(fcntl, "flock", self._watched("flock", fcntl.flock))
            with suppress(PowerLoss):
                yield
        if self._gone and self._forgetful:
            self._forget()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        self._gone, self._fails_at = False, None

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **options: Any) -> Any:
            if self._gone:
                raise PowerLoss
            number = len(self.calls)
            self.calls.append(name)
            if number == self._fails_at and not self._after:
                self._lose()
            note = self._note(name, args, options) if self._forgetful else None
            if name == "renameat2" and self.lacks_renames:
                raise rename.Unsupported(errno.EINVAL, "no such rename")
            answer = call(*args, **options)
            if note is not None:
                note()
            if number == self._fails_at:
                self._lose()
            return answer

        return watched

    def _lose(self) -> None:
        self._gone = True
        raise PowerLoss

    # What a disk that was not synced forgets

    def _note(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> _Note | None:
        """What is to be remembered of a call once it is done."""
        if name == "fsync":
            self._synced(self._real["fstat"](args[0]).st_ino)
        elif name in ("write", "copy_file_range"):
            into = args[0] if name == "write" else args[1]
            number = self._real["fstat"](into).st_ino
            if number not in self._unwritten:
                self._unwritten[number] = os.dup(into)
        elif name == "rmdir":
            found = self._real["stat"](args[0], dir_fd=options["dir_fd"])
            return lambda: self._synced(found.st_ino)
        elif name in ("rename", "renameat2", "link", "unlink", "mkdir", "open"):
            notes = {"renameat2": self._note_renameat2, "rename": self._note_rename}
            return notes.get(name, self._note_name)(name, args, options)
        return None

    def _note_name(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> _Note | None:
        real = self._real
        path = args[1] if name == "link" else args[0]
        at = self._keep(options.get("dst_dir_fd" if name == "link" else "dir_fd"))
        if at is None:
            return None
        if name == "open" and (not args[1] & os.O_CREAT or self._is_there(path, at)):
            return None
        if name == "unlink":
            copy = self._save(path, at)
            return self._undo([at], lambda: real["rename"](copy, path, dst_dir_fd=at))
        undo = real["rmdir" if name == "mkdir" else "unlink"]
        return self._undo([at], lambda: undo(path, dir_fd=at))

    def _note_rename(self, _name: str, args: tuple[Any, ...], options: dict[str, Any]) -> _Note:
        source, target = self._keep(options.get("src_dir_fd")), self._keep(options["dst_dir_fd"])
        return self._note_move((source, args[0]), (target, args[1]))

    def _note_renameat2(self, _name: str, args: tuple[Any, ...], _options: object) -> _Note:
        source = Place(self._keep(args[0].directory) or 0, args[0].name)
        target = Place(self._keep(args[1].directory) or 0, args[1].name)
        if args[2] == rename._EXCHANGE:
            swap = self._real["renameat2"]
            at = [source.directory, target.directory]
            return self._undo(at, lambda: swap(source, target, rename._EXCHANGE))
        pair = (source.directory, source.name), (target.directory, target.name)
        return self._note_move(*pair)

    def _note_move(
        self, source: tuple[int | None, bytes], target: tuple[int | None, bytes]
    ) -> _Note:
        move = self._real["rename"]
        (above, old), (below, new) = source, target
        copy = self._save(new, below) if self._is_there(new, below) else None

        def back() -> None:
            move(new, old, src_dir_fd=below, dst_dir_fd=above)
            if copy is not None:
                move(copy, new, dst_dir_fd=below)

        return self._undo([above, below], back)

    def _undo(self, directories: list[int | None], undo: Callable[[], None]) -> _Note:
        numbers = {self._real["fstat"](one).st_ino for one in directories if one is not None}
        return lambda: self._unsynced.append((numbers, undo))

    def _keep(self, directory: int | None) -> int | None:
        """The descriptor for after the program's end."""
        if directory is None:
            return None
        self._descriptors.append(os.dup(directory))
        return self._descriptors[-1]

    def _is_there(self, path: bytes, at: int | None) -> bool:
        try:
            self._real["lstat"](path, dir_fd=at)
        except FileNotFoundError:
            return False
        return True

    def _save(self, path: bytes, at: int | None) -> bytes:
        copy = os.fsencode(self._trash / str(next(_numbers)))
        self._real["link"](path, copy, src_dir_fd=at, follow_symlinks=False)
        return copy

    def _synced(self, number: int) -> None:
        if (copy := self._unwritten.pop(number, None)) is not None:
            os.close(copy)
        for numbers, _ in self._unsynced:
            numbers.discard(number)
        self._unsynced = [one for one in self._unsynced if one[0]]

    def _forget(self) -> None:
        for copy in self._unwritten.values():
            os.ftruncate(copy, 0)
            os.close(copy)
        self._unwritten.clear()
        for _, undo in reversed(self._unsynced):
            undo()
        self._unsynced.clear()


def bytes_of(top: Path) -> dict[str, bytes]:
    """Every regular file below a directory, by its relative path."""
    return {
        os.fsdecode(os.path.relpath(path, top)): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if stat.S_ISREG(path.lstat().st_mode)
    }

"""The walk of a library: what differs from what is known, in path order; no file is opened.

Memory holds one directory's entries, the directories still to read, and the known digests.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from darkstream.errors import NoSuchPath, SourceUnreadable
from darkstream.library import irregular
from darkstream.library.directory import Contents, Row, digest, open_directory, read
from darkstream.library.filters import Filter
from darkstream.library.irregular import Irregular, join
from darkstream.library.oddities import Oddities
from darkstream.model.library import DirectoryListing, Entry, ScanOrder
from darkstream.model.paths import display
from darkstream.model.source import ChangeHint
from darkstream.observe.cancel import CancelToken


@dataclass(frozen=True, slots=True)
class Same:
    """A directory whose digest is the known one."""

    path: bytes
    files: int


@dataclass(frozen=True, slots=True)
class Differs:
    """A directory that is new, or in which something was touched, came or went."""

    listing: DirectoryListing


Met: TypeAlias = Same | Differs | Irregular


class Walk:
    """Iterate it once; `vanished` is complete when the iteration ends.

    Directories come in path order; entries that are no regular files come before their directory.
    Hidden names, part files among them, are ignored. Raises NoSuchPath and SourceUnreadable for the
    root itself, and what `cancel` was given.
    """

    def __init__(self, order: ScanOrder, cancel: CancelToken | None = None) -> None:
        self.met = 0
        """Regular files that the filters let through."""
        self.ignored = 0
        self.unchanged = 0
        """Files in directories that are the same."""
        self.vanished: tuple[bytes, ...] = ()
        """Known directories that are no longer there; never those that could not be read."""
        self._root = order.library.root
        self._filter = Filter(order.library.include, order.library.exclude)
        self._known = {known.path: known.digest for known in order.directories}
        self._destination = order.library.destination
        self._cancel = cancel or CancelToken()
        self._unreadable: set[bytes] = set()
        self._oddities = Oddities(self._root, self._destination, self._filter)

    def __iter__(self) -> Iterator[Met]:
        """Walk."""
        root = _open_root(self._root)
        try:
            yield from self._descend(root)
        finally:
            os.close(root)
        self.vanished = tuple(sorted(path for path in self._known if not self._out_of_sight(path)))

    def _descend(self, root: int) -> Iterator[Met]:
        excluded = self._excluded(root)
        pending = [b""]
        while pending:
            self._cancel.check()
            path = pending.pop()
            try:
                contents = self._read(root, path, excluded)
            except OSError as error:
                yield from self._fail(path, error)
                continue
            if contents is not None:
                self._check_mounted(path, contents)
                yield from contents.irregular
                yield self._compare(path, contents)
                pending.extend(self._below(path, contents))

    def _read(self, root: int, path: bytes, excluded: tuple[int, int] | None) -> Contents | None:
        """One directory; None for the destination, which holds no sources."""
        descriptor = open_directory(root, path)
        try:
            found = os.fstat(descriptor)
            if path and (found.st_dev, found.st_ino) == excluded:
                return None
            contents = read(descriptor, path, self._filter)
            self._oddities.describe(descriptor, path, contents)
            return contents
        finally:
            os.close(descriptor)

    def _below(self, path: bytes, contents: Contents) -> list[bytes]:
        """The directories to read next, last first; in the order of what is below them."""
        names = sorted(contents.directories, key=lambda name: name + b"/", reverse=True)
        paths = (join(path, name) for name in names)
        return [below for below in paths if not self._filter.closes(below)]

    def _compare(self, path: bytes, contents: Contents) -> Same | Differs:
        rows = sorted(contents.rows)
        now = digest(rows)
        self.met += len(rows)
        self.ignored += contents.ignored
        if self._known.pop(path, None) == now:
            self.unchanged += len(rows)
            return Same(path, len(rows))
        return Differs(DirectoryListing(path=path, digest=now, entries=tuple(map(_entry, rows))))

    def _fail(self, path: bytes, error: OSError) -> Iterator[Irregular]:
        """A directory that cannot be read is a line; one that is gone is only no longer there."""
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) and path:
            return
        if not path:
            raise SourceUnreadable(_root_unreadable(self._root, error)) from error
        self._unreadable.add(path)
        yield irregular.unreadable_directory(path, error)

    def _out_of_sight(self, path: bytes) -> bool:
        while path:
            if path in self._unreadable:
                return True
            path = path.rpartition(b"/")[0]
        return False

    def _excluded(self, root: int) -> tuple[int, int] | None:
        """Device and inode of the destination, where it is not the root itself."""
        try:
            found = os.stat(self._destination)
        except OSError:
            return None  # not made yet, so that nothing of it can be met
        mine = os.fstat(root)
        identity = (found.st_dev, found.st_ino)
        return None if identity == (mine.st_dev, mine.st_ino) else identity

    def _check_mounted(self, path: bytes, contents: Contents) -> None:
        if path == b"" and contents.empty and any(self._known):
            raise SourceUnreadable(
                f"{display(self._root)} is empty, but the last scan found directories in it; "
                "is its disk mounted? If it is meant to be empty, remove the library"
            )


def _entry(row: Row) -> Entry:
    name, size, mtime_ns, ctime_ns, inode = row
    hint = ChangeHint.model_construct(size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, inode=inode)
    return Entry.model_construct(name=name, hint=hint)


def _open_root(root: bytes) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchPath(
            f"{display(root)} is no directory here; is its disk mounted on this machine?"
        ) from error
    except OSError as error:
        raise SourceUnreadable(_root_unreadable(root, error)) from error


def _root_unreadable(root: bytes, error: OSError) -> str:
    return f"cannot read {display(root)}: {irregular.cause(error)}"

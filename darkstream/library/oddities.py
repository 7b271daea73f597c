"""What lies in a library and is no source: special files, links, names and paths that mislead."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from darkstream.library import irregular
from darkstream.library.directory import Contents
from darkstream.library.filters import Filter
from darkstream.library.irregular import Irregular, below, join
from darkstream.model.library import MEDIA_PATTERNS
from darkstream.model.paths import display

_PATH_MAX = 4095  # bytes Linux takes in one path, without the final NUL
_MEDIA = Filter(MEDIA_PATTERNS)


class Oddities:
    """Says of every odd entry of a library why it is left out; root and destination absolute."""

    def __init__(self, root: bytes, destination: bytes, admit: Filter) -> None:
        self._root = root
        self._filter = admit
        self._real_root = os.path.realpath(root)
        self._real_destination = os.path.realpath(destination)

    def describe(self, descriptor: int, path: bytes, contents: Contents) -> None:
        """Fill `contents.irregular`; rows that cannot be opened by their path move there too."""
        found = [Irregular(join(path, name), irregular.GONE) for name in contents.gone]
        found += self._like_files(path, contents.directories)
        for name in contents.odd:
            if reason := self._reason(descriptor, path, name):
                found.append(Irregular(join(path, name), reason))
            else:
                contents.ignored += 1
        found += self._beyond_reach(path, contents)
        contents.irregular = sorted(found, key=lambda one: one.path)

    def _like_files(self, path: bytes, names: list[bytes]) -> Iterator[Irregular]:
        for name in names:
            text = os.fsdecode(name)
            if self._filter.admits(text, path) and (_MEDIA.names(text) or self._filter.names(text)):
                yield Irregular(join(path, name), irregular.DIRECTORY_LIKE_A_FILE)

    def _beyond_reach(self, path: bytes, contents: Contents) -> Iterator[Irregular]:
        directory = len(join(join(self._root, path), b""))
        if directory + 255 <= _PATH_MAX:
            return
        for row in [row for row in contents.rows if directory + len(row[0]) > _PATH_MAX]:
            contents.rows.remove(row)
            reason = irregular.too_long(directory + len(row[0]), _PATH_MAX)
            yield Irregular(join(path, row[0]), reason, row[1], unreadable=True)

    def _reason(self, descriptor: int, path: bytes, name: bytes) -> str | None:
        """Why an entry that is neither file nor directory is left out; None: nobody misses it."""
        try:
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            if not stat.S_ISLNK(mode):
                return irregular.special(mode)
            target = os.readlink(name, dir_fd=descriptor)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINVAL):  # gone, or no link any more
                return irregular.GONE
            raise
        wanted = self._filter.admits(os.fsdecode(name), path)
        try:
            mode = os.stat(name, dir_fd=descriptor).st_mode
        except OSError as error:
            return _broken_link(target, error) if wanted else None
        return self._leads_to(mode, join(path, name), target, wanted=wanted)

    def _leads_to(self, mode: int, link: bytes, target: bytes, *, wanted: bool) -> str | None:
        if stat.S_ISDIR(mode):
            return irregular.to_directory(target)
        if not wanted:
            return None
        if not stat.S_ISREG(mode):
            return f"a link to {irregular.special(mode)}"
        return self._link_to_file(link, target)

    def _link_to_file(self, link: bytes, target: bytes) -> str:
        relative = below(os.path.realpath(join(self._root, link)), self._real_root)
        if relative is None:
            return irregular.escaping(target)
        return irregular.inside(target, converted=self._belongs(relative))

    def _belongs(self, relative: bytes) -> bool:
        """Whether a file of the library is a source itself."""
        if self._real_destination != self._real_root and below(
            join(self._real_root, relative), self._real_destination
        ):
            return False
        directory, _, name = relative.rpartition(b"/")
        visible = not any(part.startswith(b".") for part in relative.split(b"/"))
        return visible and self._filter.admits(os.fsdecode(name), directory)


def _broken_link(target: bytes, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return irregular.looping(target)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return irregular.dangling(target)
    return f"a link to {display(target)}, which cannot be read: {irregular.cause(error)}"

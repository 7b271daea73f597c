"""Publishing: work becomes a part file beside its final name, then gets that name, or nothing does.

At no moment is a partial file under a final name, and nothing foreign is ever overwritten: not in
an error, not in a crash. What a crash leaves are part files, which `parts.reap_parts` removes.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

import structlog

from darkstream.errors import (
    SourceChanged,
    SourceUnreadable,
    SourceVanished,
    StorageError,
    TargetExists,
)
from darkstream.model.base import FencingToken, JobId
from darkstream.model.job import OutputFile, PublishTarget
from darkstream.model.paths import display
from darkstream.observe.cancel import CancelToken
from darkstream.storage.content import content_of, sync_tree
from darkstream.storage.destination import Destination, split, sync_directory
from darkstream.storage.duplicate import duplicate, total_size
from darkstream.storage.faults import check_room, storage_faults
from darkstream.storage.parts import Part, part_name, remove, sweep
from darkstream.storage.rename import Place, Unsupported, exchange, rename_without_replacing

log = structlog.get_logger(__name__)

_PATH_MAX = 4095
"""Bytes Linux takes in one path, without the final NUL."""


class Publication:
    """One attempt's way to publish; a context: at its end no part file of it is left.

    What was moved from the work directory and not published goes back there, so that the step can
    be tried again. `source` is the original, which is never replaced or taken for an output,
    whatever the server has on record. Raises StorageFull, StorageError, and what `cancel` was
    given.
    """

    def __init__(
        self,
        destination: bytes,
        *,
        job: JobId,
        token: FencingToken,
        source: bytes | None = None,
        cancel: CancelToken | None = None,
    ) -> None:
        self._source = source
        self._path = destination
        self._job = job
        self._token = token
        self._cancel = cancel or CancelToken()
        self._stack = ExitStack()
        self._count = 0
        self._pending: dict[Place, bytes | None] = {}
        """Part files not yet published, and where they were moved from."""

    def __enter__(self) -> Self:
        """Open the destination, made if missing."""
        self._destination = self._stack.enter_context(Destination(self._path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put back or remove what was not published."""
        with self._stack:
            for place in list(self._pending):
                self._take_back(place)

    def place(self, work: bytes, relative: bytes) -> Part:
        """Move a finished file or directory beside the final name `relative`, and make it durable.

        On another file system it is copied and compared, and the work stays.
        """
        directory, place = self._new_part(relative)
        needed = total_size(work)
        with storage_faults(self._path, needed):
            try:
                os.rename(work, place.name, dst_dir_fd=place.directory)
                self._pending[place] = work
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                check_room(place.directory, self._path, needed)
                duplicate(work, place, self._cancel, hard_link=False)
                part = self._finish(directory, place)
                self._compare(part, work)
                return part
            return self._finish(directory, place)

    def link_or_copy(
        self,
        source: bytes,
        relative: bytes,
        *,
        hard_link: bool,
        expect: str,
    ) -> Part:
        """Make a part file of a file that stays where it is: an earlier output, or a source.

        Shares blocks where the file system can; is a hard link only if `hard_link` says so; else a
        copy. Raises SourceVanished, SourceUnreadable, and SourceChanged where its blake3 is not
        `expect`.
        """
        directory, place = self._new_part(relative)
        try:
            needed = total_size(source)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceVanished(f"{display(source)} is no longer there") from error
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise SourceUnreadable(f"cannot read {display(source)}: {said}") from error
        with storage_faults(self._path, needed):
            duplicate(source, place, self._cancel, hard_link=hard_link)
            part = self._finish(directory, place)
        if part.blake3 != expect:
            self._take_back(place)
            raise SourceChanged(f"{display(source)} is not what it was")
        return part

    def publish(self, part: Part, target: PublishTarget) -> OutputFile:
        """Give a part its final name, durable when this returns.

        Something at that name is replaced only if it is one of the source's own earlier outputs, by
        blake3 (`target.replaces`); if it is this very output already, it is adopted. Raises
        TargetExists for anything else there: nothing was overwritten, the part waits for another
        name.
        """
        directory, name = self._split(target.path)
        final = Place(self._destination.directory(directory), name)
        place = Place(self._destination.directory(part.directory), part.name)
        self._cancel.check()
        with storage_faults(os.path.join(self._path, target.path)):
            try:
                rename_without_replacing(place, final)
            except FileExistsError as error:
                self._meet(part, place, final, target, error)
            sync_directory(final.directory)
            if part.directory != directory:
                sync_directory(place.directory)
        self._pending.pop(place, None)
        return OutputFile(path=target.path, size=part.size, blake3=part.blake3)

    def discard(self, part: Part) -> None:
        """Drop a part that is not wanted any more."""
        self._take_back(Place(self._destination.directory(part.directory), part.name))

    def _new_part(self, relative: bytes) -> tuple[bytes, Place]:
        self._cancel.check()
        directory, _ = self._split(relative)
        name = part_name(self._job, self._token, self._count)
        self._count += 1
        place = Place(self._destination.directory(directory), name)
        with storage_faults(os.path.join(self._path, directory)):
            sweep(place.directory, self._job, self._token)
            _remove(place)
        self._pending[place] = None
        return directory, place

    def _split(self, relative: bytes) -> tuple[bytes, bytes]:
        """Directory and name; a path that nobody could open afterwards is refused."""
        if (length := len(os.path.join(self._path, relative))) > _PATH_MAX:
            raise StorageError(
                f"the path of an output in {display(self._path)} would have {length} bytes, and "
                f"the system opens at most {_PATH_MAX}; choose a destination nearer to the root"
            )
        return split(relative)

    def _compare(self, part: Part, work: bytes) -> None:
        """A copy is verified if it equals the verified work."""
        made = content_of(work, self._cancel)
        if (made.size, made.blake3) != (part.size, part.blake3):
            raise StorageError(
                f"the copy in {display(self._path)} is not what was written there: its disk or "
                "network may be failing; check it, then retry the job"
            )

    def _finish(self, directory: bytes, place: Place) -> Part:
        sync_tree(place.name, dir_fd=place.directory)
        content = content_of(place.name, self._cancel, dir_fd=place.directory)
        mode = os.lstat(place.name, dir_fd=place.directory).st_mode
        return Part(
            path=os.path.join(self._path, directory, place.name),
            directory=directory,
            name=place.name,
            size=content.size,
            blake3=content.blake3,
            package=stat.S_ISDIR(mode),
        )

    def _meet(
        self, part: Part, place: Place, final: Place, target: PublishTarget, error: FileExistsError
    ) -> None:
        """Something is at the final name: adopt it, replace it, or refuse."""
        taken = TargetExists(
            f"{display(os.path.join(self._path, target.path))} is there already and is not this "
            "job's; nothing was overwritten"
        )
        if not target.replaces or self._is_source(final):
            raise taken from error
        before = _state(final)
        try:
            present = content_of(final.name, self._cancel, dir_fd=final.directory)
        except (OSError, StorageError) as unreadable:
            raise taken from unreadable
        if present.blake3 not in target.replaces:
            raise taken from error
        if present.blake3 == part.blake3:
            _remove(place)
        elif not _replace(place, final, before):
            raise taken from error

    def _is_source(self, final: Place) -> bool:
        """Whether that very name is the original's (a hard link elsewhere is not)."""
        if self._source is None:
            return False
        try:
            original = os.lstat(self._source)
            above = os.stat(os.path.dirname(self._source))
        except FileNotFoundError:
            return False
        there = os.lstat(final.name, dir_fd=final.directory)
        return os.path.samestat(original, there) and os.path.samestat(
            above, os.fstat(final.directory)
        )

    def _take_back(self, place: Place) -> None:
        origin = self._pending.pop(place, None)
        if origin is not None and not os.path.lexists(origin):
            with suppress(OSError):
                os.rename(place.name, origin, src_dir_fd=place.directory)
                return
        try:
            _remove(place)
        except OSError as error:
            log.warning("part_left", part=display(place.name), reason=error.strerror)


State = tuple[int, int, int, int]


def _state(place: Place) -> State:
    """What tells one file or directory from another that takes its name; survives a rename."""
    found = os.lstat(place.name, dir_fd=place.directory)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _replace(place: Place, final: Place, before: State) -> bool:
    """Swap names, look at what came out, drop it; false (and swapped back) when it is another."""
    try:
        exchange(place, final)
    except Unsupported:
        return _replace_in_steps(place, final, before)
    if _state(place) != before:
        exchange(place, final)
        return False
    _remove(place)
    return True


def _replace_in_steps(place: Place, final: Place, before: State) -> bool:
    """Without an exchange: a file is renamed over; a directory steps aside first."""
    if _state(final) != before:
        return False
    if stat.S_ISREG(os.lstat(final.name, dir_fd=final.directory).st_mode):
        os.rename(place.name, final.name, src_dir_fd=place.directory, dst_dir_fd=final.directory)
        return True
    aside = Place(place.directory, place.name.replace(b".part", b"000000.part"))
    rename_without_replacing(final, aside)
    try:
        rename_without_replacing(place, final)
    except OSError as error:
        rename_without_replacing(aside, final)
        if isinstance(error, FileExistsError):
            return False
        raise
    _remove(aside)
    return True


def _remove(place: Place) -> None:
    remove(place.name, dir_fd=place.directory)

"""Finished chunks of films at the destination, where every node that may go on finds them.

`.darkstream-chunks/<content>-<plan>/` holds the files of each chunk and, written last, its record:
a chunk without one was not finished; so does the soundtrack that is encoded beside them. Names are
drawn, so that two workers never write one file.
Others may write there too: links are not followed, and nothing is believed of a record but what
the plan expects.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from pydantic import ValidationError

from darkstream.errors import StorageError
from darkstream.model.encoded import ChunkFile, EncodedChunk, EncodedSoundtrack
from darkstream.model.job import ContentKey
from darkstream.model.paths import display
from darkstream.model.plan import Chunk
from darkstream.observe.cancel import CancelToken
from darkstream.storage.content import content_of, copy_range
from darkstream.storage.destination import Destination, sync_directory
from darkstream.storage.faults import check_room, is_full, storage_error, storage_faults
from darkstream.storage.parts import remove

HOME = b".darkstream-chunks"
_STORE = re.compile(rb"[0-9a-f]{16}-[0-9a-f]{16}")
_MARK = re.compile(r"[0-9a-f]{16}\.mark")
_RECORD = ".json"
_NAMED = re.compile(r"([0-9]{1,7})-[0-9a-f]{16}\.json")
_SOUND = re.compile(r"sound-[0-9a-f]{16}\.json")
_RECORD_BYTES = 256 << 10
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TRIES = 5
_Made = TypeVar("_Made", EncodedChunk, EncodedSoundtrack)


class ChunkStore:
    """The finished chunks of one content and plan below a destination (absolute)."""

    def __init__(self, destination: bytes, key: ContentKey) -> None:
        self._destination = destination
        self._name = f"{key.content[:16]}-{key.fingerprint[:16]}".encode()
        self._relative = os.path.join(HOME, self._name)
        self.path = os.path.join(destination, self._relative)

    def find(
        self, chunks: Sequence[Chunk], renditions: int, cancel: CancelToken | None = None
    ) -> dict[int, EncodedChunk]:
        """Those of a plan's chunks that are there, by index: each is read and compared.

        The reaper begins to count anew. Raises StorageError, and what `cancel` was given.
        """
        pictures = {chunk.index: chunk.pictures for chunk in chunks}
        found: dict[int, EncodedChunk] = {}
        with self._look() as directory:
            if directory is None:
                return {}
            os.utime(directory)
            for name in sorted(os.listdir(directory)):
                known = _index_of(name) in pictures
                made = _read(directory, name, EncodedChunk) if known else None
                if (
                    made is not None
                    and made.index not in found
                    and len(made.files) == renditions
                    and made.source.frames == pictures.get(made.index)
                    and _is_whole(directory, made, cancel)
                ):
                    found[made.index] = made
        return found

    def fetch_soundtrack(
        self,
        path: bytes,
        fits: Callable[[EncodedSoundtrack], bool],
        cancel: CancelToken | None = None,
    ) -> EncodedSoundtrack | None:
        """Copy a soundtrack that is there and fits to a path (absolute); None: there is none.

        The copy is compared, so that nobody can change it any more. Raises StorageFull,
        StorageError, and what `cancel` was given.
        """
        with self._look() as directory:
            if directory is None:
                return None
            for name in filter(_SOUND.fullmatch, sorted(os.listdir(directory))):
                made = _read(directory, name, EncodedSoundtrack)
                if made is None or not fits(made):
                    continue
                if _fetch(directory, made.files[0], path, cancel or CancelToken()):
                    return made
        return None

    def keep(
        self,
        work: bytes,
        chunk: _Made,
        cancel: CancelToken | None = None,
        *,
        mark: str | None = None,
    ) -> _Made:
        """Copy a chunk's files from a directory, durably, and record it; returns it as recorded.

        With a `mark`: only to where that is, for a film that may be over by now. Raises
        StorageFull, StorageError, and what `cancel` was given.
        """
        drawn, cancel = secrets.token_hex(8), cancel or CancelToken()
        needed = sum(file.size for file in chunk.files)
        place = self._make() if mark is None else self._join(mark)
        with storage_faults(self.path, needed), place as directory:
            check_room(directory, self.path, needed)
            files: list[ChunkFile] = []
            try:
                for number, file in enumerate(chunk.files):
                    named = file.model_copy(update={"name": f"{drawn}-{number}"})
                    files.append(named)
                    source = os.path.join(work, file.name.encode())
                    self._copy(source, directory, named, cancel)
                kept = chunk.model_copy(update={"files": tuple(files)})
                _write(directory, f"{drawn}.part", kept.model_dump_json().encode())
            except BaseException:
                for name in (*(file.name for file in files), f"{drawn}.part"):
                    with suppress(OSError):
                        os.unlink(name, dir_fd=directory)
                raise
            name = str(chunk.index) if isinstance(chunk, EncodedChunk) else "sound"
            end = f"{name}-{drawn}{_RECORD}"
            os.rename(f"{drawn}.part", end, src_dir_fd=directory, dst_dir_fd=directory)
            sync_directory(directory)
        return kept

    def mark(self) -> str:
        """Leave a file that tells whoever sees it that this is the same place; its drawn name.

        Raises StorageFull, StorageError.
        """
        name = f"{secrets.token_hex(8)}.mark"
        with storage_faults(self.path), self._make() as directory:
            os.close(os.open(name, _NEW, 0o600, dir_fd=directory))
        return name

    def has_mark(self, name: str) -> bool:
        """Whether the place is that where such a mark was left."""
        with self._look() as directory:
            return directory is not None and _is_marked(directory, name)

    def paths(self, chunk: EncodedChunk) -> tuple[bytes, ...]:
        """Absolute paths of the files of a chunk."""
        return tuple(os.path.join(self.path, file.name.encode()) for file in chunk.files)

    def remove(self) -> None:
        """Forget all chunks, and the directory of them where it is empty then."""
        with suppress(StorageError, OSError), Destination(self._destination, make=False) as opened:
            home = opened.find(HOME)
            if home is not None:
                remove(self._name, dir_fd=home)
                os.rmdir(os.path.join(self._destination, HOME))

    @contextmanager
    def _look(self) -> Iterator[int | None]:
        """The open directory, if it is there."""
        if not os.path.isdir(self._destination):
            yield None
            return
        with storage_faults(self.path), Destination(self._destination, make=False) as opened:
            yield opened.find(self._relative)

    @contextmanager
    def _join(self, mark: str) -> Iterator[int]:
        """The open directory, which another worker made."""
        with self._look() as directory:
            if directory is None or not _is_marked(directory, mark):
                raise StorageError(f"{display(self.path)} is gone: its film is over")
            yield directory

    @contextmanager
    def _make(self) -> Iterator[int]:
        """The open directory, made if missing; another film's end may remove its parent."""
        for left in reversed(range(_TRIES)):
            with Destination(self._destination) as opened:
                try:
                    directory = opened.directory(self._relative)
                except StorageError as error:
                    if left and isinstance(error.__cause__, FileNotFoundError):
                        continue
                    raise
                yield directory
                return

    def _copy(self, path: bytes, directory: int, file: ChunkFile, cancel: CancelToken) -> None:
        source = os.open(path, _READ)
        try:
            target = os.open(file.name, _NEW, 0o600, dir_fd=directory)
            try:
                copy_range(source, target, cancel)
                os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        if content_of(file.name.encode(), cancel, dir_fd=directory).blake3 != file.blake3:
            told = display(os.path.join(self.path, file.name.encode()))
            raise StorageError(f"{told} is not what was written: look at that disk")


def reap_chunks(destination: bytes, older_than_s: float) -> tuple[bytes, ...]:
    """Remove what nobody added a chunk to, or looked into, for so long; the answer names it."""
    oldest = time.time() - older_than_s
    removed = []
    with suppress(StorageError, OSError), Destination(destination, make=False) as opened:
        home = opened.find(HOME)
        if home is None:
            return ()
        for name in map(os.fsencode, sorted(os.listdir(home))):
            if _STORE.fullmatch(name) and os.lstat(name, dir_fd=home).st_mtime < oldest:
                remove(name, dir_fd=home)
                removed.append(os.path.join(destination, HOME, name))
        with suppress(OSError):
            os.rmdir(os.path.join(destination, HOME))
    return tuple(removed)


def _index_of(name: str) -> int | None:
    """Of the chunk that a record tells of; None where it is the name of none."""
    found = _NAMED.fullmatch(name)
    return None if found is None else int(found[1])


def _is_marked(directory: int, name: str) -> bool:
    if not _MARK.fullmatch(name):
        return False
    try:
        return stat.S_ISREG(os.lstat(name, dir_fd=directory).st_mode)
    except OSError:
        return False


def _read(directory: int, name: str, kind: type[_Made]) -> _Made | None:
    """What a record says; None where it is none."""
    try:
        descriptor = os.open(name, _READ, dir_fd=directory)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _RECORD_BYTES:
            return None
        return kind.model_validate_json(os.read(descriptor, _RECORD_BYTES))
    except (OSError, ValidationError):
        return None
    finally:
        os.close(descriptor)


def _is_whole(directory: int, chunk: _Made, cancel: CancelToken | None) -> bool:
    try:
        for file in chunk.files:
            content = content_of(file.name.encode(), cancel, dir_fd=directory)
            if (content.size, content.blake3) != (file.size, file.blake3):
                return False
    except (OSError, StorageError):
        return False
    return True


def _fetch(directory: int, file: ChunkFile, path: bytes, cancel: CancelToken) -> bool:
    """Copy a file out of a directory; whether it could be read and is what its record says."""
    with suppress(OSError), _reading(directory, file) as source:
        try:
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise storage_error(os.path.dirname(path), error) from error
        try:
            copy_range(source, target, cancel)
        except OSError as error:
            if is_full(error):
                raise storage_error(os.path.dirname(path), error, file.size) from error
            raise
        finally:
            os.close(target)
        found = content_of(path, cancel)
        return (found.size, found.blake3) == (file.size, file.blake3)
    return False


@contextmanager
def _reading(directory: int, file: ChunkFile) -> Iterator[int]:
    """A descriptor of a regular file as large as its record says. Raises OSError for any other."""
    source = os.open(file.name, _READ, dir_fd=directory)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
            raise OSError(errno.EINVAL, "it is not what was recorded", file.name)
        yield source
    finally:
        os.close(source)


def _write(directory: int, name: str, data: bytes) -> None:
    descriptor = os.open(name, _NEW, 0o600, dir_fd=directory)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)

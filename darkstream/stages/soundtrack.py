"""The sound of a film in chunks: encoded by its leader, beside them and once for all attempts."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType

import structlog

from darkstream.library.identity import unchanged
from darkstream.media.command.soundtrack import soundtrack_name
from darkstream.media.soundtrack import encode_soundtrack, fits
from darkstream.model.encoded import EncodedSoundtrack, Soundtrack
from darkstream.model.paths import display
from darkstream.model.plan import EncodePlan
from darkstream.stages.attempt import Attempt
from darkstream.storage.chunks import ChunkStore
from darkstream.storage.faults import storage_faults

log = structlog.get_logger(__name__)

_WORK = b"sound"


class SoundBeside:
    """A thread that encodes the sound for as long as the context lasts; it ends with it.

    `directory` is the attempt's (absolute); the finished file stays there, and another is kept in
    the store, for later attempts.
    """

    def __init__(
        self,
        attempt: Attempt,
        plan: EncodePlan,
        store: ChunkStore,
        source: bytes,
        directory: bytes,
    ) -> None:
        self._attempt = attempt
        self._plan = plan
        self._store = store
        self._source = source
        self._directory = directory
        self._cancel = attempt.cancel.child()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="soundtrack")
        self._made: Future[Soundtrack | None] | None = None

    def __enter__(self) -> SoundBeside:
        """Begin, if the plan has sound that can be encoded alone."""
        if (name := soundtrack_name(self._plan)) is not None:
            self._made = self._pool.submit(self._encode, name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it, and wait for that."""
        self._cancel.cancel()
        self._pool.shutdown()
        failed = None if self._made is None else self._made.exception()
        if failed is not None and failed is not error and not self._cancel.caused(failed):
            log.warning("soundtrack_failed", source=display(self._source), reason=str(failed))

    def check(self) -> None:
        """Raise what it failed with, if it did; as `take`."""
        if self._made is not None and self._made.done():
            self._made.result()

    def take(self) -> Soundtrack | None:
        """Wait for it; None: it is to be encoded with the rest.

        Raises ProcessKilled, ProcessTimeout, StorageFull, StorageError, SourceChanged,
        SourceVanished, and what the attempt was cancelled with.
        """
        return None if self._made is None else self._made.result()

    def _encode(self, name: str) -> Soundtrack | None:
        work = os.path.join(self._directory, _WORK)
        path = os.path.join(work, name.encode())
        if (earlier := self._fetch(work, path)) is not None:
            return Soundtrack(made=earlier, path=path, found=True)
        if self._attempt.source is None:
            raise ValueError("the plan's source was not found")
        decoder = self._attempt.tools.decoder(self._cancel)
        with storage_faults(self._directory), unchanged(self._source, self._attempt.source.hint):
            made = encode_soundtrack(self._plan, self._source, work, decoder)
        if made is None:
            return None
        return Soundtrack(made=self._store.keep(work, made, self._cancel), path=path)

    def _fetch(self, work: bytes, path: bytes) -> EncodedSoundtrack | None:
        with storage_faults(self._directory):
            shutil.rmtree(work, ignore_errors=True)
            os.makedirs(work)
        return self._store.fetch_soundtrack(path, partial(fits, self._plan), self._cancel)


def clear_sound(directory: bytes) -> None:
    """Remove the encoded sound, once it is in the output."""
    shutil.rmtree(os.path.join(directory, _WORK), ignore_errors=True)

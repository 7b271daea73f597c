"""The sound of a film in chunks: encoded by its leader, beside them and once for all attempts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from darkstream.library.identity import unchanged
from darkstream.media.command.soundtrack import is_alone, soundtrack_name
from darkstream.media.soundtrack import encode_soundtrack
from darkstream.model.encoded import Soundtrack
from darkstream.model.plan import EncodePlan
from darkstream.observe.cancel import CancelToken
from darkstream.stages.attempt import Attempt
from darkstream.storage.chunks import ChunkStore
from darkstream.storage.faults import storage_faults

_WORK = b"sound"


@contextmanager
def soundtrack_beside(
    attempt: Attempt, plan: EncodePlan, store: ChunkStore, source: bytes, directory: bytes
) -> Iterator[Callable[[], Soundtrack | None]]:
    """Encode the sound in a thread of its own; what is given waits for it.

    None: it is to be encoded with the rest. At the end of the context the thread is done, too: it
    stops where nobody waited. Waiting raises ProcessKilled, ProcessTimeout, StorageFull,
    StorageError, SourceChanged, SourceVanished, and what the attempt was cancelled with.
    """
    if soundtrack_name(plan) is None:
        yield lambda: None
        return
    cancel = attempt.cancel.child()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="soundtrack") as pool:
        made = pool.submit(_encode, attempt, plan, store, source, directory, cancel)
        try:
            yield made.result
        finally:
            cancel.cancel()


def _encode(
    attempt: Attempt,
    plan: EncodePlan,
    store: ChunkStore,
    source: bytes,
    directory: bytes,
    cancel: CancelToken,
) -> Soundtrack | None:
    if attempt.source is None:
        raise ValueError("the plan's source was not found")
    streams = {track.source_index for track in filter(is_alone(plan), plan.audio)}
    made = store.find_soundtrack(streams, len(plan.audio), cancel)
    if made is None:
        work = os.path.join(directory, _WORK)
        with storage_faults(directory), unchanged(source, attempt.source.hint):
            made = encode_soundtrack(plan, source, work, attempt.tools.decoder(cancel))
        if made is not None:
            made = store.keep(work, made, cancel)
        shutil.rmtree(work, ignore_errors=True)
    return None if made is None else Soundtrack(made=made, path=store.paths(made)[0])

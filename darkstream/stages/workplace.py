"""The directory an attempt encodes in: away from every library, gone when the attempt is over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from darkstream.errors import KeyUnavailable, StorageError
from darkstream.media.encode import read_verified
from darkstream.model.job import ContentKey
from darkstream.stages.attempt import Attempt
from darkstream.storage.faults import storage_faults
from darkstream.storage.parts import occupy

_STOP_S = 4.0


def work_directory(attempt: Attempt, key: ContentKey) -> bytes:
    """Where one content is made into one plan's output: named by both."""
    name = f"{key.content[:16]}-{key.fingerprint[:16]}"
    return os.fsencode(attempt.tools.settings.work_directory / name)


@contextmanager
def workplace(attempt: Attempt, key: ContentKey) -> Iterator[bytes]:
    """A directory for this attempt alone; it is removed at the end.

    What an earlier attempt verified there is found again. An attempt that lost its lease may still
    write there while its successor begins: then the successor gets a directory of its own. When
    this process is ended, the destination takes nothing, or no key is to be had, only verified work
    stays. Raises StorageFull and StorageError.
    """
    path = work_directory(attempt, key)
    descriptor = _occupy(path)
    if descriptor is None:
        path += b".%d" % attempt.claim.token
        descriptor = _occupy(path)
    try:
        yield path
    except (StorageError, KeyUnavailable):
        # Once there is space, or the disk or the key server is back, it is only published.
        if read_verified(path) is None:
            _remove(path)
        raise
    except Exception:
        _remove(path)
        raise
    except BaseException:  # a signal ends this process
        attempt.stop("the worker was stopped", within_s=_STOP_S)
        if read_verified(path) is None:
            _remove(path)
        raise
    else:
        _remove(path)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _occupy(path: bytes) -> int | None:
    with storage_faults(path):
        return occupy(path)


def _remove(path: bytes) -> None:
    shutil.rmtree(path, ignore_errors=True)

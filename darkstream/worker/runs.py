"""The directories flow runs work in: each is locked while its worker lives, and gone at the end.

One that is there and not locked is what a killed worker left: its run is lost.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def run_directory(parent: Path, flow_run: str) -> Iterator[str]:
    """An empty directory for one flow run of this process, below `parent`."""
    parent.mkdir(parents=True, exist_ok=True)
    path = parent / flow_run
    with _locked(_begin(parent, flow_run)):
        os.rename(parent / f".{flow_run}", path)
        try:
            yield str(path)
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def abandoned_runs(parent: Path) -> Iterator[list[str]]:
    """The flow runs whose worker is dead; they are forgotten when the context ends well.

    Nobody else is told of them meanwhile.
    """
    found: dict[str, int] = {}
    try:
        for path in parent.glob("[!.]*"):
            if (descriptor := _take(path)) is not None:
                found[path.name] = descriptor
        yield list(found)
        for name in found:
            shutil.rmtree(parent / name, ignore_errors=True)
    finally:
        for descriptor in found.values():
            os.close(descriptor)


def _begin(parent: Path, flow_run: str) -> Path:
    """A directory that nobody takes for abandoned before it is locked."""
    hidden = parent / f".{flow_run}"
    shutil.rmtree(parent / flow_run, ignore_errors=True)
    hidden.mkdir(exist_ok=True)
    return hidden


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take(path: Path) -> int | None:
    """Lock a directory; None where its worker lives, or where it just ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor

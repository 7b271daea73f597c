"""The single changes by which a result and its original change places."""

from __future__ import annotations

import os

from darkstream.errors import StorageError
from darkstream.storage.rename import Place, Unsupported, exchange, rename_without_replacing


def swap(inner: Place, name: Place, *, spare: Place) -> None:
    """Let two files change places; where that cannot be, have what goes get a second name first."""
    try:
        exchange(inner, name)
    except Unsupported:
        _link(name, spare)


def overwrite(inner: Place, name: Place) -> None:
    """Have one file take the name of another, which is then gone from there."""
    os.rename(inner.name, name.name, src_dir_fd=inner.directory, dst_dir_fd=name.directory)


def _link(source: Place, target: Place) -> None:
    try:
        os.link(
            source.name,
            target.name,
            src_dir_fd=source.directory,
            dst_dir_fd=target.directory,
            follow_symlinks=False,
        )
    except PermissionError as error:
        raise StorageError(
            "this file system can neither exchange two files nor make hard links, so an original "
            "cannot be replaced safely; have the results go elsewhere"
        ) from error


def move(source: Place, target: Place) -> None:
    """Give a file another name, over nothing; raises FileExistsError."""
    rename_without_replacing(source, target)


def drop(place: Place) -> None:
    """Take a file's name away."""
    os.unlink(place.name, dir_fd=place.directory)

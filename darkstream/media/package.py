"""Packaging: the last look at what is published, a file or a directory of segments."""

from __future__ import annotations

import os

from darkstream.errors import VerificationFailed
from darkstream.media.command.convert import MANIFEST
from darkstream.media.manifests import MASTER, drop_unwanted, referenced_files
from darkstream.model.encoded import Encoded, Presentation
from darkstream.model.plan import AbrPackage, EncodePlan, FilePackage

_STARTS_FAST = {"mp4", "m4a"}


def package(plan: EncodePlan, encoded: Encoded) -> Presentation:
    """What to publish of a verified encode.

    Raises VerificationFailed where an MP4 does not start fast, a manifest names a segment that is
    not there, or a segment is named by none.
    """
    if isinstance(plan.package, AbrPackage):
        return _package_directory(plan.package, encoded)
    return _package_file(plan.package, encoded)


def _package_file(rule: FilePackage, encoded: Encoded) -> Presentation:
    path = os.path.join(encoded.directory, encoded.main)
    if rule.container in _STARTS_FAST and not starts_fast(path):
        raise VerificationFailed("the output does not start fast: its index is at the end")
    return Presentation(path=path, files=1, size=os.stat(path).st_size)


def _package_directory(rule: AbrPackage, encoded: Encoded) -> Presentation:
    directory = encoded.directory
    drop_unwanted(rule, directory)
    present = {entry.name: entry.stat().st_size for entry in os.scandir(directory)}
    named = referenced_files(directory)
    if missing := named - present.keys():
        raise VerificationFailed(f"a manifest names {min(missing).decode()}, which is not there")
    if unnamed := present.keys() - named:
        raise VerificationFailed(f"no manifest names {min(unnamed).decode()}")
    entry = MASTER if rule.hls else MANIFEST
    return Presentation(
        path=directory, entry=entry.encode(), files=len(present), size=sum(present.values())
    )


def starts_fast(path: bytes) -> bool:
    """Whether an MP4's index (`moov`) comes before its media (`mdat`)."""
    with open(path, "rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind in {b"moov", b"mdat"}:
                return kind == b"moov"
            if size == 1:
                size = int.from_bytes(file.read(8), "big") - 8
            file.seek(size - 8, os.SEEK_CUR)
    return False

"""Packaging: the last look at what is published, a file or a directory of segments."""

from __future__ import annotations

import os

from darkstream.errors import KeyUnavailable, VerificationFailed
from darkstream.media.boxes import starts_fast
from darkstream.media.command.convert import MANIFEST
from darkstream.media.encryption import encrypt_package
from darkstream.media.manifests import MASTER, drop_unwanted, referenced_files
from darkstream.media.validator import check_presentation
from darkstream.model.encoded import Encoded, Presentation
from darkstream.model.key import SecretKey
from darkstream.model.plan import AbrPackage, EncodePlan, FilePackage
from darkstream.observe.cancel import CancelToken

_STARTS_FAST = {"mp4", "m4a", "mov"}


def package(
    plan: EncodePlan,
    encoded: Encoded,
    key: SecretKey | None = None,
    cancel: CancelToken | None = None,
) -> Presentation:
    """What to publish of a verified encode; `key`: what its segments are encrypted with.

    Raises VerificationFailed where an MP4 does not start fast, a manifest breaks a rule or names a
    segment that is not there, a segment is named by none, or what is encrypted does not come out
    as it was; KeyUnavailable where the plan asks for encryption and there is no key.
    """
    if isinstance(plan.package, FilePackage):
        return _package_file(plan.package, encoded)
    rule, encryption = plan.package, plan.package.encryption
    directory = encoded.directory
    if encryption is not None:
        if key is None:
            raise KeyUnavailable("the plan asks for encryption, and no key was given")
        _check(directory)  # what is encrypted as a whole shows nothing of its segments any more
        directory = encrypt_package(plan, rule, encryption, directory, key, cancel or CancelToken())
    return _package_directory(rule, directory)


def _package_file(rule: FilePackage, encoded: Encoded) -> Presentation:
    path = os.path.join(encoded.directory, encoded.main)
    if rule.container in _STARTS_FAST and not starts_fast(path):
        raise VerificationFailed("the output does not start fast: its index is at the end")
    return Presentation(path=path, files=1, size=os.stat(path).st_size)


def _package_directory(rule: AbrPackage, directory: bytes) -> Presentation:
    _check(directory)
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


def _check(directory: bytes) -> None:
    if violations := check_presentation(directory, MASTER, MANIFEST):
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise VerificationFailed(f"the manifests break a rule: {violations[0]}{more}")

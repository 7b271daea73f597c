"""The key of an attempt's content, where its plan asks for encryption."""

from __future__ import annotations

import os
from pathlib import Path

from darkstream.errors import KeyUnavailable
from darkstream.keys import open_provider
from darkstream.model.key import SecretKey
from darkstream.model.paths import display
from darkstream.model.plan import AbrPackage, EncodePlan
from darkstream.stages.attempt import Attempt


def content_key(attempt: Attempt, plan: EncodePlan, *, known: bool = False) -> SecretKey | None:
    """What the package is encrypted with; None where it is not.

    Asked for before the encode too, which may take hours. `known`: something was published under
    it before. Raises KeyUnavailable.
    """
    if not isinstance(plan.package, AbrPackage) or plan.package.encryption is None:
        return None
    settings = attempt.tools.settings.keys
    if settings.directory is not None:
        _keep_apart(settings.directory, attempt.claim.destination)
    return open_provider(settings).key_of(attempt.content, known=known)


def _keep_apart(directory: Path, destination: bytes) -> None:
    """Raise KeyUnavailable where keys would lie among what is published."""
    keys, published = os.path.realpath(os.fsencode(directory)), os.path.realpath(destination)
    if keys == published or keys.startswith(published.rstrip(b"/") + b"/"):
        raise KeyUnavailable(
            f"DARKSTREAM_KEYS__DIRECTORY is {directory}, inside the destination"
            f" {display(destination)}: keys must lie apart from what is published"
        )

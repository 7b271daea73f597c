"""What a provider of keys is, and which one the settings name."""

from __future__ import annotations

from typing import Protocol

from blake3 import blake3

from darkstream.errors import KeyUnavailable
from darkstream.model.base import ContentId
from darkstream.model.key import BYTES, SecretKey
from darkstream.settings import KeySettings

_PURPOSE = "DarkStream 2026-01 id of the key that a content is encrypted with"


class KeyProvider(Protocol):
    """Keeps one key for each content, on whatever machine it is asked for."""

    def key_of(self, content: ContentId, *, known: bool = False) -> SecretKey:
        """The content's key, made where there is none yet; later the same one again.

        `known`: something was published under it, so that none is made in its place; a server
        decides that itself. Raises KeyUnavailable, which names the setting and what to do.
        """
        ...


def key_id_of(content: ContentId) -> bytes:
    """The id of the content's key: every provider and every machine knows it by the same name."""
    return blake3(content.encode(), derive_key_context=_PURPOSE).digest(length=BYTES)


def open_provider(settings: KeySettings) -> KeyProvider:
    """The provider that the settings name; raises KeyUnavailable where they name none, or two."""
    from darkstream.keys.directory import DirectoryKeys
    from darkstream.keys.server import ServerKeys

    if settings.directory is not None and settings.server is not None:
        raise KeyUnavailable(
            "DARKSTREAM_KEYS__DIRECTORY and DARKSTREAM_KEYS__SERVER are both set: keys come from"
            " one place, so unset the other"
        )
    if settings.directory is not None:
        return DirectoryKeys(settings.directory)
    if settings.server is not None:
        return ServerKeys(settings.server, settings.server_token, settings.timeout_s)
    raise KeyUnavailable(
        "the preset asks for encryption, and this worker knows no keys: set"
        " DARKSTREAM_KEYS__DIRECTORY to a directory for them, or DARKSTREAM_KEYS__SERVER to a"
        " ClearKey server"
    )

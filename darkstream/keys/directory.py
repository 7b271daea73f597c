"""Keys as files, one a key, that only their owner may read."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from darkstream.errors import KeyUnavailable
from darkstream.keys.provider import key_id_of
from darkstream.model.base import ContentId
from darkstream.model.key import BYTES, SecretKey

_SETTING = "DARKSTREAM_KEYS__DIRECTORY"
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}
_OWNER_ONLY, _OTHERS = 0o600, 0o007


class DirectoryKeys:
    """Keys in a directory: `<key id>.key`, the 16 bytes as they are.

    The form is that in which HLS players fetch them, so that a web server which knows whom to let
    in can serve the directory. Machines that share it make one key for a content.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def key_of(self, content: ContentId, *, known: bool = False) -> SecretKey:
        """The content's key; a new one is complete before it has its name."""
        key_id = key_id_of(content)
        path = self._directory / f"{key_id.hex()}.key"
        self.require()
        try:
            if not path.exists():
                if known:
                    raise KeyUnavailable(
                        f"the key {path.name}, under which this content was published, is gone from"
                        f" {self._directory}: bring it back from a backup; where there is none,"
                        " remove what was published, as nobody can play it, and retry"
                    )
                self._make(path)
            return SecretKey(key_id, _read(path))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise KeyUnavailable(
                f"the key {path.name} in {self._directory} cannot be read or made: {reason}; check"
                f" the directory of {_SETTING} and who owns it"
            ) from error

    def require(self) -> None:
        """Raise KeyUnavailable where the directory is not there; it is never made.

        On a disk that is not mounted a new key would take the id of the one that is away.
        """
        if not os.path.isdir(self._directory):
            raise KeyUnavailable(
                f"the directory of keys {self._directory} ({_SETTING}) is not there: mount its"
                f" disk, or, where it never had a key, create it: mkdir -m 700 {self._directory}"
            )

    def _make(self, path: Path) -> None:
        part = path.with_suffix(f".{secrets.token_hex(8)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(part, flags, _OWNER_ONLY)
        try:
            with open(descriptor, "wb") as file:
                file.write(secrets.token_bytes(BYTES))
                file.flush()
                os.fsync(file.fileno())
            # Another machine may be making it too: the first one's is the key.
            with suppress(FileExistsError):
                os.link(part, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            raise KeyUnavailable(
                f"the file system of {self._directory} ({_SETTING}) makes no hard links, so that"
                " two machines could make two keys of one content: keep the keys on another one"
            ) from error
        finally:
            os.unlink(part)
        _sync(self._directory)


def _read(path: Path) -> bytes:
    with open(path, "rb", opener=_no_link) as file:
        found = os.fstat(file.fileno())
        secret = file.read(BYTES + 1)
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        raise KeyUnavailable(
            f"the key {path} can be read by everybody: 'chmod 600' it, and look who had it"
        )
    if len(secret) != BYTES:
        raise KeyUnavailable(
            f"the key {path} has {'more' if len(secret) > BYTES else 'less'} than {BYTES} bytes:"
            " bring it back from a backup, as what was encrypted with it cannot be played without"
        )
    return secret


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Keys from a server that speaks ClearKey's license format (W3C EME 9.1)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from pydantic import SecretStr

from darkstream.errors import KeyUnavailable
from darkstream.keys.provider import key_id_of
from darkstream.model.base import ContentId
from darkstream.model.key import SecretKey

_SETTING = "DARKSTREAM_KEYS__SERVER"
_MOST_BYTES = 64 << 10
"""Of an answer; one with a single key has about a hundred."""


class ServerKeys:
    """Asks a server for the key of an id; it makes the key where it has none.

    The request is `{"kids": ["<base64url>"], "type": "temporary"}`, the answer
    `{"keys": [{"kty": "oct", "kid": ..., "k": ...}]}`. With a token it is sent as a bearer.
    """

    def __init__(self, url: str, token: SecretStr | None, timeout_s: float) -> None:
        self._url = url
        self._token = token
        self._timeout_s = timeout_s

    def key_of(self, content: ContentId, *, known: bool = False) -> SecretKey:  # noqa: ARG002 - the server knows
        """The content's key, of the id that `key_id_of` gives it."""
        key_id = key_id_of(content)
        return SecretKey(key_id, self._find(self._ask(key_id), key_id))

    def _ask(self, key_id: bytes) -> object:
        headers = {"Accept-Encoding": "identity"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        body = {"kids": [_encode(key_id)], "type": "temporary"}
        try:
            # In a thread of its own, as the caller's may have a loop that runs.
            with ThreadPoolExecutor(1) as pool:
                data = pool.submit(asyncio.run, self._fetch(body, headers)).result()
        except TimeoutError:
            raise self._unavailable(f"did not answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            # Not from the error: it may quote the header, and that holds the token.
            raise self._unavailable(f"cannot be reached ({type(error).__name__})") from None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            # Not from the error: it holds the answer, and that may hold a key.
            raise self._unavailable("answered with what is no JSON") from None

    async def _fetch(self, body: dict[str, Any], headers: dict[str, str]) -> bytes:
        """The answer; the time is that of all of it, however slowly its bytes come."""
        data = bytearray()
        async with (
            asyncio.timeout(self._timeout_s),
            httpx.AsyncClient(timeout=None) as client,  # noqa: S113 - the one above holds for all
            client.stream("POST", self._url, json=body, headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise self._unavailable(f"answered {answer.status_code} {answer.reason_phrase}")
            async for part in answer.aiter_raw():
                data += part
                if len(data) > _MOST_BYTES:
                    raise self._unavailable(f"answered with more than {_MOST_BYTES} bytes")
        return bytes(data)

    def _find(self, answer: object, key_id: bytes) -> bytes:
        listed = answer.get("keys") if isinstance(answer, dict) else None
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and one.get("kty") == "oct" and _decode(one, "kid") == key_id:
                secret = _decode(one, "k")
                if secret is not None and len(secret) == len(key_id):
                    return secret
                raise self._unavailable("gave a key that has not 16 bytes")
        raise self._unavailable(f"gave no key of the id {key_id.hex()}")

    def _unavailable(self, what: str) -> KeyUnavailable:
        return KeyUnavailable(
            f"the key server of {_SETTING} {what}: check it and retry; nothing was published"
        )


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _decode(values: dict[str, Any], name: str) -> bytes | None:
    text = values.get(name)
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None

"""A connection to Prefect's API that fails with one clear line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx

from darkstream.errors import PrefectUnreachable

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


class Connection:
    """Opens Prefect's client at first use and keeps it; credentials come from Prefect's settings.

    Prefect's client itself tries again on 408, 429, 502, 503 (which is also its answer to a locked
    SQLite database) and on connections that break, as often as PREFECT_CLIENT_MAX_RETRIES says.
    """

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url.rstrip("/")
        self._client: PrefectClient | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> PrefectClient:
        """The client; raises PrefectUnreachable when nothing answers."""
        async with self._opening:
            if self._client is None:
                self._client = await self._connect()
        return self._client

    async def _connect(self) -> PrefectClient:
        client = await asyncio.to_thread(_make_client, self.api_url)
        with self.translated():
            try:
                return await client.__aenter__()
            except RuntimeError as error:
                raise PrefectUnreachable(f"Prefect at {self.api_url}: {error}") from error

    async def close(self) -> None:
        """Let go of the connection; a later call opens another one."""
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the errors of HTTP into PrefectUnreachable."""
        try:
            yield
        except httpx.HTTPStatusError as error:
            raise PrefectUnreachable(self._explain(error.response)) from error
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise PrefectUnreachable(
                f"no Prefect API answers at {self.api_url} ({reason}): is the server up?"
            ) from error

    def _explain(self, response: httpx.Response) -> str:
        if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return (
                f"Prefect at {self.api_url} refuses us: set PREFECT_API_AUTH_STRING or "
                "PREFECT_API_KEY to what it expects"
            )
        request = response.request
        return (
            f"Prefect at {self.api_url} answered {response.status_code} to {request.method} "
            f"{request.url.path}: {response.text[:200]}"
        )


def _make_client(api_url: str) -> PrefectClient:
    """Import Prefect, which takes a second, and make a client with its settings' credentials."""
    from prefect.client.orchestration import PrefectClient
    from prefect.settings import get_current_settings

    api = get_current_settings().api
    return PrefectClient(
        api_url,
        auth_string=api.auth_string.get_secret_value() if api.auth_string else None,
        api_key=api.key.get_secret_value() if api.key else None,
        httpx_settings={"timeout": api.request_timeout},
    )

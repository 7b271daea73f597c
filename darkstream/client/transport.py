"""How the client speaks HTTP: connections, bodies, and errors that arise as they were."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from darkstream.client.problems import error_of
from darkstream.errors import NotFound, ServerUnreachable, ServiceError
from darkstream.model.wire import Problem

_M = TypeVar("_M", bound=BaseModel)
_T = TypeVar("_T")


class Transport:
    """One connection pool to one server; `timeout` is in seconds, for each answer."""

    def __init__(self, base_url: str, *, timeout: float = 30.0) -> None:
        self.base_url = base_url.rstrip("/")
        # A proxy in the environment is for the internet, never for our own server. Without TLS the
        # certificates of the world are not read: it takes as long as ten requests.
        self._http = httpx.Client(
            base_url=f"{self.base_url}/api/v1",
            timeout=timeout,
            trust_env=False,
            verify=self.base_url.startswith("https:"),
        )

    def __enter__(self) -> Self:
        """This client."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _get(self, path: str, model: type[_M]) -> _M:
        return parse(adapter(model), self._send("GET", path))

    def _post(
        self, path: str, body: BaseModel | None, model: type[_M], *, timeout: float | None = None
    ) -> _M:
        return parse(adapter(model), self._send("POST", path, body=body, timeout=timeout))

    def _lines(self, path: str, model: type[_M]) -> Iterator[_M]:
        """An answer of JSON Lines, read as it comes."""
        try:
            with self._http.stream("GET", path) as response:
                if response.is_error:
                    response.read()
                    _raise(response)
                for line in response.iter_lines():
                    yield _read(adapter(model), line, response)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        query: dict[str, Any] | None = None,
        accept: tuple[int, ...] = (),
        timeout: float | None = None,
    ) -> httpx.Response:
        try:
            response = self._http.request(
                method,
                path,
                content=None if body is None else body.model_dump_json().encode(),
                headers=None if body is None else {"content-type": "application/json"},
                params={k: v for k, v in (query or {}).items() if v is not None},
                timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
            )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error and response.status_code not in accept:
            _raise(response)
        return response

    def _unreachable(self, error: httpx.HTTPError) -> ServerUnreachable:
        if isinstance(error, httpx.TimeoutException):
            return ServerUnreachable(f"the server at {self.base_url} did not answer in time")
        return ServerUnreachable(f"no DarkStream server answers at {self.base_url}: {error}")


def part(name: str) -> str:
    """A name as a part of a path; raises NotFound for one that nothing can have."""
    if not name or "/" in name:
        raise NotFound(f"nothing is named {name!r}: a name has at least one letter and no slash")
    return quote(name, safe="")


def adapter(model: type[_M]) -> TypeAdapter[_M]:
    """What reads a model."""
    return TypeAdapter(model)


def parse(kind: TypeAdapter[_T], response: httpx.Response) -> _T:
    """The body of an answer; raises ServiceError for one that is none of DarkStream's."""
    return _read(kind, response.content, response)


def _read(kind: TypeAdapter[_T], text: bytes | str, response: httpx.Response) -> _T:
    try:
        return kind.validate_json(text)
    except ValidationError as error:
        raise ServiceError(
            f"{response.url} gave an answer that is none of DarkStream's "
            f"({response.status_code}): is another program listening there, or another version?"
        ) from error


def _raise(response: httpx.Response) -> None:
    raise error_of(parse(adapter(Problem), response))

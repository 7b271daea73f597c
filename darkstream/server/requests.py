"""What routes take: the wing, ids, and JSON bodies read as the client wrote them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from darkstream.control.wing import Wing
from darkstream.errors import UsageError
from darkstream.server.answers import explain

_M = TypeVar("_M", bound=BaseModel)

BODY_LIMIT = 128 << 20
"""Bytes; a listing of a directory with half a million files fits."""

_LARGEST_ID = 2**63 - 1

Id = Annotated[int, Path(ge=1, le=_LARGEST_ID)]
After = Annotated[int | None, Query(ge=0, le=_LARGEST_ID)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most entries of the answer.")]


async def _wing(request: Request) -> Wing:
    wing: Wing = request.app.state.wing
    return wing


InWing = Annotated[Wing, Depends(_wing)]


def json_body(model: type[_M]) -> Callable[[Request], Awaitable[_M]]:
    """A dependency that reads the body as a model.

    FastAPI would parse the JSON in Python and then take base64 for plain bytes; Pydantic's own
    JSON mode is right and quicker.
    """

    async def read(request: Request) -> _M:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HTTPException(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"
            )
        try:
            return model.model_validate_json(await _read_body(request))
        except ValidationError as error:
            raise UsageError(explain(error.errors(include_url=False))) from error

    return read


async def _read_body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    _check_size(int(announced) if announced.isdecimal() else 0)
    body = bytearray()
    async for part in request.stream():
        body += part
        _check_size(len(body))
    return bytes(body)


def _check_size(size: int) -> None:
    if size > BODY_LIMIT:
        raise HTTPException(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is larger than {BODY_LIMIT >> 20} MiB: send it in parts",
        )


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a route whose body is read by `json_body`."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

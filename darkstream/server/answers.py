"""Errors as problem details (RFC 9457), with an id that the log knows."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from darkstream.client.problems import problem_of
from darkstream.errors import DarkstreamError
from darkstream.model.wire import Problem, ProblemKind
from darkstream.server.request_id import request_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from pydantic import BaseModel
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)

_MEDIA_TYPE = "application/problem+json"
_SERVER_ERROR = 500
_PIECE_BYTES = 64 << 10


def json_lines(lines: Iterable[BaseModel]) -> Iterator[bytes]:
    """One JSON object a line."""
    return text_lines(line.model_dump_json() for line in lines)


def text_lines(lines: Iterable[str]) -> Iterator[bytes]:
    """Lines in pieces large enough to be worth a write."""
    piece = bytearray()
    for line in lines:
        piece += line.encode()
        piece += b"\n"
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def problem_response(problem: Problem) -> Response:
    """The response that carries a problem."""
    return Response(
        problem.model_dump_json(exclude_none=True), problem.status, media_type=_MEDIA_TYPE
    )


def install_error_answers(app: FastAPI) -> None:
    """Turn every error of an app's routes into a problem."""
    app.add_exception_handler(DarkstreamError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_middleware(_Unforeseen)


def _answer_ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, DarkstreamError)  # noqa: S101 registered for this type alone
    problem = problem_of(error, identifier=request_id())
    if problem.status >= _SERVER_ERROR:
        _log.error("request_failed", id=problem.id, status=problem.status, exc_info=error)
    else:
        _log.info("request_refused", id=problem.id, status=problem.status, reason=problem.detail)
    return problem_response(problem)


def _answer_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 see above
    return _refuse(HTTPStatus.UNPROCESSABLE_ENTITY, explain(error.errors()))


def explain(errors: Sequence[Any]) -> str:
    """One line for pydantic's errors: where, and what is wrong.

    Of a union's alternatives the deepest is what was meant.
    """
    first = max(errors, key=lambda error: len(error["loc"]))
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{place or 'the body'}: {first['msg']}{more}"


def _answer_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 see above
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: "there is no such route: see /api/v1/docs",
        HTTPStatus.METHOD_NOT_ALLOWED: "that route does not take this method: see /api/v1/docs",
    }
    kind: ProblemKind = "not_found" if status == HTTPStatus.NOT_FOUND else "usage"
    response = _refuse(status, details.get(status, str(error.detail)), kind)
    response.headers.update(error.headers or {})
    return response


def _refuse(status: HTTPStatus, detail: str, kind: ProblemKind = "usage") -> Response:
    identifier = request_id()
    _log.info("request_refused", id=identifier, status=status, reason=detail)
    return problem_response(
        Problem(title=status.phrase, status=status, detail=detail, id=identifier, error=kind)
    )


class _Unforeseen:
    """Answers what nobody foresaw with a problem that tells no secrets, and logs the rest.

    Starlette's own hook would raise the error again, so that it is logged twice.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watch(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001 the last resort
            identifier = request_id()
            _log.error("request_failed", id=identifier, status=_SERVER_ERROR, exc_info=error)
            if not begun:
                await _unforeseen(error, identifier)(scope, receive, send)


def _unforeseen(error: Exception, identifier: str | None) -> Response:
    return problem_response(
        Problem(
            title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
            status=_SERVER_ERROR,
            detail=f"the server failed at this request ({type(error).__name__})",
            id=identifier,
            error="internal",
        )
    )

"""How an error of our tree crosses HTTP and arises again, with its type and its text."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from darkstream.errors import (
    Cancelled,
    Conflict,
    DarkstreamError,
    InvalidPreset,
    LeaseLost,
    NoSuchPath,
    NotFound,
    ServiceError,
    SettingsError,
    UnknownPreset,
    UsageError,
)
from darkstream.model.wire import Problem, ProblemKind


class _Row(NamedTuple):
    kind: ProblemKind
    error: type[DarkstreamError]
    status: HTTPStatus


_TABLE = (
    _Row("unknown_preset", UnknownPreset, HTTPStatus.UNPROCESSABLE_ENTITY),
    _Row("invalid_preset", InvalidPreset, HTTPStatus.UNPROCESSABLE_ENTITY),
    _Row("settings", SettingsError, HTTPStatus.UNPROCESSABLE_ENTITY),
    _Row("no_such_path", NoSuchPath, HTTPStatus.UNPROCESSABLE_ENTITY),
    _Row("not_found", NotFound, HTTPStatus.NOT_FOUND),
    _Row("conflict", Conflict, HTTPStatus.CONFLICT),
    _Row("usage", UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    _Row("lease_lost", LeaseLost, HTTPStatus.CONFLICT),
    _Row("cancelled", Cancelled, HTTPStatus.CONFLICT),
    _Row("unavailable", ServiceError, HTTPStatus.SERVICE_UNAVAILABLE),
    _Row("internal", DarkstreamError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""The most special error first: the first row that fits is taken."""


def problem_of(error: DarkstreamError, *, identifier: str | None = None) -> Problem:
    """The problem body that stands for an error."""
    row = next(row for row in _TABLE if isinstance(error, row.error))
    return Problem(
        title=row.status.phrase,
        status=row.status,
        detail=str(error),
        id=identifier,
        error=row.kind,
    )


def error_of(problem: Problem) -> DarkstreamError:
    """The error that a problem body stands for; an internal one names its id for the log."""
    row = next(row for row in _TABLE if row.kind == problem.error)
    if problem.error == "internal" and problem.id:
        return row.error(f"{problem.detail} (the server's log has more under id {problem.id})")
    return row.error(problem.detail)

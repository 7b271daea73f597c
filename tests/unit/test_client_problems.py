from __future__ import annotations

import pytest

from darkstream.client.problems import error_of, problem_of
from darkstream.errors import (
    Cancelled,
    Conflict,
    DarkstreamError,
    InvalidPreset,
    LeaseLost,
    NoSuchPath,
    NotFound,
    PrefectUnreachable,
    ServiceError,
    SettingsError,
    UnknownPreset,
    UsageError,
)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (UsageError, 422),
        (UnknownPreset, 422),
        (InvalidPreset, 422),
        (SettingsError, 422),
        (NoSuchPath, 422),
        (NotFound, 404),
        (Conflict, 409),
        (LeaseLost, 409),
        (Cancelled, 409),
        (ServiceError, 503),
        (DarkstreamError, 500),
    ],
)
def test_an_error_arises_again_with_type_and_text(kind: type[DarkstreamError], status: int) -> None:
    problem = problem_of(kind("there is no job 7"))
    again = error_of(problem)
    assert problem.status == status
    assert type(again) is kind
    assert str(again) == "there is no job 7"


def test_a_special_service_error_arises_as_its_base() -> None:
    assert type(error_of(problem_of(PrefectUnreachable("gone")))) is ServiceError


def test_an_internal_error_names_its_id_for_the_log() -> None:
    again = error_of(problem_of(DarkstreamError("it broke"), identifier="abc123"))
    assert "it broke" in str(again)
    assert "abc123" in str(again)

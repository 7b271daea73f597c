"""The frozen base of every value, and the scalar types they share."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, NewType

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

JobId = NewType("JobId", int)
LibraryId = NewType("LibraryId", int)
ScanId = NewType("ScanId", int)
BatchId = NewType("BatchId", int)
AnalysisId = NewType("AnalysisId", int)
FileId = NewType("FileId", int)
DispatchId = NewType("DispatchId", int)
NodeName = NewType("NodeName", str)
FencingToken = NewType("FencingToken", int)
ContentId = NewType("ContentId", str)
"""blake3 of the whole file, 64 hexadecimal digits."""
Fingerprint = NewType("Fingerprint", str)
"""blake3 of a plan's canonical JSON and the tool versions, 64 hexadecimal digits."""


def _as_fraction(value: object) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if isinstance(value, float):
        raise ValueError("a float is not a rational: write '30000/1001'")  # noqa: TRY004 - pydantic's
    if isinstance(value, (int, str)):
        try:
            return Fraction(value)
        except ZeroDivisionError as error:
            raise ValueError(f"not a rational: {value!r}") from error
    raise ValueError(f"not a rational: {value!r}")


Rational = Annotated[
    Fraction,
    BeforeValidator(_as_fraction, json_schema_input_type=int | str),
    PlainSerializer(str, return_type=str),
]
"""An exact number of seconds, or a ratio; in JSON '30000/1001' (or an integer as text)."""

Priority = Annotated[int, Field(ge=0, le=100)]


class Frozen(BaseModel):
    """A value: immutable, strict about unknown fields; bytes are base64 in JSON."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

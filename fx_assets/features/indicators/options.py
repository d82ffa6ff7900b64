"""Types of options: lists of periods in bars. Strict options take a list, as YAML gives it, not a tuple."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

T = TypeVar("T")
_LONGEST = 2_000


def _each_once(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise ValueError("each may stand once")
    return values


EACH_ONCE = AfterValidator(_each_once)
UP_TO_TWENTY = Field(max_length=20)

Periods = Annotated[list[Annotated[int, Field(ge=1, le=_LONGEST)]], UP_TO_TWENTY, EACH_ONCE]
# Of one bar there is no average, band or slope.
LongPeriods = Annotated[list[Annotated[int, Field(ge=2, le=_LONGEST)]], UP_TO_TWENTY, EACH_ONCE]
# Of fewer there is no shape; the variance ratio takes returns of five bars from them.
SamplePeriods = Annotated[list[Annotated[int, Field(ge=10, le=_LONGEST)]], UP_TO_TWENTY, EACH_ONCE]

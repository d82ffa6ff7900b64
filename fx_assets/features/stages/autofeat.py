"""Formulas of other features that say something of the target, found by autofeat on training rows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fx_assets.features.autofeat.formulas import Formula, column_name, compiled
from fx_assets.features.autofeat.inputs import LEAST_ROWS, given_to_autofeat
from fx_assets.features.autofeat.remote import Outcome, search_formulas
from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray
from fx_assets.features.stages.base import Fit, FittedStage, Json, Sample, StageOptions

Transformation = Literal["1/", "exp", "log", "abs", "sqrt", "^2", "^3", "1+", "1-", "sin", "cos", "exp-", "2^"]

# How often a value may exceed the largest of the training rows. A crisis gives 300 times the cube of the worst day
# before; near a pole of 1/x there is no bound.
_REACH = 1000.0
_COLUMN = re.compile(r"\bx(\d{3})\b")
_PLAIN = re.compile(r"[A-Za-z_]\w*")


class AutofeatOptions(StageOptions):
    """`steps`: autofeat's feateng_steps; 1 transforms columns, 2 multiplies two such, 3 transforms again.

    `inputs`: how many columns it may use; `rows`: how many it is shown, spread over all; `memory_mb`: address space
    of its process, of which importing autofeat takes 800.
    """

    inputs: int = Field(default=20, ge=1, le=20)
    steps: int = Field(default=1, ge=1, le=3)
    transformations: Annotated[list[Transformation], Field(min_length=1)] = Field(
        default=["1/", "exp", "log", "abs", "sqrt", "^2", "^3"]
    )
    max_features: int = Field(default=20, ge=1, le=200)
    rows: int = Field(default=5000, ge=LEAST_ROWS, le=50_000)
    time_limit_s: float = Field(default=300.0, gt=0)
    memory_mb: int = Field(default=4096, ge=1024)


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    expression: str
    limit: float = Field(gt=0, allow_inf_nan=False)


class _Params(BaseModel):
    """What a fit leaves: formulas of the columns `inputs`, called x000, x001, ... in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    formulas: list[_Saved]
    inputs: list[str]

    @cached_property
    def compiled(self) -> list[Formula]:
        return [compiled(saved.expression, len(self.inputs)) for saved in self.formulas]


class Autofeat(FittedStage):
    """Passes on what it is given and appends a column for each formula, `autofeat__<formula>`.

    A value is NaN where an input is missing, where the formula has no finite value (a division by zero, an overflow),
    and where it is absurd: more than 1,000 times the largest of the training rows.
    """

    name = "autofeat"
    priority = 40
    Options = AutofeatOptions

    def fit(self, sample: Sample, options: Any, *, scratch: Path, seed: int) -> Fit:
        """Formulas that autofeat finds on the sample; none, and a report that says why, where it finds or ends none.

        The seed changes nothing: rows and columns are chosen by rule, and autofeat seeds its own numbers.
        """
        del seed
        given = given_to_autofeat(sample, inputs=options.inputs, rows=options.rows)
        if not given.columns or len(given.target) < LEAST_ROWS:
            found = f"{len(given.columns)} usable columns and {len(given.target)} rows without a gap"
            outcome = Outcome("nothing found", f"{found}; it takes one column and {LEAST_ROWS} rows")
        else:
            outcome = search_formulas(
                given.values,
                given.target,
                scratch=scratch,
                **options.model_dump(include={"steps", "transformations", "max_features", "time_limit_s", "memory_mb"}),
            )
        inputs = [sample.names[number] for number in given.columns]
        params = _params(outcome.expressions, given.values, inputs)
        report = {
            "status": outcome.status,
            "reason": outcome.reason,
            "inputs": inputs,
            "rows": len(given.target),
            "formulas": [
                {"name": saved.name, "inputs": [params.inputs[number] for number in formula.columns]}
                for saved, formula in zip(params.formulas, params.compiled, strict=True)
            ],
            "refused": [_readable(expression, inputs) for expression in outcome.refused],
        }
        return Fit(params=params.model_dump(), report=report)

    def names(self, given: tuple[str, ...], params: Json) -> tuple[str, ...]:
        """Those given, then those of the formulas. Raises `FeatureError` where a name stands twice."""
        names = (*given, *(saved.name for saved in _read(params).formulas))
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise FeatureError(f"stage {self.name!r}: columns {twice} stand twice; rename one of each")
        return names

    def transform(self, given: tuple[str, ...], values: FloatArray, params: Json) -> FloatArray:
        """Columns (n, k + m) from columns (n, k). Raises `FeatureError` for formulas that are not autofeat's too."""
        saved = _read(params)
        missing = sorted(set(saved.inputs) - set(given))
        if missing:
            raise FeatureError(f"stage {self.name!r}: its formulas need columns {missing}, which are not given")
        inputs = values[:, [given.index(name) for name in saved.inputs]]
        made = [formula(inputs) for formula in saved.compiled]
        limits = [formula.limit for formula in saved.formulas]
        within = [np.where(np.abs(column) <= limit, column, np.nan) for column, limit in zip(made, limits, strict=True)]
        return np.column_stack([values, *within])

    def costs(self, given: Mapping[str, float], params: Json) -> dict[str, float]:
        """A formula costs what its inputs cost, and 1."""
        saved = _read(params)
        made = {
            each.name: 1.0 + sum(given.get(saved.inputs[number], 1.0) for number in formula.columns)
            for each, formula in zip(saved.formulas, saved.compiled, strict=True)
        }
        return {**given, **made}


def _params(expressions: tuple[str, ...], values: FloatArray, inputs: list[str]) -> _Params:
    """The formulas, with no more inputs than they read. `values` (n, k): the training rows, of `inputs`."""
    formulas = [compiled(expression, len(inputs)) for expression in expressions]
    used = sorted({number for formula in formulas for number in formula.columns})
    place = {number: column_name(new) for new, number in enumerate(used)}
    return _Params(
        inputs=[inputs[number] for number in used],
        formulas=[
            _Saved(
                name=f"autofeat__{_readable(formula.expression, inputs)}",
                expression=_COLUMN.sub(lambda found: place[int(found[1])], formula.expression),
                limit=_REACH * float(np.abs(formula(values)).max()),
            )
            for formula in formulas
        ],
    )


def _read(params: Json) -> _Params:
    # A prediction transforms one window after the other with the same formulas.
    return _parsed(json.dumps(params, sort_keys=True))


@lru_cache(maxsize=64)
def _parsed(text: str) -> _Params:
    try:
        return _Params.model_validate_json(text)
    except ValidationError as error:
        raise FeatureError(f"what stage 'autofeat' learned cannot be read: {error}; train again") from error


def _readable(expression: str, inputs: list[str]) -> str:
    """An expression with the names of columns in it; those that are no plain word in brackets."""

    def named(found: re.Match[str]) -> str:
        name = inputs[int(found[1])]
        return name if _PLAIN.fullmatch(name) else f"[{name}]"

    return _COLUMN.sub(named, expression)

"""Checks a feature set before anything is computed: stages, options, and what the prices can carry."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from pydantic import ValidationError

from fx_assets.features.errors import UnknownStageError
from fx_assets.features.stages.base import BAR_COLUMNS, FIXING_COLUMNS, FittedStage, Stage, StatelessStage, stage
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import FeatureSetSpec, StageSpec

SELECTION = "selection"
_CARRIED = {"fixing": FIXING_COLUMNS, "bar": BAR_COLUMNS}


def stage_problems(spec: FeatureSetSpec, kinds_of_price: Set[str]) -> list[tuple[str, str]]:
    """Problems of `spec` as (dotted field path, message); empty where it is sound.

    `kinds_of_price` are the kinds ("fixing", "bar") of the pairs that the set is computed for. Found are unknown stages
    (with the nearest name), bad options, range and tick features on fixings, a stage that stands twice, stages out of
    order, and two stages with a column of one name.
    """
    problems: list[tuple[str, str]] = []
    owners: dict[str, int] = {}
    seen: list[tuple[int, Stage]] = []
    for index, item in enumerate(spec.stages):
        path = f"stages.{index}"
        try:
            found, options = stage(item.stage), stage(item.stage).Options.model_validate(item.options)
        except UnknownStageError as error:
            problems.append((f"{path}.stage", str(error)))
            continue
        except ValidationError as error:
            problems += _option_problems(f"{path}.options", item, error)
            continue
        if isinstance(found, StatelessStage):
            problems += _of_stateless(found, options, path, spec, kinds_of_price)
        if not item.enabled:
            continue
        problems += _out_of_place(found, path, seen)
        seen.append((index, found))
        if isinstance(found, StatelessStage):
            problems += _column_problems(path, index, [column.name for column in found.columns(options)], owners)
    if not problems and not owners:
        problems.append(("stages", "no stage is enabled with a column; name at least one indicator"))
    return problems


def _of_stateless(
    found: StatelessStage, options: Any, path: str, spec: FeatureSetSpec, kinds_of_price: Set[str]
) -> list[tuple[str, str]]:
    problems = [(f"{path}.options.{where}", message) for where, message in found.problems(options, spec.frequency)]
    for kind in sorted(kinds_of_price):
        missing = found.needs(options) - _CARRIED[kind]
        if missing:
            message = f"stage {found.name!r} needs {', '.join(sorted(missing))}, which a {kind} does not have"
            problems.append((f"{path}.stage", f"{message}; use it on pairs whose source gives bars"))
    return problems


def _out_of_place(found: Stage, path: str, seen: list[tuple[int, Stage]]) -> list[tuple[str, str]]:
    """Each stage once, the fitted ones behind the others, the selection behind all."""
    for index, before in seen:
        if before.name == found.name:
            return [(f"{path}.stage", f"stage {found.name!r} stands already as stages.{index}; put its options there")]
        if before.name == SELECTION:
            return [(f"{path}.stage", f"stage {found.name!r} stands after the selection, which chooses among all")]
        if isinstance(before, FittedStage) and isinstance(found, StatelessStage):
            return [(f"{path}.stage", f"stage {found.name!r} has to stand before the fitted stage {before.name!r}")]
    return []


def _option_problems(path: str, item: StageSpec, error: ValidationError) -> list[tuple[str, str]]:
    known = stage(item.stage).Options.model_fields
    problems = []
    for detail in error.errors():
        where = ".".join(str(part) for part in detail["loc"])
        message = str(detail["msg"]).removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            message = f"unknown option.{nearest(str(detail['loc'][-1]), known)}"
        problems.append((f"{path}.{where}" if where else path, message))
    return problems


def _column_problems(path: str, index: int, columns: list[str], owners: dict[str, int]) -> list[tuple[str, str]]:
    problems = []
    for column in columns:
        if column in owners:
            problems.append((f"{path}.options", f"column {column!r} is also made by stages.{owners[column]}"))
        owners.setdefault(column, index)
    return problems

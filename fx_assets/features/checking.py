"""Checks a feature set before anything is computed: stages, options, and what the prices can carry."""

from __future__ import annotations

from collections.abc import Set

from pydantic import BaseModel, ValidationError

from fx_assets.features.errors import FeatureError, UnknownStageError
from fx_assets.features.stages.base import BAR_COLUMNS, FIXING_COLUMNS, Stage, stage
from fx_assets.specs.problems import nearest
from fx_assets.specs.schema import FeatureSetSpec, StageSpec

_CARRIED = {"fixing": FIXING_COLUMNS, "bar": BAR_COLUMNS}


def check_stages(spec: FeatureSetSpec, kinds_of_price: Set[str]) -> list[str]:
    """`stage_problems` as one line each, `path: message`."""
    return [f"{path}: {message}" for path, message in stage_problems(spec, kinds_of_price)]


def stage_problems(spec: FeatureSetSpec, kinds_of_price: Set[str]) -> list[tuple[str, str]]:
    """Problems of `spec` as (dotted field path, message); empty where it is sound.

    `kinds_of_price` are the kinds ("fixing", "bar") of the pairs that the set is computed for. Found
    are unknown stages (with the nearest name), bad options, range and tick features on fixings, and
    two stages with a column of one name.
    """
    problems: list[tuple[str, str]] = []
    owners: dict[str, int] = {}
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
        for kind in sorted(kinds_of_price):
            missing = found.needs - _CARRIED[kind]
            if missing:
                message = f"stage {item.stage!r} needs {', '.join(sorted(missing))}, which a {kind} does not have"
                problems.append((f"{path}.stage", f"{message}; use it on pairs whose source gives bars"))
        if item.enabled:
            problems += _column_problems(path, index, found.columns(options), owners)
    if not problems and not owners:
        problems.append(("stages", "no stage is enabled with a column; name at least one indicator"))
    return problems


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


def enabled_stages(spec: FeatureSetSpec) -> list[tuple[Stage, BaseModel]]:
    """The enabled stages with their parsed options, in order. Raises `FeatureError` with every problem."""
    problems = check_stages(spec, set())
    if problems:
        raise FeatureError(f"feature set {spec.name!r}: {'; '.join(problems)}")
    return [(stage(s.stage), stage(s.stage).Options.model_validate(s.options)) for s in spec.stages if s.enabled]

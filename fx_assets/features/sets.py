"""A feature set as its stages: the columns they make, what they read, the tables these lie in. Loads fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fx_assets.features.stages.base import Column, FittedStage, Stage, StatelessStage, stage
from fx_assets.features.version import CODE_VERSION
from fx_assets.specs.schema import FeatureSetSpec, Frequency
from fx_assets.storage.hashing import fingerprint


@dataclass(frozen=True)
class Step:
    """An enabled stateless stage of a set, with its parsed options."""

    stage: StatelessStage
    options: Any
    frequency: Frequency

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.stage.name

    @cached_property
    def columns(self) -> list[Column]:
        """The features it makes, in order."""
        return self.stage.columns(self.options)

    @property
    def lookback(self) -> int:
        """Rows before its first complete one."""
        return self.stage.lookback(self.options, self.frequency)

    @property
    def hash(self) -> str:
        """Eight hex digits that change whenever its columns could mean something else."""
        # An option that is as it is without saying so does not count: a new one leaves all sets as they are.
        said = self.options.model_dump(mode="json", exclude_defaults=True)
        return fingerprint("stage", CODE_VERSION, self.frequency, self.name, said, _names(self))[:8]


def steps(spec: FeatureSetSpec) -> list[Step]:
    """The enabled stateless stages, in order, of a set that `checking` found sound."""
    return [
        Step(found, options, spec.frequency) for found, options in _enabled(spec) if isinstance(found, StatelessStage)
    ]


def fitted_steps(spec: FeatureSetSpec) -> list[tuple[FittedStage, Any]]:
    """The enabled fitted stages with their parsed options, in order."""
    return [(found, options) for found, options in _enabled(spec) if isinstance(found, FittedStage)]


def feature_schema(spec: FeatureSetSpec) -> tuple[str, ...]:
    """Names of the candidate columns, in order: what the set's table holds, before any fitted stage."""
    return tuple(name for step in steps(spec) for name in _names(step))


def origins_of(spec: FeatureSetSpec) -> dict[str, tuple[Step, Column]]:
    """By candidate column: the stage that makes it, and what it says of it."""
    return {column.name: (step, column) for step in steps(spec) for column in step.columns}


def table_hash(spec: FeatureSetSpec) -> str:
    """Eight hex digits that change whenever a candidate column could mean something else."""
    return fingerprint("features", CODE_VERSION, spec.frequency, [step.hash for step in steps(spec)])[:8]


def schema_hash(spec: FeatureSetSpec) -> str:
    """Eight hex digits that change with the candidate columns, and with how fitted stages treat them."""
    fitted = [[found.name, options.model_dump(mode="json")] for found, options in fitted_steps(spec)]
    return fingerprint(table_hash(spec), fitted)[:8] if fitted else table_hash(spec)


def table_name(spec: FeatureSetSpec) -> str:
    """Lake table of the set; a table never changes its columns, so they are in its name."""
    return f"features/{spec.name}-{table_hash(spec)}"


def stage_table(spec: FeatureSetSpec, step: Step) -> str:
    """Lake table of one stage of the set."""
    return f"features/{spec.name}/{step.name}-{step.hash}"


def lookback(spec: FeatureSetSpec) -> int:
    """Rows at the start of a history that have no features: the longest look-back of any stage."""
    return max(step.lookback for step in steps(spec))


def needs(chosen: Sequence[Step]) -> tuple[str, ...]:
    """Columns of bars that the stages read, sorted; `close` always."""
    return tuple(sorted({"close"}.union(*(step.stage.needs(step.options) for step in chosen))))


def others(chosen: Sequence[Step], pair: str, known: Sequence[str]) -> tuple[str, ...]:
    """Other pairs that the stages read for `pair`, sorted."""
    rest = [name for name in known if name != pair]
    return tuple(sorted({name for step in chosen for name in step.stage.others(step.options, pair, rest)}))


def exog(chosen: Sequence[Step]) -> tuple[str, ...]:
    """Exogenous series that the stages read, as `group/SERIES`, sorted."""
    return tuple(sorted({name for step in chosen for name in step.stage.exog(step.options)}))


def _enabled(spec: FeatureSetSpec) -> list[tuple[Stage, Any]]:
    found = [(stage(item.stage), item) for item in spec.stages if item.enabled]
    return [(made, made.Options.model_validate(item.options)) for made, item in found]


def _names(step: Step) -> list[str]:
    return [column.name for column in step.columns]

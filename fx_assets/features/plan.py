"""What the fitted stages learned from one training: it travels with the checkpoint and needs numpy alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray
from fx_assets.features.sets import fitted_steps, origins_of
from fx_assets.features.stages.base import FittedStage, Json, Sample, stage
from fx_assets.specs.schema import FeatureSetSpec

PLAN = "features.json"
FORMAT = 1


@dataclass(frozen=True)
class FeaturePlan:
    """From the candidate columns to those that a model sees.

    `given`: the candidates, in order; `steps`: (stage, what it learned), in order; `reports`: by stage, for people;
    `names`: the columns it ends with.
    """

    given: tuple[str, ...]
    steps: tuple[tuple[str, Json], ...]
    reports: Mapping[str, Json]
    names: tuple[str, ...]

    def apply(self, values: FloatArray) -> FloatArray:
        """Columns (n, m) of `names` from candidates (n, k), row by row. Raises `FeatureError` for another width."""
        if values.ndim != 2 or values.shape[1] != len(self.given):
            raise FeatureError(f"expected rows of {len(self.given)} candidate features, got shape {values.shape}")
        names = self.given
        for name, params in self.steps:
            found = _fitted(name)
            values = found.transform(names, np.ascontiguousarray(values), params)
            names = found.names(names, params)
        return np.ascontiguousarray(values)

    def dump(self) -> bytes:
        """Canonical JSON; equal plans give equal bytes."""
        document = {
            "format": FORMAT,
            "given": self.given,
            "steps": [{"stage": name, "params": params} for name, params in self.steps],
            "reports": self.reports,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def load_plan(content: bytes) -> FeaturePlan:
    """The plan from `features.json`. Raises `FeatureError` naming what is wrong with it."""
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise FeatureError(f"{PLAN} has format {document['format']!r}, this version reads {FORMAT}; train again")
        steps = tuple((str(step["stage"]), dict(step["params"])) for step in document["steps"])
        return _plan(tuple(map(str, document["given"])), steps, document["reports"])
    except (ValueError, KeyError, TypeError, RecursionError, LookupError) as error:
        raise FeatureError(f"{PLAN} cannot be read ({type(error).__name__}: {error}); train again") from error


def fit_plan(
    spec: FeatureSetSpec,
    values: Sequence[FloatArray],
    targets: Sequence[FloatArray],
    *,
    scratch: Path,
    seed: int,
) -> FeaturePlan | None:
    """Fit the set's fitted stages, one after the other, on training rows only; None where the set has none.

    `values`: for each pair its candidates (n, k), rows by time, whose targets (n,) lie in the training part too.
    Raises `FeatureError` where there is no row.
    """
    fitted = fitted_steps(spec)
    if not fitted:
        return None
    origins = origins_of(spec)
    given = tuple(origins)
    sample = Sample(
        names=given,
        values=np.concatenate(values),
        target=np.concatenate(targets),
        groups=np.repeat(np.arange(len(values)), [len(rows) for rows in values]),
        stages=np.array([step.stage.priority for step, _ in origins.values()], dtype=np.int64),
        costs=np.array([column.cost for _, column in origins.values()]),
    )
    if not len(sample.values):
        raise FeatureError(f"feature set {spec.name!r}: no training row to fit its stages on")
    steps: list[tuple[str, Json]] = []
    reports: dict[str, Json] = {}
    for found, options in fitted:
        fit = found.fit(sample, options, scratch=scratch, seed=seed)
        steps.append((found.name, fit.params))
        reports[found.name] = fit.report
        sample = _after(sample, found, fit.params)
    return _plan(given, tuple(steps), reports)


def _plan(given: tuple[str, ...], steps: tuple[tuple[str, Json], ...], reports: Mapping[str, Json]) -> FeaturePlan:
    names = given
    for name, params in steps:
        names = _fitted(name).names(names, params)
    return FeaturePlan(given, steps, reports, names)


def _after(sample: Sample, found: FittedStage, params: Json) -> Sample:
    names = found.names(sample.names, params)
    costs = found.costs(dict(zip(sample.names, sample.costs.tolist(), strict=True)), params)
    known: dict[str, Any] = dict(zip(sample.names, sample.stages.tolist(), strict=True))
    return Sample(
        names=names,
        values=found.transform(sample.names, sample.values, params),
        target=sample.target,
        groups=sample.groups,
        stages=np.array([known.get(name, found.priority) for name in names], dtype=np.int64),
        costs=np.array([costs[name] for name in names]),
    )


def _fitted(name: str) -> FittedStage:
    found = stage(name)
    if not isinstance(found, FittedStage):
        raise FeatureError(f"stage {name!r} of {PLAN} is not a fitted one; train again")
    return found

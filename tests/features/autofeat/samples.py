"""Training parts for autofeat: drawn at random, and one with a relation planted in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fx_assets.features.frames import FloatArray
from fx_assets.features.stages.autofeat import Autofeat, AutofeatOptions
from fx_assets.features.stages.base import Fit, Sample
from tests.features.autofeat.library import columns

# Enough to find what is planted, and no more.
PRODUCTS: dict[str, Any] = {"steps": 2, "transformations": ["log", "^2"]}
# Of these a hash seed of 1 makes it choose otherwise than 0 does.
MANY: dict[str, Any] = {"steps": 2, "transformations": ["log", "^2", "1/", "^3", "abs"]}


def planted(rows: int = 300) -> Sample:
    """The target is log|x| times y; noise is noise."""
    values = columns(seed=5, rows=rows)
    rng = np.random.default_rng(6)
    target = np.log(np.abs(values[:, 0])) * values[:, 1] + rng.normal(0, 0.05, rows)
    return sample({"ATR(14)": values[:, 0], "momentum": values[:, 1], "noise": rng.normal(size=rows)}, target)


def fit(given: Sample, scratch: Path, *, seed: int = 1, **options: Any) -> Fit:
    return Autofeat().fit(given, AutofeatOptions(**options), scratch=scratch, seed=seed)


def sample(columns: dict[str, FloatArray], target: FloatArray, **changes: Any) -> Sample:
    k = len(columns)
    return Sample(
        **{
            "names": tuple(columns),
            "values": np.column_stack(list(columns.values())) if columns else np.empty((len(target), 0)),
            "target": target,
            "groups": np.zeros(len(target), dtype=np.int64),
            "stages": np.full(k, 10, dtype=np.int64),
            "costs": np.ones(k),
            **changes,
        }
    )


def normal(seed: int, n: int = 400) -> FloatArray:
    return np.random.default_rng(seed).normal(size=n)

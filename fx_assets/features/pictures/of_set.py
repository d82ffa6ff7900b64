"""What people see of a feature set in the UI: pictures and tables of a sample of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.features.checking import SELECTION
from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray
from fx_assets.features.pictures.charts import drift_chart, missing_chart
from fx_assets.features.pictures.drift import drift
from fx_assets.features.pictures.redundancy import dropped_table, redundancy_map
from fx_assets.features.pictures.tables import cost_table, drift_table, missing_table
from fx_assets.features.pipeline import values_of
from fx_assets.features.redundancy import correlations
from fx_assets.features.sets import fitted_steps, origins_of
from fx_assets.features.stages.base import FittedStage, Sample, stage
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.timegrid.windows import EvaluationWindow

LATEST = np.timedelta64(30, "D")
_SHORT = "insufficient_history"


@dataclass(frozen=True, eq=False)
class _Sampled:
    """The sample as arrays: `values` (n, k) of `names` made by `stages`; `training`, `latest`: numbers of rows.

    `problem`: why no row is for training, or empty.
    """

    spec: FeatureSetSpec
    title: str
    names: tuple[str, ...]
    stages: tuple[str, ...]
    values: FloatArray
    dates: NDArray[np.datetime64]
    training: NDArray[np.int64]
    latest: NDArray[np.int64]
    problem: str

    @property
    def trained(self) -> str:
        """The training rows in words."""
        return f"{len(self.training):,} training rows up to {self.dates[self.training[-1]]}"


def set_pictures(
    spec: FeatureSetSpec, sample: pa.Table, stages: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, bytes], dict[str, str]]:
    """PNGs and Markdown tables by name: `redundancy`, `dropped`, `cost`, `missing`, `drift`.

    `sample`: rows of one pair's candidate matrix by time, the newest block among them; `stages`: facts of each stage's
    last update, by its name. Pictures only where there is something to see, each under 100 kB. Equal input gives equal
    bytes.
    """
    rows = _sampled(spec, sample)
    pictures: dict[str, bytes | None] = {}
    tables: dict[str, str] = {}
    pictures["redundancy"], tables["dropped"] = _redundancy(rows)
    pictures["missing"], tables["missing"] = _missing(rows)
    pictures["drift"], tables["drift"] = _drift(rows)
    tables["cost"] = cost_table(spec, stages)
    return {name: picture for name, picture in pictures.items() if picture is not None}, tables


def _sampled(spec: FeatureSetSpec, sample: pa.Table) -> _Sampled:
    origins = origins_of(spec)
    ends = sample.column("end").to_numpy().astype("datetime64[us]")
    dates = sample.column("trading_date").to_numpy().astype("datetime64[D]")
    training, problem = np.empty(0, dtype=np.int64), ""
    try:
        window = EvaluationWindow.held_out_year(ends, refit_every="month")
    except ValueError as error:
        if not str(error).startswith(_SHORT):
            raise
        problem = str(error)
    else:
        training = window.origins(ends, window=1, horizon=1, part="train")
        if not len(training):
            problem = f"{_SHORT}: no two sampled rows lie before {window.train_until:%Y-%m-%d}, where training ends"
    return _Sampled(
        spec=spec,
        title=" ".join([*sample.column("pair").slice(0, 1).to_pylist(), spec.name]),
        names=tuple(origins),
        stages=tuple(step.name for step, _ in origins.values()),
        values=np.column_stack([values_of(sample, name) for name in origins]),
        dates=dates,
        training=training,
        latest=np.flatnonzero(dates > dates.max() - LATEST) if len(dates) else np.empty(0, dtype=np.int64),
        problem=problem,
    )


def _redundancy(rows: _Sampled) -> tuple[bytes | None, str]:
    """What the set's stage `selection` would drop, or one with default options where the set has none."""
    fitted = {found.name: (found, options) for found, options in fitted_steps(rows.spec)}
    found, options = fitted.get(SELECTION) or _selection()
    said = "The live checkpoint's own choice is at selection/<model_id>."
    if SELECTION not in fitted:
        said = f"The set has no stage `{SELECTION}`: this is what its defaults would drop."
    if others := sorted(set(fitted) - {SELECTION}):
        said += f" What {', '.join(others)} would add in a training is not among these."
    if rows.problem:
        return None, f"No preview of what would be dropped. {rows.problem}."
    heading = f"Preview on {rows.trained}. {said}"
    with TemporaryDirectory() as scratch:
        try:
            fit = found.fit(_training_sample(rows), options, scratch=Path(scratch), seed=0)
        except FeatureError as error:
            return None, f"{heading}\n\n{error}"
    picture = redundancy_map(
        f"{rows.title}: preview on {rows.trained}",
        rows.names,
        rows.stages,
        correlations(rows.values[rows.training]),
        kept=fit.params["keep"],
        threshold=fit.report["threshold"],
    )
    return picture, f"{heading}\n\n{dropped_table(fit.report)}"


def _selection() -> tuple[FittedStage, Any]:
    found = stage(SELECTION)
    assert isinstance(found, FittedStage)
    return found, found.Options()


def _training_sample(rows: _Sampled) -> Sample:
    origins = origins_of(rows.spec).values()
    count = len(rows.training)
    return Sample(
        names=rows.names,
        values=rows.values[rows.training],
        # The selection looks at no target.
        target=np.zeros(count),
        groups=np.zeros(count, dtype=np.int64),
        stages=np.array([step.stage.priority for step, _ in origins], dtype=np.int64),
        costs=np.array([column.cost for _, column in origins]),
    )


def _missing(rows: _Sampled) -> tuple[bytes | None, str]:
    gaps, count = np.isnan(rows.values).sum(axis=0), len(rows.values)
    table = missing_table(rows.names, rows.stages, gaps, count)
    if not gaps.any():
        return None, table
    return missing_chart(f"{rows.title}: missing values", f"{count:,} sampled rows", rows.names, gaps / count), table


def _drift(rows: _Sampled) -> tuple[bytes | None, str]:
    if rows.problem:
        return None, f"Nothing to compare the latest rows with. {rows.problem}."
    found = drift(rows.values[rows.training], rows.values[rows.latest])
    first, last = rows.dates[rows.latest].min(), rows.dates[rows.latest].max()
    said = f"{len(rows.latest):,} sampled rows from {first} to {last} against {rows.trained}"
    table = drift_table(rows.names, rows.stages, found, said)
    return drift_chart(f"{rows.title}: drift of the latest month", said, rows.names, found), table

"""The walk forward: earlier selves of a model, each learned anew and asked for what came after it.

A fold's self is trained by the trainer that trains at night, searches and fitted features included, on rows that end an
embargo before the fold's first origin. It forecasts every origin of its fold; the last fold ends where the held-out
year of the live version begins, so that the two together are one series of forecasts that were never learned from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.evaluation.judge import Forecasts
from fx_assets.evaluation.version import CODE_VERSION
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.calibration import Calibration
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.ranges import narrowed
from fx_assets.models.registry import predictor_class
from fx_assets.models.version import CODE_VERSION as MODELS_VERSION
from fx_assets.settings import Settings
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Lake
from fx_assets.timegrid.windows import EvaluationWindow, Period
from fx_assets.training.digest import history_digest
from fx_assets.training.materials import Materials
from fx_assets.training.trainers import train
from fx_assets.training.version import CODE_VERSION as TRAINING_VERSION

_UTC = pa.timestamp("us", tz="UTC")
# One row for each origin of a pair. `pair`: the partition it lies in (PANEL for a panel's), `symbol`: the pair itself;
# `z`, `calibrated_on`: the fold's calibration, on the pair's first row of it.
WALK_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("symbol", pa.string()),
        pa.field("fold", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("trained_until", _UTC),
        pa.field("origin", _UTC),
        pa.field("location", pa.list_(pa.float64())),
        pa.field("scale", pa.list_(pa.float64())),
        pa.field("z", pa.list_(pa.float64())),
        pa.field("calibrated_on", pa.int32()),
    ]
)
_NAMES: Mapping[Period, str] = {"year": "%Y", "quarter": "%Y-%m", "month": "%Y-%m", "day": "%Y-%m-%d"}


@dataclass(frozen=True)
class Fold:
    """One earlier self: its name, such as `walk-2021`, its cuts, and all that decides its numbers."""

    name: str
    cuts: EvaluationWindow
    fingerprint: str


def folds(spec: ModelSpec, histories: Mapping[str, PairHistory]) -> list[Fold]:
    """The folds of a model's walk before its held-out year, oldest first; none where the history is too short.

    They are cut by the longest of `histories`.
    """
    asked = spec.evaluation
    if asked.years == 0 or not histories:
        return []
    longest = max(histories.values(), key=lambda history: history.ends[-1])
    training = spec.training
    try:
        year = EvaluationWindow.held_out_year(
            longest.ends, refit_every=training.refit_every, validation_years=training.validation_years
        )
        cuts = EvaluationWindow.walk_forward(
            longest.until(year.validate_until).ends,
            first=_before(year.validate_until, asked.years),
            refit_every=asked.refit_every,
            validation_years=training.validation_years,
            embargo=spec.horizon if asked.embargo is None else asked.embargo,
        )
    except ValueError as error:
        if not str(error).startswith("insufficient_history"):
            raise
        return []
    return [Fold(_name(each, spec, longest), each, _fingerprint(spec, histories, each)) for each in cuts]


def walked(
    spec: ModelSpec, materials: Materials, scope: str, *, settings: Settings, known: pa.Table | None = None
) -> Iterator[tuple[Fold, pa.Table]]:
    """Each fold with its rows of `WALK_SCHEMA`, oldest first. A fold that `known` has whole is not learned again.

    `scope`: the pair, or PANEL. Raises as `training.trainers.train` does.
    """
    for fold in folds(spec, materials.histories):
        origins = {pair: _origins(spec, history, fold.cuts) for pair, history in materials.histories.items()}
        able = {
            pair: materials.histories[pair] for pair in origins if _able(spec, materials.histories[pair], fold.cuts)
        }
        rows = _on_record(known, fold, {pair: able[pair].ends[origins[pair]] for pair in able})
        if rows is None and able:
            trained = train(spec, replace(materials, histories=able), fold.cuts, settings=settings)
            parts = [_forecast(spec, trained.files, able[pair], origins[pair], fold, scope) for pair in able]
            rows = pa.concat_tables(parts)
        yield fold, WALK_SCHEMA.empty_table() if rows is None else rows


@dataclass(frozen=True)
class Maker:
    """Which earlier self made a forecast."""

    fold: str
    fingerprint: str
    trained_until: datetime


def forecasts_of(
    table: pa.Table, history: PairHistory, steps: tuple[int, ...]
) -> tuple[Forecasts, Calibration, list[Maker]] | None:
    """The forecasts of the history's pair on record at `steps`, the calibration to begin with, and who made each.

    None without any. Rows of bars that were taken back since are passed over.
    """
    rows = table.filter(pc.equal(table.column("symbol"), history.pair)).sort_by("origin")
    ends = rows.column("origin").to_numpy().astype("datetime64[us]")
    held = np.isin(ends, history.ends)
    if not held.any():
        return None
    first = rows.filter(pc.is_valid(rows.column("z"))).slice(0, 1).to_pylist()[0]
    rows = rows.filter(pa.array(held))
    wanted = np.asarray(steps) - 1
    masses = len(first["z"]) // len(first["location"])
    calibration = narrowed(Calibration(first["calibrated_on"], np.array(first["z"]).reshape(-1, masses)), steps)
    forecasts = Forecasts(
        rows=np.searchsorted(history.ends, ends[held]),
        steps=steps,
        location=_matrix(rows, "location")[:, wanted],
        scale=_matrix(rows, "scale")[:, wanted],
    )
    names = ("fold", "fingerprint", "trained_until")
    made = [Maker(**row) for row in rows.select(names).to_pylist()]
    return forecasts, calibration, made


def walk_table(model_id: str) -> str:
    """Lake table of a model's walk forward."""
    return f"walk/{model_id}"


def self_name(fold: str, fingerprint: str) -> str:
    """What the scores of an earlier self are on record under, in place of a version."""
    return f"{fold}-{fingerprint[:8]}"


def selves_on_record(lake: Lake, model_id: str, scope: str) -> list[str]:
    """The names of the earlier selves in a model's stored walk forward of a pair (or "panel"); none without a walk."""
    return self_names(lake.find(walk_table(model_id), scope.upper(), columns=("fold", "fingerprint")))


def selves_of(lake: Lake, spec: ModelSpec, pair: str) -> list[str]:
    """`selves_on_record` of a model as it is configured: one that is walked no more has a walk of what it was."""
    return selves_on_record(lake, spec.model_id, spec.kept_under(pair)) if spec.evaluation.years else []


def self_names(table: pa.Table | None) -> list[str]:
    """The names of the earlier selves in a walk forward, sorted; none where there is no walk."""
    if table is None:
        return []
    rows = table.group_by(["fold", "fingerprint"]).aggregate([]).to_pylist()
    return sorted(self_name(row["fold"], row["fingerprint"]) for row in rows)


def _on_record(known: pa.Table | None, fold: Fold, wanted: Mapping[str, NDArray[np.datetime64]]) -> pa.Table | None:
    """The fold's rows, where `known` has all that are wanted."""
    if known is None:
        return None
    rows = known.filter(
        pc.and_(pc.equal(known.column("fold"), fold.name), pc.equal(known.column("fingerprint"), fold.fingerprint))
    )
    for pair, ends in wanted.items():
        own = rows.filter(pc.equal(rows.column("symbol"), pair)).column("origin").to_numpy()
        if len(np.setdiff1d(ends, own.astype("datetime64[us]"))):
            return None
    return rows


def _forecast(
    spec: ModelSpec, files: Mapping[str, bytes], history: PairHistory, rows: NDArray[np.int64], fold: Fold, scope: str
) -> pa.Table:
    cls = predictor_class(spec.kind)
    own = history if cls.uses_features else history.bare()
    predictor = cls(spec, own.columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
    prediction = predictor.predict(*windows(own, rows, spec))
    calibration = predictor.calibrations[history.pair]
    count = len(rows)
    columns: dict[str, Any] = {
        "pair": [scope] * count,
        "symbol": [history.pair] * count,
        "fold": [fold.name] * count,
        "fingerprint": [fold.fingerprint] * count,
        "trained_until": pa.array([fold.cuts.validate_until] * count, _UTC),
        "origin": pa.array(history.ends[rows]).cast(_UTC),
        "location": prediction.location.tolist(),
        "scale": prediction.scale.tolist(),
        "z": [calibration.z.ravel().tolist(), *[None] * (count - 1)],
        "calibrated_on": pa.array([calibration.n, *[None] * (count - 1)], pa.int32()),
    }
    return pa.table(columns, schema=WALK_SCHEMA)


def _origins(spec: ModelSpec, history: PairHistory, cuts: EvaluationWindow) -> NDArray[np.int64]:
    """Every row of the fold's test: how far ahead it is judged does not matter, for its self learned before."""
    return cuts.origins(history.ends, window=spec.window, horizon=1, part="test")


def _able(spec: ModelSpec, history: PairHistory, cuts: EvaluationWindow) -> bool:
    """Whether the pair has windows in each part: a young pair of a panel joins later folds."""
    sizes = [
        len(cuts.origins(history.ends, window=spec.window, horizon=spec.horizon, part="train")),
        len(cuts.origins(history.ends, window=spec.window, horizon=spec.horizon, part="validation")),
        len(_origins(spec, history, cuts)),
    ]
    return min(sizes) > 0


def _name(cuts: EvaluationWindow, spec: ModelSpec, history: PairHistory) -> str:
    """By the period of the first target: the first origin may be of the evening before."""
    rows = cuts.origins(history.ends, window=1, horizon=1, part="test")
    first: date = history.trading_dates[rows[0] + 1].astype("datetime64[D]").item()
    return f"walk-{first:{_NAMES[spec.evaluation.refit_every]}}"


def _fingerprint(spec: ModelSpec, histories: Mapping[str, PairHistory], cuts: EvaluationWindow) -> str:
    seen = {pair: history_digest(history.until(cuts.validate_until)) for pair, history in histories.items()}
    made = (CODE_VERSION, MODELS_VERSION, TRAINING_VERSION)
    at = (cuts.train_until.isoformat(), cuts.validate_until.isoformat())
    return fingerprint(spec.training_config(), seen, *at, *made)


def _before(cut: datetime, years: float) -> date:
    return (cut - timedelta(days=round(years * 365.25))).date()


def _matrix(rows: pa.Table, name: str) -> NDArray[np.float64]:
    values = rows.column(name).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64).reshape(rows.num_rows, -1)

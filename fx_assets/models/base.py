"""The one shape of a model: fit, load, prepare, predict, postprocess. A new kind overrides a hook or two.

    class Drift(BasePredictor):
        kind = "drift"
        def _fit(self, histories, rng): return {"drift": ...}     # stored as params.json
        def _predict(self, window): return location, scale         # one window, (H,) each

Night and HTTP run this same code, one window at a time, and so agree to the last bit.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel

from fx_assets.features.errors import FeatureError
from fx_assets.features.plan import PLAN, FeaturePlan, load_plan
from fx_assets.models import registry
from fx_assets.models.calibration import CALIBRATION, Calibration, read_calibrations
from fx_assets.models.distribution import price_distribution, with_signal
from fx_assets.models.errors import (
    FitFailed,
    InsufficientHistory,
    InvalidCheckpoint,
    InvalidInput,
    ModelMismatch,
    ModelOutputInvalid,
    NotLoaded,
)
from fx_assets.models.golden import GOLDEN, read_golden
from fx_assets.models.identity import identity, unlike
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import PARAMS, Params, dump_params, read_json
from fx_assets.models.ranges import Ranges
from fx_assets.models.results import Checkpoint, Distribution, LoadReport, Prediction, Row
from fx_assets.models.searched import found_spec
from fx_assets.models.validation import check_ahead, check_batch, parse_window
from fx_assets.specs.schema import ModelSpec, Strict

if TYPE_CHECKING:
    from fx_assets.timegrid.windows import EvaluationWindow

__all__ = [
    "BasePredictor",
    "Checkpoint",
    "Distribution",
    "FitFailed",
    "InsufficientHistory",
    "InvalidCheckpoint",
    "InvalidInput",
    "LoadReport",
    "MemoryCheckpoint",
    "ModelMismatch",
    "ModelOutputInvalid",
    "NoHyperparameters",
    "NotLoaded",
    "Prediction",
    "Row",
]

# The one column of what a kind that uses the clock is told.
_CLOCK = ("hour_of_week",)


class NoHyperparameters(Strict):
    """For kinds with nothing to set."""


@dataclass(frozen=True)
class MemoryCheckpoint:
    """A checkpoint that is not stored yet: the same shape as `storage.artifacts.Artifact`."""

    manifest: Mapping[str, object]
    files: Mapping[str, bytes]


class BasePredictor(ABC):
    """A model of one kind. Subclassing with a `kind` registers it; two classes of one kind are refused.

    `columns` names what a window holds: "close", then the features. `feature_schema` is the hash
    of the feature set that made them (None without features); a checkpoint of another one is refused. Where the set has
    fitted stages, a checkpoint brings its `plan`: then `_predict` sees the columns of `inside`, all of them finite,
    while windows come with the candidates of `columns`, which may be NaN.
    """

    kind: ClassVar[str]
    Hyperparameters: ClassVar[type[BaseModel]] = NoHyperparameters
    targets: ClassVar[frozenset[str]] = frozenset({"log_return"})
    scopes: ClassVar[frozenset[str]] = frozenset({"pair"})
    # What a kind can do; `registry.problems_of` holds every spec to it before anything is trained.
    uses_features: ClassVar[bool] = False  # exogenous columns beside the close
    uses_ahead: ClassVar[bool] = False  # `known_ahead`: the calendar of the bars to come
    uses_clock: ClassVar[bool] = False  # hours of the week of the window's bars and of those to come
    warm: ClassVar[bool] = False  # may go on from its newest version on new rows
    trainer: ClassVar[Literal["fit", "lightning", "ensemble"]] = "fit"
    # What its checkpoints are made with, as tags in Dagster's UI.
    made_with: ClassVar[frozenset[str]] = frozenset({"numpy"})
    # "module:Class" of the network, imported only where it trains.
    network: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" not in cls.__dict__:
            return  # a base shared by several kinds
        config = cls.Hyperparameters.model_config
        if config.get("extra") != "forbid" or not config.get("frozen"):
            raise TypeError(f"{cls.__qualname__}.Hyperparameters must forbid extra keys and be frozen; derive Strict")
        fits = cls._fit is not BasePredictor._fit or cls._fit_files is not BasePredictor._fit_files
        if cls.trainer == "fit" and not fits:
            raise TypeError(f"{cls.__qualname__} needs _fit(), or trainer = 'lightning' and a network")
        if cls.trainer == "lightning" and not cls.network:
            raise TypeError(f"{cls.__qualname__} has trainer 'lightning' and needs network = 'module:Class'")
        registry.register(cls)

    def __init__(
        self, spec: ModelSpec, columns: tuple[str, ...] = ("close",), *, feature_schema: str | None = None
    ) -> None:
        problems = [f"{path}: {message}" for path, message in registry.problems_of(type(self), spec)]
        if spec.kind != self.kind:
            problems.append(f"kind: {type(self).__name__} is {self.kind!r}, the spec says {spec.kind!r}")
        if columns[:1] != ("close",) or len(set(columns)) != len(columns):
            problems.append(f"columns: expected 'close' first and each name once, got {', '.join(columns)}")
        if len(columns) > 1 and not self.uses_features:
            problems.append(f"columns: kind {self.kind!r} looks at closes only, got {len(columns)} columns")
        if problems:
            raise ValueError(f"model {spec.model_id}: " + "; ".join(problems))
        self.spec = spec
        self.columns = tuple(columns)
        self.feature_schema = feature_schema
        self.hyperparameters: Any = self.Hyperparameters.model_validate(spec.hyperparameters)
        self.plan: FeaturePlan | None = None
        self.params = Params()
        self.calibrations: dict[str, Calibration] = {}
        self.timings: Mapping[str, float] = {}
        self._loaded = False

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        """Hook: what else a spec of this kind must fulfil; (field path, message) of each problem."""
        del spec
        return ()

    # -- training -------------------------------------------------------------------------------

    def fit(self, histories: Mapping[str, PairHistory], window: EvaluationWindow, *, seed: int) -> dict[str, bytes]:
        """Files of a checkpoint (without calibration), fitted on the rows that ended by `window.train_until`.

        Equal inputs and seed give equal bytes. Raises `FitFailed` or `InsufficientHistory`, naming pair or parameter.
        """
        if not histories:
            raise InsufficientHistory(f"model {self.spec.model_id}: no pair to train on")
        if self.spec.scope == "pair" and len(histories) > 1:
            raise ValueError(
                f"model {self.spec.model_id} has scope 'pair', got {', '.join(histories)}; fit one pair at a time"
            )
        training = {}
        for pair, history in histories.items():
            if history.columns != self.columns:
                raise ValueError(f"{pair}: columns {history.columns}, but the model was made for {self.columns}")
            training[pair] = history.until(window.train_until)
            rows, needed = len(training[pair]), self.spec.window + self.spec.horizon
            if rows < needed:
                raise InsufficientHistory(
                    f"{pair}: {rows} training rows until {window.train_until:%Y-%m-%d}; one window of "
                    f"{self.spec.window} and horizon {self.spec.horizon} need {needed}. "
                    "Start the history earlier or shorten the window"
                )
        return self._fit_files(training, np.random.default_rng(seed))

    def _fit_files(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, bytes]:
        """Hook for kinds whose checkpoint is more than `params.json`: all files of it."""
        return {PARAMS: dump_params(self._fit(histories, rng))}

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        """Hook: parameters, as JSON, from histories that hold training rows only; chance only from `rng`."""
        del histories, rng
        raise TypeError(f"kind {self.kind!r} trains by {self.trainer}; call fx_assets.training.trainers.train")

    # -- checkpoints ----------------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """What a checkpoint's manifest must say for this predictor to load it. Put it into the manifest."""
        return identity(self.spec, self.columns, self.feature_schema)

    def load_model(
        self,
        checkpoint: Checkpoint | Mapping[str, bytes],
        manifest: Mapping[str, object] | None = None,
        *,
        strict: bool = True,
    ) -> LoadReport:
        """Take over a checkpoint: an `Artifact`, or its files and manifest.

        Strict, another config, feature schema or kind raises `ModelMismatch` listing what differs, and
        unusable files `InvalidCheckpoint`. Not strict, what fits is loaded and the rest reported; another
        kind is refused even so. After an error the predictor is as it was before.
        """
        if isinstance(checkpoint, Mapping):
            if manifest is None:
                raise TypeError("load_model(files, manifest): pass the manifest too, or an Artifact")
            files = checkpoint
        else:
            files, manifest = checkpoint.files, checkpoint.manifest
        differences = unlike(self.identity(), manifest)
        if differences and (strict or manifest.get("kind") != self.kind):
            raise ModelMismatch(differences)
        fresh = type(self)(self.spec, self.columns, feature_schema=self.feature_schema)
        fresh.plan = self._read_plan(files)
        fresh.hyperparameters = self.Hyperparameters.model_validate(found_spec(self.spec, files).hyperparameters)
        skipped = [*differences, *fresh._load(files, strict=strict)]
        if CALIBRATION in files:  # a model that is still being trained has none
            fresh.calibrations, left_out = read_calibrations(files, self.spec.horizon, strict=strict)
            skipped += left_out
        fresh._loaded = True
        if GOLDEN in files and not skipped:  # what was loaded in part need not answer alike
            fresh._check_golden(files)
        self.__dict__.update(fresh.__dict__)
        return LoadReport(skipped)

    def _read_plan(self, files: Mapping[str, bytes]) -> FeaturePlan | None:
        if PLAN not in files:
            return None
        try:
            plan = load_plan(files[PLAN])
        except FeatureError as error:
            raise InvalidCheckpoint(str(error)) from error
        if plan.given != self.columns[1:]:
            raise InvalidCheckpoint(f"{PLAN}: made for other candidate features than this model's; train again")
        return plan

    def _check_golden(self, files: Mapping[str, bytes]) -> None:
        sample = read_golden(files)
        try:
            ((location, scale, _),) = self._rows(sample.window[None], [sample.ahead])
        except (ValueError, IndexError) as error:
            raise InvalidCheckpoint(f"{GOLDEN}: cannot be computed ({error}); train again") from error
        if differs := sample.unlike(location, scale):
            raise InvalidCheckpoint(f"{GOLDEN}: {differs}; this machine or version computes something else")

    @property
    def gaps(self) -> bool:
        """Whether features of a window may be missing (NaN), because the checkpoint says how to fill them."""
        return self.plan is not None

    @property
    def inside(self) -> tuple[str, ...]:
        """Columns of the windows that `_predict` sees: the close, then what the checkpoint's plan leaves."""
        return self.columns if self.plan is None else ("close", *self.plan.names)

    def _load(self, files: Mapping[str, bytes], *, strict: bool) -> list[str]:
        """Hook: take over the files, and say what was left out (only where not strict). Here: `params.json`."""
        try:
            params = read_json(files, PARAMS)
            problems = self._check_params(params)
        except InvalidCheckpoint as error:
            if strict:
                raise
            return [str(error)]
        if problems and strict:
            listed = "; ".join(f"{name} {problem}" for name, problem in problems.items())
            raise InvalidCheckpoint(f"{PARAMS}: {listed}; train again")
        self.params = Params({name: value for name, value in params.items() if name not in problems})
        return [f"{PARAMS}: {name} {problem}" for name, problem in problems.items()]

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Hook: parameters that are missing or of the wrong form, each with what is wrong."""
        del params
        return {}

    # -- forecasting ----------------------------------------------------------------------------

    def prepare_input(self, raw: Mapping[str, Any]) -> FloatArray:
        """(window, columns) from `{"data": [[...], ...]}`, oldest row first.

        Raises `InvalidInput`, whose `index` and message say which cell, never its value.
        """
        return parse_window(raw, self.spec.window, self.columns, gaps=self.gaps)

    def predict(self, batch: FloatArray, ahead: FloatArray | None = None) -> Prediction:
        """Forecasts of B windows (B, window, columns), each computed alone.

        `ahead` (B, horizon, known_ahead): what the calendar says of the bars to come, where the spec asks for it; for a
        kind that uses the clock, (B, window + horizon, 1): see `inputs.coming`.

        Raises `InvalidInput` for windows no model can use, `NotLoaded` before a checkpoint is loaded,
        `ModelOutputInvalid` for a forecast that is not finite or has no spread.
        """
        rows = self._forecasts(check_batch(batch, self.spec.window, self.columns, gaps=self.gaps), ahead)
        shape = (len(rows), self.spec.horizon)
        return Prediction(
            location=np.array([row.location for row in rows]).reshape(shape),
            scale=np.array([row.scale for row in rows]).reshape(shape),
            notes=tuple(row.notes for row in rows),
        )

    def _forecasts(self, batch: FloatArray, ahead: FloatArray | None) -> list[Row]:
        if not self._loaded:
            raise NotLoaded(f"model {self.spec.model_id}: call load_model first")
        bars, told = self.spec.horizon, tuple[str, ...](self.spec.known_ahead)
        if self.uses_clock:
            bars, told = self.spec.window + self.spec.horizon, _CLOCK
        return self._rows(batch, check_ahead(ahead, len(batch), bars, told))

    def _rows(self, batch: FloatArray, ahead: Sequence[FloatArray | None]) -> list[Row]:
        """Hook of kinds that compute many windows at once, each to the bits that it has alone."""
        # Each window goes in as an array of its own: sums depend on memory layout, answers must not.
        return [self._one(np.array(window, order="C"), known) for window, known in zip(batch, ahead, strict=True)]

    def _one(self, window: FloatArray, ahead: FloatArray | None) -> Row:
        if self.plan is not None:
            window = np.column_stack([window[:, 0], self.plan.apply(window[:, 1:])])
        return self._checked(Row(*self._predict_ahead(window, ahead)))

    def _checked(self, row: Row) -> Row:
        """The row as floats. Raises `ModelOutputInvalid` for another shape and for what is no distribution."""
        row = row._replace(location=np.asarray(row.location, float), scale=np.asarray(row.scale, float))
        for name, values in (("location", row.location), ("scale", row.scale)):
            if values.shape != (self.spec.horizon,):
                raise ModelOutputInvalid(f"{self._name}: {name} {values.shape}, expected ({self.spec.horizon},)")
            if not np.isfinite(values).all():
                raise ModelOutputInvalid(f"{self._name}: {name} is not finite; its weights may be spoilt, train again")
        if not (row.scale > 0).all():
            raise ModelOutputInvalid(f"{self._name}: scale must be greater than 0 at each horizon")
        return row

    @abstractmethod
    def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray] | Row:
        """Hook: location (H,) and scale (H,) from one window (window, inside); a `Row` adds notes."""

    def _predict_ahead(self, window: FloatArray, ahead: FloatArray | None) -> tuple[FloatArray, FloatArray] | Row:
        """Hook of kinds that use `known_ahead` or the clock: the same, beside what `predict` takes of one window."""
        del ahead
        return self._predict(window)

    def postprocess(
        self, prediction: Prediction, closes: FloatArray, pair: str, ranges: Ranges | None = None
    ) -> list[Distribution]:
        """Calibrated distributions of prices from the last closes (B,) of the windows; as `ranges` say, where given.

        Raises `NotLoaded` where the checkpoint has no calibration of the pair, `ModelOutputInvalid` for
        crossed quantiles or a price that is not positive and finite.
        """
        closes = np.asarray(closes, dtype=np.float64)
        if closes.shape != (len(prediction.location),):
            raise ValueError(f"closes {closes.shape}: expected one for each of {len(prediction.location)} windows")
        rows = zip(prediction.location, prediction.scale, prediction.notes, closes.tolist(), strict=True)
        return [self._priced(Row(*row), close, pair, ranges) for *row, close in rows]

    def _priced(self, row: Row, close: float, pair: str, ranges: Ranges | None) -> Distribution:
        if pair not in self.calibrations:
            known = ", ".join(sorted(self.calibrations)) or "none"
            raise NotLoaded(f"{self._name}: no calibration for {pair} (there is: {known}); train on {pair} first")
        try:
            answer = price_distribution(row, close, ranges or self.calibrations[pair], np.array(self.spec.quantiles))
            return with_signal(answer, self._signal(answer))
        except ModelOutputInvalid as error:
            raise ModelOutputInvalid(f"{self._name}: {error}") from error

    def run(self, raw: Mapping[str, Any], pair: str, ranges: Ranges | None = None) -> Distribution:
        """From rows to the calibrated distribution of one pair; `timings` has the seconds of each step.

        `raw`: as `prepare_input` takes it and, for a model with `known_ahead` or the clock, `ahead` of one window.
        `ranges`: as outcomes have moved the checkpoint's calibration since; without them, the calibration itself.
        """
        began = time.perf_counter()
        window = self.prepare_input({key: value for key, value in raw.items() if key != "ahead"})
        ahead = np.asarray(raw["ahead"], dtype=np.float64) if "ahead" in raw else None
        prepared = time.perf_counter() - began
        distribution = self.distribution(window, pair, ranges, ahead)
        self.timings = {"prepare_input": prepared, **self.timings}
        return replace(distribution, timings=self.timings)

    def distribution(
        self, window: FloatArray, pair: str, ranges: Ranges | None = None, ahead: FloatArray | None = None
    ) -> Distribution:
        """As `run`, of a window that `prepare_input` gave or `validation.check_values` let pass, and its `ahead`."""
        began = time.perf_counter()
        (row,) = self._forecasts(window[None], None if ahead is None else ahead[None])
        predicted = time.perf_counter()
        distribution = self._priced(row, float(window[-1, 0]), pair, ranges)
        self.timings = {"predict": predicted - began, "postprocess": time.perf_counter() - predicted}
        return distribution

    def _signal(self, distribution: Distribution) -> float | None:
        """Hook: a trading signal in [-1, 1], where the kind gives one."""
        del distribution
        return None

    @property
    def _name(self) -> str:
        return f"model {self.spec.model_id} (kind {self.kind})"

"""Out-of-fold predictions: of windows that the model has not seen, aligned between models, in comparable units."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.metrics.losses import crps_normal
from fx_assets.models.errors import FitFailed, InsufficientHistory
from fx_assets.models.inputs import PairHistory
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.kind_trainer import FitTrainer
from fx_assets.training.materials import Base, Materials, Trainer
from fx_assets.training.records import Step, TrainedModel
from fx_assets.training.search.out_of_fold import OutOfFold, crps, folds_of, out_of_fold, pooled
from tests.models import example_drift  # noqa: F401 - registers its kind
from tests.models.simulated import cuts, day, model_spec, pair_history

SPEC = model_spec("example_drift")
HISTORY = pair_history(n=500)


@dataclass
class Spy:
    """A trainer that notes what it was given; its model is the drift it is told."""

    drift: float = 0.0
    given: list[tuple[Materials, EvaluationWindow]] = field(default_factory=list)

    def __call__(self, spec: ModelSpec, materials: Materials) -> Trainer:
        del spec
        self._materials = materials
        return self

    def fit(self, window: EvaluationWindow, spec: ModelSpec) -> TrainedModel:
        del spec
        self.given.append((self._materials, window))
        files = {PARAMS: dump_params({"drift": self.drift, "deviation": 0.01})}
        return TrainedModel(files, {}, (), window.validate_until, 0)


def given(*histories: PairHistory, **changes: Any) -> Materials:
    pairs = {history.pair: history for history in histories or (HISTORY,)}
    return Materials(histories=pairs, scratch=Path("unused"), **changes)


def folds(count: int = 3, histories: Mapping[str, PairHistory] | None = None) -> list[EvaluationWindow]:
    return folds_of(histories or {"EURUSD": HISTORY}, cuts(HISTORY), count)


def moved(history: PairHistory, **changes: Any) -> PairHistory:
    return dataclasses.replace(history, **changes)


def test_no_row_of_training_or_validation_is_predicted_or_handed_over_too_early() -> None:
    spy, cut = Spy(), folds()
    found = list(out_of_fold(SPEC, given(), cut, spy))
    assert [window for _, window in spy.given] == cut
    logs = np.log(HISTORY.closes)
    for fold, (seen, _), part in zip(cut, spy.given, found, strict=True):
        ends = seen.histories["EURUSD"].ends
        assert ends[-1] == np.datetime64(fold.validate_until.replace(tzinfo=None), "us")
        # All that is predicted came after what was handed over, and before the fold ended.
        rows = np.arange(len(ends) - 1, np.searchsorted(HISTORY.ends, _naive(fold), side="right") - 5)
        np.testing.assert_allclose(part.y[:, 0], logs[rows + 1] - logs[rows], rtol=1e-9)
        assert part.location.shape == part.scale.shape == part.unit.shape == (len(rows), 5)


def _naive(fold: EvaluationWindow) -> np.datetime64:
    return np.datetime64(fold.test_until.replace(tzinfo=None), "us")


def test_a_fold_is_trained_when_it_is_asked_for() -> None:
    spy = Spy()
    found = out_of_fold(SPEC, given(), folds(), spy)
    assert spy.given == []
    next(found)
    assert len(spy.given) == 1


def test_trainers_work_in_silence_and_from_the_start() -> None:
    spy, said = Spy(), list[object]()
    base = Base("v1", {}, day(HISTORY, 10))
    next(out_of_fold(SPEC, given(report=said.append, resume=Path("kept"), base=base), folds(), spy))
    seen = spy.given[0][0]
    seen.report(Step("epoch"))
    assert said == []
    assert (seen.resume, seen.base) == (None, None)


def test_losses_are_in_units_of_the_walk_of_the_folds_training_rows() -> None:
    (part, *_) = out_of_fold(SPEC, given(), folds(), Spy(drift=0.001))
    first = folds()[0]
    seen = HISTORY.until(first.train_until)
    walk = np.sqrt(np.mean(np.diff(np.log(seen.closes)) ** 2))
    np.testing.assert_allclose(part.unit, np.broadcast_to(walk * np.sqrt([1, 2, 3, 4, 5]), part.y.shape))
    expected = crps_normal(y=part.y, location=part.location, scale=part.scale) / part.unit
    assert part.loss == pytest.approx(np.mean(expected))
    np.testing.assert_allclose(crps(part.location, part.scale, part.y, part.unit), expected)
    np.testing.assert_allclose(part.location[0], 0.001 * np.arange(1, 6))
    # Prices that move ten times as much lose the same: each window predicts its own deviation.
    wild = moved(HISTORY, closes=np.exp(10 * np.log(HISTORY.closes / HISTORY.closes[0])))
    (other, *_) = out_of_fold(SPEC, given(wild), folds(), Spy(drift=0.01))
    assert other.loss == pytest.approx(part.loss)


def test_later_rows_change_nothing() -> None:
    cut = folds()
    later = HISTORY.ends > np.datetime64(cut[0].test_until.replace(tzinfo=None), "us")
    spoilt = moved(HISTORY, closes=np.where(later, HISTORY.closes * 7, HISTORY.closes))
    first, second = (
        next(out_of_fold(SPEC, given(each), cut, lambda _, m: FitTrainer(m))) for each in (HISTORY, spoilt)
    )
    for name in ("location", "scale", "y", "unit"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_models_of_one_window_and_horizon_predict_the_same_windows() -> None:
    other = model_spec("random_walk", training={"stride": 7})
    first, second = (pooled(list(out_of_fold(spec, given(), folds(), _fit))) for spec in (SPEC, other))
    assert first.same_windows(second)
    shifted = OutOfFold(second.location[1:], second.scale[1:], second.y[1:], second.unit[1:])
    assert not first.same_windows(shifted)
    turned = OutOfFold(second.location, second.scale, second.y[::-1], second.unit)
    assert not first.same_windows(turned)


def _fit(_: ModelSpec, materials: Materials) -> Trainer:
    return FitTrainer(materials)


def test_pooling_keeps_the_order_of_folds_and_pairs() -> None:
    yen = pair_history("USDJPY", n=500, seed=4)
    parts = list(out_of_fold(model_spec(scope="panel"), given(HISTORY, yen), folds(), _fit))
    whole = pooled(parts)
    np.testing.assert_array_equal(whole.y, np.concatenate([part.y for part in parts]))
    (single, *_) = out_of_fold(model_spec(), given(), folds(), _fit)
    np.testing.assert_array_equal(parts[0].y[: len(single.y)], single.y)
    assert len(parts[0].y) == 2 * len(single.y)


def test_a_young_pair_of_a_panel_joins_the_later_folds() -> None:
    cut = folds()
    born = int(np.searchsorted(HISTORY.ends, np.datetime64(cut[1].train_until.replace(tzinfo=None), "us"))) - 60
    whole = pair_history("USDJPY", n=500, seed=4)
    arrays = ("ends", "trading_dates", "closes", "features")
    young = moved(whole, **{name: getattr(whole, name)[born:] for name in arrays})
    spy = Spy()
    parts = list(out_of_fold(model_spec("example_drift"), given(HISTORY, young), cut, spy))
    assert [list(seen.histories) for seen, _ in spy.given] == [["EURUSD"], ["EURUSD", "USDJPY"], ["EURUSD", "USDJPY"]]
    assert len(parts[1].y) == 2 * len(list(out_of_fold(SPEC, given(), cut, Spy()))[1].y)


def test_histories_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(InsufficientHistory, match="no pair to cut"):
        folds_of({}, cuts(HISTORY), 3)
    with pytest.raises(InsufficientHistory, match=r"no pair has windows of 290 rows.*fewer folds"):
        next(out_of_fold(model_spec("example_drift", window=290), given(), folds(), Spy()))
    flat = moved(HISTORY, closes=np.where(np.arange(500) < 200, 1.25, HISTORY.closes))
    with pytest.raises(FitFailed, match="EURUSD: the price never moves until"):
        next(out_of_fold(SPEC, given(flat), folds(), Spy()))


def test_the_longest_history_cuts_the_folds() -> None:
    short = pair_history("USDJPY", n=100)
    assert folds(2, {"USDJPY": short, "EURUSD": HISTORY}) == folds(2)

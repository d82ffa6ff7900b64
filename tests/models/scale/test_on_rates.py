"""The kind on the rates that ship with the wheel, trained as the night trains it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray

from fx_assets.models.base import BasePredictor, MemoryCheckpoint
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.registry import predictor_class
from fx_assets.models.volatility import ewma_variance, log_returns
from fx_assets.settings import Settings
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.materials import Materials
from fx_assets.training.trainers import train
from tests.models.scale.worlds import CALENDAR, PAIRS, rates, spec_of

# Nothing of the kind was chosen on rows from 2012 on.
CUTS = EvaluationWindow(
    datetime(2011, 10, 1, 22, tzinfo=UTC), datetime(2012, 1, 1, 22, tzinfo=UTC), datetime(2014, 12, 31, 22, tzinfo=UTC)
)


def loaded(spec: ModelSpec, histories: Mapping[str, PairHistory]) -> BasePredictor:
    with TemporaryDirectory() as folder:
        materials = Materials(histories, Path(folder))
        files = train(spec, materials, CUTS, settings=Settings(home=Path(folder))).files
    cls = predictor_class(spec.kind)
    columns = next(iter(histories.values())).columns if cls.uses_features else ("close",)
    predictor = cls(spec, columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
    return predictor


@cache
def scale() -> BasePredictor:
    spec = spec_of(pairs=list(PAIRS), window=128, horizon=20, known_ahead=list(CALENDAR), hyperparameters={})
    return loaded(spec, rates())


def variances(predictor: BasePredictor, history: PairHistory, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    own = history if predictor.uses_features else history.bare()
    return np.square(predictor.predict(*windows(own, rows, predictor.spec)).scale)


def qlike(variance: NDArray[np.float64], squares: NDArray[np.float64]) -> float:
    return float(np.mean(np.log(variance) + squares / variance))


@pytest.mark.slow
def test_its_variance_is_believable_and_below_the_ewmas_loss_at_1_5_and_20() -> None:
    predictor = scale()
    gains: dict[int, list[float]] = {1: [], 5: [], 20: []}
    ratios: dict[int, list[float]] = {1: [], 5: [], 20: []}
    for history in rates().values():
        rows = CUTS.origins(history.ends, window=128, horizon=20, part="test")
        found = variances(predictor, history, rows)
        returns = log_returns(history.closes)
        ewma = np.array([ewma_variance(returns[row - 200 : row], initial=3.6e-5) for row in rows])
        for h in gains:
            squares = np.square(np.log(history.closes[rows + h] / history.closes[rows]))
            gains[h].append(qlike(h * ewma, squares) - qlike(found[:, h - 1], squares))
            ratios[h].append(float(np.mean(squares / found[:, h - 1])))
    for h, gain in gains.items():
        assert np.mean(gain) > 0, h
        assert 0.7 < np.mean(ratios[h]) < 1.2, (h, ratios[h])


@pytest.mark.slow
def test_its_loss_is_below_garchs() -> None:
    predictor, gains = scale(), []
    for pair, history in rates().items():
        alone = {pair: history}
        garch = loaded(
            ModelSpec(model_id="g", kind="garch", pairs=(pair,), window=128, horizon=1, target="volatility"), alone
        )
        rows = CUTS.origins(history.ends, window=128, horizon=20, part="test")
        squares = np.square(np.log(history.closes[rows + 1] / history.closes[rows]))
        ours, theirs = variances(predictor, history, rows)[:, 0], variances(garch, history, rows)[:, 0]
        gains.append(qlike(theirs, squares) - qlike(ours, squares))
    assert np.mean(gains) > 0.005, gains
    assert min(gains) > -0.01, gains

"""What the network is shown: inputs, targets and windows, against numbers worked out by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fx_assets.models.errors import FitFailed, InsufficientHistory
from fx_assets.models.network import encode
from fx_assets.models.predictors.itransformer import ITransformerPredictor
from fx_assets.timegrid.windows import Part
from fx_assets.training.data import Batches, Windows
from tests.training.helpers import cuts, market, replace, spec

PARAMS = {"initial_variance": 0.0004, "mean": [10.0], "std": [2.0]}
# Closes 1, e^.01, e^-.01: returns .01 and -.02; v = .94 (.94 * .0004 + .06 * .0001) + .06 * .0004
WINDOW = np.array([[[1.0, 12.0], [np.exp(0.01), 10.0], [np.exp(-0.01), 7.0]]])
SIGMA = np.sqrt(0.94 * (0.94 * 0.0004 + 0.06 * 0.0001) + 0.06 * 0.0004)


def test_inputs_by_hand() -> None:
    inputs, sigma = encode(WINDOW, PARAMS)
    np.testing.assert_allclose(sigma, [SIGMA])
    expected = [[0.01 / SIGMA, 1.0], [0.02 / SIGMA, 0.0], [0.0, -1.5]]
    np.testing.assert_allclose(inputs[0], expected, rtol=1e-6)
    assert inputs.dtype == np.float32


def test_a_window_is_encoded_the_same_alone_and_in_a_batch() -> None:
    history = market()
    windows = np.stack([history.window(row, 16) for row in range(100, 164)])
    params = {"initial_variance": 4e-5, "mean": [3.0, 3.0], "std": [2.0, 2.0]}
    together, sigma = encode(windows, params)
    for index, window in enumerate(windows):
        alone, own_sigma = encode(window[None], params)
        assert alone[0].tobytes() == together[index].tobytes()
        assert own_sigma[0] == sigma[index]


def test_targets_by_hand() -> None:
    values = np.concatenate([WINDOW[0], [[np.exp(0.02), 0.0], [np.exp(0.05), 0.0]]])
    windows = Windows(values, np.array([2]), window=3, horizon=2)
    (inputs, targets), *more = Batches(windows, partial(encode, params=PARAMS), size=8)
    assert not more
    assert inputs.shape == (1, 3, 2)
    np.testing.assert_allclose(targets[0], [0.03 / SIGMA, 0.06 / (SIGMA * np.sqrt(2))], rtol=1e-6)


def test_windows_of_pooled_pairs_never_cross_from_one_to_the_other() -> None:
    model = spec(pairs=("EURUSD", "USDJPY"), scope="panel")
    histories = {
        "EURUSD": market("EURUSD"),
        "USDJPY": replace(market("USDJPY", rows=1200, seed=1), closes=np.linspace(100, 200, 1200)),
    }
    windows = Windows.of(model, histories, cuts(histories["EURUSD"], model), "train")
    shown, _ = windows.gather(np.arange(len(windows)))
    is_yen = shown[..., 0] > 50
    assert np.all(is_yen.all(axis=1) | ~is_yen.any(axis=1))
    assert 0 < is_yen[:, 0].sum() < len(windows)
    rows = windows.origins[is_yen[:, 0]] - 1300
    first = int(rows[0])
    np.testing.assert_array_equal(shown[is_yen[:, 0]][0], histories["USDJPY"].window(first, 16))


def test_no_row_is_shared_between_the_targets_of_training_and_validation() -> None:
    model, history = spec(horizon=20), market()
    window = cuts(history, model)
    training, validation = (
        Windows.of(model, {"EURUSD": history}, window, part).origins for part in ("train", "validation")
    )
    assert training.max() + 20 <= validation.min()
    assert history.ends[validation.max() + 20] <= np.datetime64(window.validate_until.replace(tzinfo=None), "us")


def test_stride_thins_training_only_and_keeps_the_newest() -> None:
    history = market()
    parts: tuple[tuple[Part, bool], ...] = (("train", True), ("validation", False))
    for part, thinned in parts:
        every, some = (
            Windows.of(model, {"EURUSD": history}, cuts(history, model), part).origins
            for model in (spec(), spec(training={"stride": 3}))
        )
        np.testing.assert_array_equal(some, every[::-1][::3][::-1] if thinned else every)
        assert some[-1] == every[-1]


def test_batches_hold_every_window_once_in_an_order_of_the_seed() -> None:
    history = market(rows=200)
    windows = Windows(np.column_stack([history.closes, history.features]), np.arange(20, 150), window=16, horizon=3)
    plain = partial(encode, params={"initial_variance": 4e-5, "mean": [3.0, 3.0], "std": [2.0, 2.0]})

    def epochs(seed: int) -> list[list[float]]:
        batches = Batches(windows, plain, 32, np.random.default_rng(seed))
        assert len(batches) == 5
        return [[float(x) for _, targets in batches for x in targets[:, 0]] for _ in range(2)]

    first, second = epochs(7)
    assert sorted(first) == sorted(second) == sorted(float(t[0]) for _, ts in Batches(windows, plain, 32) for t in ts)
    assert first != second
    assert epochs(7) == [first, second]
    assert epochs(8)[0] != first


def test_scaler_is_pooled_and_refuses_a_feature_without_scale() -> None:
    a, b = market("EURUSD"), market("USDJPY", seed=1)
    predictor = ITransformerPredictor(spec(), a.columns)
    params = predictor.fit_scaler({"EURUSD": a, "USDJPY": b})
    np.testing.assert_allclose(params["mean"], np.concatenate([a.features, b.features]).mean(axis=0))
    returns = np.concatenate([np.diff(np.log(a.closes)), np.diff(np.log(b.closes))])
    assert params["initial_variance"] == pytest.approx(float(np.mean(returns**2)))
    flat = replace(a, features=np.column_stack([a.features[:, 0], np.full(len(a), 0.1)]))
    with pytest.raises(FitFailed, match="features noise_1 never change"):
        predictor.fit_scaler({"EURUSD": flat})


def test_a_pair_without_a_window_is_named() -> None:
    model, long, short = spec(pairs=("EURUSD", "USDJPY"), scope="panel"), market(), market("USDJPY", rows=530)
    with pytest.raises(InsufficientHistory, match=r"insufficient_history: USDJPY has no train window of 16 rows"):
        Windows.of(model, {"EURUSD": long, "USDJPY": short}, cuts(long, model), "train")

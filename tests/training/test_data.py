"""What the network is shown: inputs, targets and windows, against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import torch

from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.errors import FitFailed, InsufficientHistory
from fx_assets.models.inputs import FloatArray, PairHistory, windows
from fx_assets.models.network import AHEAD, INPUT, anchored, scaled_rows, window_sigma
from fx_assets.models.onnx_model import ONNX
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.models.predictors.itransformer import ITransformerPredictor
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow, Part
from fx_assets.training.data import Batches, LevelWindows, ReturnWindows, WindowsModule
from fx_assets.training.origins import origins
from tests.training.helpers import cuts, market, replace, spec

ONE_FEATURE = {"initial_variance": 0.0004, "mean": [10.0], "std": [2.0]}
TWO_FEATURES = {"initial_variance": 4e-5, "mean": [3.0, 3.1], "std": [2.0, 2.2]}
# Closes 1, e^.01, e^-.01: returns .01 and -.02; v = .94 (.94 * .0004 + .06 * .0001) + .06 * .0004
WINDOW = np.array([[[1.0, 12.0], [np.exp(0.01), 10.0], [np.exp(-0.01), 7.0]]])
SIGMA = np.sqrt(0.94 * (0.94 * 0.0004 + 0.06 * 0.0001) + 0.06 * 0.0004)


def scaled(batch: FloatArray, params: Mapping[str, Any]) -> FloatArray:
    inputs: FloatArray = anchored(scaled_rows(batch, params), window_sigma(batch[..., 0], params))
    return inputs


def everything(part: ReturnWindows) -> Any:
    return part.gather(torch.arange(len(part)))


def test_inputs_by_hand() -> None:
    np.testing.assert_allclose(window_sigma(WINDOW[..., 0], ONE_FEATURE), [SIGMA])
    expected = [[0.01 / SIGMA, 1.0], [0.02 / SIGMA, 0.0], [0.0, -1.5]]
    np.testing.assert_allclose(scaled(WINDOW, ONE_FEATURE)[0], expected, rtol=1e-6)


def test_a_window_is_scaled_the_same_alone_and_in_a_batch() -> None:
    history = market()
    together = np.stack([history.window(row, 16) for row in range(100, 164)])
    inputs, sigma = scaled(together, TWO_FEATURES), window_sigma(together[..., 0], TWO_FEATURES)
    for index, window in enumerate(together):
        assert scaled(window[None], TWO_FEATURES)[0].tobytes() == inputs[index].tobytes()
        assert window_sigma(window[None, :, 0], TWO_FEATURES)[0] == sigma[index]


@pytest.mark.parametrize("target", ["log_return", "level"])
def test_inputs_and_targets_by_hand(target: str) -> None:
    days = np.datetime64("2026-06-01", "D") + np.arange(8)
    history = PairHistory(
        pair="EURUSD",
        ends=(days + np.timedelta64(21, "h")).astype("datetime64[us]"),
        trading_dates=days,
        closes=np.array([*WINDOW[0, :, 0], np.exp(0.02), np.exp(0.05), 1.0, 1.0, 1.0]),
        features=np.array([*WINDOW[0, :, 1:], *np.zeros((5, 1))]),
        feature_names=("noise_0",),
    )
    fifth = datetime(2026, 6, 5, 21, tzinfo=UTC)
    window = EvaluationWindow(fifth, fifth + timedelta(days=1), fifth + timedelta(days=2))
    only = ReturnWindows(spec(window=3, horizon=2, target=target), {"EURUSD": history}, window, "train", ONE_FEATURE)
    (batch, *more) = Batches(only, size=8)
    assert not more
    assert batch.ahead is None
    np.testing.assert_allclose(batch.inputs[0], scaled(WINDOW, ONE_FEATURE)[0], rtol=1e-6)
    came = np.array([0.03, 0.06]) if target == "log_return" else np.expm1([0.03, 0.06])
    np.testing.assert_allclose(batch.targets[0, 0], came / (SIGMA * np.sqrt([1, 2])), rtol=1e-6)


class Fed:
    """In the place of the ONNX session: notes what it is asked, answers the random walk."""

    def __init__(self, horizon: int) -> None:
        self.feeds: list[dict[str, Any]] = []
        self._horizon = horizon

    def run(self, _: list[str], feed: dict[str, Any]) -> list[Any]:
        self.feeds.append(feed)
        return [np.stack([np.zeros((1, 1, self._horizon)), np.ones((1, 1, self._horizon))], axis=-1)]


class Watched(ITransformerPredictor):
    def _open(self, files: Mapping[str, bytes]) -> Any:
        del files
        return Fed(self.spec.horizon)


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize(
    ("pairs", "features", "known"),
    [(1, 2, ("weekday", "gap")), (1, 0, ()), (2, 2, ()), (3, 1, ("month_end", "payroll", "weekday"))],
    ids=["pair-exogenous-ahead", "pair-bare", "panel-exogenous", "panel-exogenous-ahead"],
)
def test_windows_are_those_that_the_predictor_shows_its_network(
    pairs: int, features: int, known: tuple[str, ...], part: Part
) -> None:
    names = ("EURUSD", "USDJPY", "GBPUSD")[:pairs]
    model = spec(pairs=names, scope="panel" if pairs > 1 else "pair", known_ahead=known)
    histories = {
        name: market(name, rows=1200 + 40 * number, features=features, seed=number) for number, name in enumerate(names)
    }
    params = {"initial_variance": 4e-5, "mean": [3.0, 3.1][:features], "std": [2.0, 2.2][:features]}
    window = cuts(histories["EURUSD"], model)
    shown = everything(ReturnWindows(model, histories, window, part, params))
    begin = 0
    for history in histories.values():
        rows = origins(model, history, window, part)
        predictor = Watched(model, history.columns)
        predictor.load_model(MemoryCheckpoint(predictor.identity(), {PARAMS: dump_params(params), ONNX: b""}))
        predictor.predict(*windows(history, rows, model))
        feeds = predictor._session.feeds  # type: ignore[union-attr]
        own = slice(begin, begin + len(rows))
        fed = np.concatenate([feed[INPUT] for feed in feeds])
        assert fed.dtype == np.float32
        np.testing.assert_allclose(shown.inputs[own].numpy(), fed, rtol=1e-6, atol=1e-6)
        if known:
            assert shown.ahead[own].numpy().tobytes() == np.concatenate([feed[AHEAD] for feed in feeds]).tobytes()
        begin += len(rows)
    assert begin == len(shown.inputs) == len(shown.targets)
    assert (shown.ahead is not None) == bool(known)


def held(source: Any) -> int:
    """Bytes of all tensors that a source keeps, whole storages."""
    storages = {
        value.untyped_storage().data_ptr(): value.untyped_storage().nbytes()
        for value in vars(source).values()
        if isinstance(value, torch.Tensor)
    }
    return sum(storages.values())


def test_no_windows_are_kept_only_the_tables_that_they_are_cut_from() -> None:
    model, history = spec(window=200, known_ahead=("weekday",)), market()
    part = ReturnWindows(model, {"EURUSD": history}, cuts(history, model), "train", TWO_FEATURES)
    rows, count = len(history), len(part)
    # A close and two features a row; first row, sigma, 3 targets and 3 numbers known ahead a window.
    assert held(part) == rows * (8 + 2 * 4) + count * (8 + 8 + 3 * 4 + 3 * 4)
    assert held(part.to(torch.device("cpu"))) == held(part)
    values = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    levels = LevelWindows(values, np.arange(199, 480), window=200, horizon=20)
    assert held(levels) == 500 * 4 * 4 + 281 * 8


def test_what_is_gathered_is_a_copy() -> None:
    history = market()
    part = ReturnWindows(spec(), {"EURUSD": history}, cuts(history, spec()), "train", TWO_FEATURES)
    before = everything(part).inputs.clone()
    everything(part).inputs.fill_(7.0)
    assert torch.equal(everything(part).inputs, before)


def test_levels_by_hand() -> None:
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    part = LevelWindows(values, np.array([2, 6]), window=3, horizon=2)
    batch = part.gather(torch.tensor([1, 0]))
    assert batch.inputs.tolist() == [values[4:7].tolist(), values[0:3].tolist()]
    assert batch.targets.tolist() == [values[7:9].T.tolist(), values[3:5].T.tolist()]


def test_windows_of_pooled_pairs_never_cross_from_one_to_the_other() -> None:
    model = spec(pairs=("EURUSD", "USDJPY"), scope="panel")
    euro, yen = market("EURUSD"), market("USDJPY", rows=1200, seed=1)
    marked = {
        "EURUSD": replace(euro, features=np.zeros_like(euro.features)),
        "USDJPY": replace(yen, features=np.ones_like(yen.features)),
    }
    plain = {"initial_variance": 4e-5, "mean": [0.0, 0.0], "std": [1.0, 1.0]}
    shown = everything(ReturnWindows(model, marked, cuts(euro, model), "train", plain)).inputs.numpy()
    is_yen = shown[..., 1] > 0.5
    assert np.all(is_yen.all(axis=1) | ~is_yen.any(axis=1))
    assert 0 < is_yen[:, 0].sum() < len(shown)
    # A seam of two pairs would stand out as a return of hundreds of deviations.
    assert np.abs(np.diff(shown[..., 0])).max() < 20
    first = int(cuts(euro, model).origins(yen.ends, window=16, horizon=3, part="train")[0])
    expected = scaled(marked["USDJPY"].window(first, 16)[None], plain)[0]
    np.testing.assert_allclose(shown[is_yen[:, 0]][0], expected, rtol=1e-6, atol=1e-6)


def rows_of(model: ModelSpec, history: PairHistory, part: Part, since: datetime | None = None) -> Any:
    """Last rows of the windows of a part, as the windows themselves have them."""
    params = {"initial_variance": 4e-5, "mean": [0.0] * 2, "std": [1.0] * 2}
    numbered = replace(history, features=np.column_stack([np.arange(len(history)), np.zeros(len(history))]))
    found = ReturnWindows(model, {"EURUSD": numbered}, cuts(history, model), part, params, since=since)
    return everything(found).inputs[:, -1, 1].numpy().astype(int)


def test_no_row_is_shared_between_the_targets_of_training_and_validation() -> None:
    model, history = spec(horizon=20), market()
    window = cuts(history, model)
    training, validation = (rows_of(model, history, part) for part in ("train", "validation"))
    assert training.max() + 20 <= validation.min()
    assert history.ends[validation.max() + 20] <= np.datetime64(window.validate_until.replace(tzinfo=None), "us")


def test_stride_thins_training_only_and_keeps_the_newest() -> None:
    history = market()
    parts: tuple[tuple[Part, bool], ...] = (("train", True), ("validation", False))
    for part, thinned in parts:
        every, some = (rows_of(model, history, part) for model in (spec(), spec(training={"stride": 3})))
        np.testing.assert_array_equal(some, every[::-1][::3][::-1] if thinned else every)
        assert some[-1] == every[-1]


def test_only_windows_whose_target_ends_later_are_new() -> None:
    history, model = market(), spec()
    every = rows_of(model, history, "train")
    since = history.ends[every[-5] + 3].item().replace(tzinfo=UTC)
    assert rows_of(model, history, "train", since).tolist() == every[-4:].tolist()
    latest = cuts(history, model).train_until
    assert rows_of(model, history, "train", latest).tolist() == []


def test_batches_hold_every_window_once_in_an_order_of_the_seed() -> None:
    history = market()
    part = ReturnWindows(spec(), {"EURUSD": history}, cuts(history, spec()), "validation", TWO_FEATURES)

    def numbers(batches: Batches) -> list[float]:
        return [float(x) for batch in batches for x in batch.targets[:, 0, 0]]

    def epochs(seed: int) -> list[list[float]]:
        batches = Batches(part, 50, torch.Generator().manual_seed(seed))
        assert len(batches) == 6
        return [numbers(batches) for _ in range(2)]

    first, second = epochs(7)
    assert sorted(first) == sorted(second) == sorted(numbers(Batches(part, 50)))
    assert numbers(Batches(part, 50)) == everything(part).targets[:, 0, 0].tolist()
    assert first != second
    assert epochs(7) == [first, second]
    assert epochs(8)[0] != first


def test_the_order_goes_on_where_it_was_saved() -> None:
    history = market()
    part = ReturnWindows(spec(), {"EURUSD": history}, cuts(history, spec()), "validation", TWO_FEATURES)

    def epoch(module: WindowsModule) -> list[float]:
        return [float(x) for batch in module.train_dataloader() for x in batch.targets[:, 0, 0]]

    undisturbed = WindowsModule(part, part, batch_size=32, seed=1)
    epoch(undisturbed)
    saved = undisturbed.state_dict()
    expected = [epoch(undisturbed), epoch(undisturbed)]
    other = WindowsModule(part, part, batch_size=32, seed=2)
    other.load_state_dict(saved)
    assert [epoch(other), epoch(other)] == expected


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
        ReturnWindows(model, {"EURUSD": long, "USDJPY": short}, cuts(long, model), "train", TWO_FEATURES)

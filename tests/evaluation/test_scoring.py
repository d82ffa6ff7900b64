"""Held-out scores against values worked out another way, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fx_assets.evaluation.holdout import held_out, training_sigma
from fx_assets.evaluation.judge import HORIZONS
from fx_assets.evaluation.quality import CHECKS, check_scores
from fx_assets.evaluation.scoring import Beside, score_live
from fx_assets.forecasting.document import Evaluation
from fx_assets.forecasting.scores import SCORES_SCHEMA, summaries, summary
from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import PairHistory
from fx_assets.models.manifest import Manifest
from fx_assets.models.ranges import Ranges
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from tests.forecasting.conftest import VERSION, simulated, trained

Walk = tuple[BasePredictor, Manifest, EvaluationWindow]


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    """A small random walk."""
    return ModelSpec.model_validate(
        {"model_id": "walk", "kind": "random_walk", "pairs": "all", "window": 64, "horizon": 20}
    )


@pytest.fixture(scope="module")
def prices() -> PairHistory:
    """Six years of a random walk of 0.6 % a day."""
    return simulated(np.random.default_rng(5).normal(0, 0.006, 1560))


@pytest.fixture(scope="module")
def walk(spec: ModelSpec, prices: PairHistory) -> Walk:
    """The random walk, trained on `prices`."""
    return trained(spec, prices)


@pytest.fixture(scope="module")
def scores(walk: Walk, prices: PairHistory) -> pa.Table:
    """The walk's scores of the held-out year."""
    predictor, manifest, window = walk
    return score_live(predictor, prices, window, manifest=manifest)


def normal_crps(y: float, sigma: float) -> float:
    """CRPS of a zero-mean normal in closed form (Gneiting and Raftery 2007, section 4.2)."""
    z = y / sigma
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    return sigma * (z * (2 * below - 1) + 2 * density - 1 / math.sqrt(math.pi))


def test_one_row_per_horizon_and_origin_of_the_last_year(scores: pa.Table, walk: Walk, prices: PairHistory) -> None:
    table, window = scores, walk[2]
    assert table.schema.equals(SCORES_SCHEMA)
    counts = {h: sum(value == h for value in table.column("horizon").to_pylist()) for h in HORIZONS}
    assert 250 <= counts[1] <= 290
    assert (counts[5], counts[20]) == (counts[1] - 4, counts[1] - 19)
    assert min(table.column("origin").to_pylist()) >= window.validate_until
    assert max(table.column("target_time").to_pylist()) == window.test_until
    assert set(table.column("model_version").to_pylist()) == {VERSION}
    row = table.filter([h == 5 for h in table.column("horizon").to_pylist()]).slice(3, 1).to_pylist()[0]
    i = int(np.flatnonzero(prices.ends == np.datetime64(row["origin"].replace(tzinfo=None)))[0])
    assert row["y"] == np.log(prices.closes[i + 5] / prices.closes[i])


def test_the_walk_is_normal_with_the_sigma_of_training_rows(scores: pa.Table, walk: Walk, prices: PairHistory) -> None:
    window = walk[2]
    train = prices.closes[prices.ends <= np.datetime64(window.train_until.replace(tzinfo=None))]
    sigma = math.sqrt(float(np.mean(np.diff(np.log(train)) ** 2)))
    assert training_sigma(prices, window.train_until) == sigma
    for h in HORIZONS:
        rows = [row for row in scores.to_pylist() if row["horizon"] == h]
        exact = np.mean([normal_crps(row["y"], sigma * math.sqrt(h)) for row in rows]) * 1e4
        # 199 levels leave out the outer tails: the grid is within a per cent of the integral.
        assert summary(scores)[h]["crps_random_walk"] == pytest.approx(float(exact), rel=0.01)


def test_rows_after_training_do_not_move_the_baseline(walk: Walk, prices: PairHistory) -> None:
    window = walk[2]
    moved = prices.closes.copy()
    moved[prices.ends > np.datetime64(window.train_until.replace(tzinfo=None))] *= 1.5
    changed = PairHistory(prices.pair, prices.ends, prices.trading_dates, moved, prices.features)
    assert training_sigma(changed, window.train_until) == training_sigma(prices, window.train_until)


def stood(walk: Walk, prices: PairHistory, at: int) -> tuple[Ranges, Any]:
    """The walk's ranges as they stood at origin `at` of the test, followed here by hand, and its forecast there."""
    predictor, _, window = walk
    rows = window.origins(prices.ends, window=64, horizon=1, part="test")[: at + 1]
    prediction = predictor.predict(np.stack([prices.window(int(i), 64) for i in rows]))
    ranges = Ranges.from_calibration(predictor.calibrations["USDJPY"])
    for now in range(1, at + 1):
        y, location, scale = np.full(20, np.nan), np.zeros(20), np.ones(20)
        for h in range(1, min(now, 20) + 1):
            origin = int(rows[now - h])
            y[h - 1] = math.log(prices.closes[origin + h] / prices.closes[origin])
            location[h - 1], scale[h - 1] = (
                values[now - h, h - 1] for values in (prediction.location, prediction.scale)
            )
        ranges = ranges.updated(location, scale, y)
    return ranges, (int(rows[at]), prediction.location[at], prediction.scale[at])


@pytest.mark.parametrize("at", [0, 60])
def test_a_loss_is_twice_the_mean_pinball_of_the_ranges_as_they_stood(
    scores: pa.Table, walk: Walk, prices: PairHistory, at: int
) -> None:
    ranges, (i, location, scale) = stood(walk, prices, at)
    levels = np.arange(1, 200) / 200
    quantiles = ranges.quantiles(levels, location, scale)[19]
    y = math.log(prices.closes[i + 20] / prices.closes[i])
    losses = [(y - q) * (p - (y < q)) for p, q in zip(levels.tolist(), quantiles.tolist(), strict=True)]
    row = next(r for r in scores.to_pylist() if r["horizon"] == 20 and r["y"] == y)
    assert row["loss_crps"] == pytest.approx(2e4 * float(np.mean(losses)), rel=1e-9)
    assert row["covered_80"] == (quantiles[19] <= y <= quantiles[179])
    assert row["covered_90"] == (quantiles[9] <= y <= quantiles[189])
    below = np.searchsorted(quantiles, y) / 200
    assert abs(row["pit"] - below) <= 0.0051
    assert row["score_80"] >= (quantiles[179] - quantiles[19]) * 1e4 - 1e-9


def test_losses_of_a_row_by_hand(scores: pa.Table) -> None:
    for row in scores.slice(0, 40).to_pylist():
        y = 1e4 * row["y"]
        assert row["loss_se"] == pytest.approx(y * y)
        assert row["loss_se_walk"] == pytest.approx(y * y)
        assert row["loss_ae"] == pytest.approx(abs(y))
        variance = (100 * row["volatility"]) ** 2
        assert row["loss_qlike"] == pytest.approx(math.log(variance) + (100 * row["y"]) ** 2 / variance)
        # A walk's ranges lie around the last price as they are.
        assert row["loss_crps_still"] == row["loss_crps"]
        assert (row["loss_qlike_garch"], row["fold"], row["observed_until"]) == (None, "live", row["origin"])


def test_the_references_stand_at_their_own_origin_and_horizon(
    walk: Walk, prices: PairHistory, scores: pa.Table
) -> None:
    predictor, manifest, window = walk
    some = scores.filter(pc.equal(scores.column("horizon"), 5)).slice(3, 7)
    variances = pa.table(
        {
            "origin": some.column("origin"),
            "horizon": some.column("horizon"),
            "garch": pa.array([1e-4 * k for k in range(1, 8)]),
            "har": pa.array([2e-4] * 7),
        }
    )
    found = score_live(predictor, prices, window, manifest=manifest, beside=Beside(variances=variances))
    rows = [row for row in found.to_pylist() if row["loss_qlike_garch"] is not None]
    assert [(row["horizon"], row["origin"]) for row in rows] == [(5, at) for at in some.column("origin").to_pylist()]
    for k, row in enumerate(rows, 1):
        percent = (100 * row["y"]) ** 2
        assert row["loss_qlike_garch"] == pytest.approx(math.log(k) + percent / k)
        assert row["loss_qlike_har"] == pytest.approx(math.log(2) + percent / 2)


def test_the_summary_is_the_documents_evaluation(scores: pa.Table) -> None:
    found = summary(scores)
    assert list(found) == [1, 5, 20]
    rows = [row for row in scores.to_pylist() if row["horizon"] == 20]
    assert found[20]["windows"] == len(rows)
    assert found[20]["independent_windows"] == math.ceil(len(rows) / 20)
    assert found[20]["ratio"] == found[20]["crps"] / found[20]["crps_random_walk"]
    assert found[20]["coverage_80"] == pytest.approx(np.mean([row["covered_80"] for row in rows]))
    assert found[20]["first"] == min(row["origin"] for row in rows)
    assert found[20]["last"] == max(row["target_time"] for row in rows)
    assert Evaluation.model_validate(found[1]).horizon == 1
    # On a true random walk a calibrated range covers, and nothing is far from the walk itself.
    assert 0.7 < found[1]["coverage_80"] < 0.9
    assert 0.95 < found[1]["ratio"] < 1.1


def test_summaries_keep_models_apart(scores: pa.Table) -> None:
    position = SCORES_SCHEMA.get_field_index("model_id")
    other = scores.set_column(position, "model_id", pa.array(["other"] * scores.num_rows))
    both = pa.concat_tables([other, scores])
    with pytest.raises(ValueError, match="scores of 2 model versions in one table"):
        summary(both)
    found = summaries(both)
    assert list(found) == [("USDJPY", "other", VERSION), ("USDJPY", "walk", VERSION)]
    assert found["USDJPY", "walk", VERSION] == summary(scores)
    assert summaries(both.slice(0, 0)) == {}
    assert summary(both.slice(0, 0)) == {}


def test_volatility_that_moves_is_rewarded(spec: ModelSpec) -> None:
    rng = np.random.default_rng(11)
    quiet = np.repeat(rng.permutation([0.002, 0.012] * 13), 60)
    moving = simulated(rng.normal(0, 1, len(quiet)) * quiet)
    predictor, manifest, window = trained(spec, moving)
    assert summary(score_live(predictor, moving, window, manifest=manifest))[1]["ratio"] < 0.97


def test_a_shorter_model_is_scored_where_it_reaches(spec: ModelSpec, prices: PairHistory) -> None:
    short = spec.model_copy(update={"horizon": 7})
    predictor, manifest, window = trained(short, prices)
    assert list(summary(score_live(predictor, prices, window, manifest=manifest))) == [1, 5]


def test_a_longer_baseline_moves_only_the_walks_loss(walk: Walk, prices: PairHistory, scores: pa.Table) -> None:
    predictor, manifest, window = walk
    half = len(prices) // 4
    late = PairHistory(
        "USDJPY", prices.ends[half:], prices.trading_dates[half:], prices.closes[half:], prices.features[half:]
    )
    alone = score_live(predictor, late, window, manifest=manifest)
    beside = score_live(predictor, late, window, manifest=manifest, beside=Beside(closes=prices))
    assert beside.equals(scores)
    assert summary(alone)[1]["crps"] == summary(beside)[1]["crps"]
    assert summary(alone)[1]["crps_random_walk"] != summary(beside)[1]["crps_random_walk"]


def test_a_checkpoint_that_saw_the_test_is_refused(walk: Walk, prices: PairHistory) -> None:
    predictor, manifest, window = walk
    seen = manifest.model_copy(update={"trained_until": window.validate_until + timedelta(days=30)})
    with pytest.raises(ValueError, match="its scores would be in-sample"):
        score_live(predictor, prices, window, manifest=seen)
    cut = held_out(prices, predictor.spec, seen)
    assert cut == replace(window, validate_until=seen.trained_until)
    origins = score_live(predictor, prices, cut, manifest=seen).column("origin").to_pylist()
    assert min(origins) >= seen.trained_until
    assert held_out(prices, predictor.spec, manifest) == window
    all_seen = manifest.model_copy(update={"trained_until": window.test_until})
    with pytest.raises(InsufficientHistory, match="insufficient_history: USDJPY has no row after 2026-10-30"):
        held_out(prices, predictor.spec, all_seen)


def test_no_origin_to_score_is_said(walk: Walk, prices: PairHistory) -> None:
    predictor, manifest, window = walk
    with pytest.raises(InsufficientHistory, match="no test origin after"):
        score_live(predictor, prices.until(window.validate_until), window, manifest=manifest)


def test_checks_notice_what_is_wrong_with_scores(scores: pa.Table) -> None:
    def failed(table: pa.Table) -> list[str]:
        outcomes = check_scores(table)
        assert {item.name: item.blocking for item in outcomes} == CHECKS
        return [item.name for item in outcomes if not item.passed]

    table = scores
    assert failed(table) == []
    assert failed(pa.concat_tables([table, table.slice(0, 1)])) == ["one_score_per_origin"]
    assert failed(table.slice(0, 100)) == ["enough_windows"]
    position = SCORES_SCHEMA.get_field_index("covered_80")
    assert failed(table.set_column(position, "covered_80", pa.array([True] * table.num_rows))) == ["coverage_near_80"]
    losses = [-1.0, *table.column("loss_crps").to_pylist()[1:]]
    position = SCORES_SCHEMA.get_field_index("loss_crps")
    assert failed(table.set_column(position, "loss_crps", pa.array(losses))) == ["losses_finite"]
    with pytest.raises(ValueError, match="no scores to check"):
        check_scores(table.slice(0, 0))

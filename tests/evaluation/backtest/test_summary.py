"""The figures of a back-test, each reckoned another way."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fx_assets.evaluation.backtest.summary import document, hit_rates
from tests.evaluation.backtest.helpers import column, daily, plain, terms, traded, walk

COUNT = 200


def test_sharpe_drawdown_and_turnover() -> None:
    bars = walk(COUNT)
    signs = np.sign(np.random.default_rng(1).normal(size=COUNT - 1))
    result = traded(bars, signs, plain(256.0), horizon=5)
    summary, equity = result.summary, column(result.equity, "equity")
    returns = np.diff(equity) / equity[:-1]
    assert np.array_equal(result.returns, returns)
    sharpe = returns.mean() / returns.std(ddof=1)
    assert summary.sharpe == pytest.approx(sharpe, rel=1e-12)
    assert summary.sharpe_a_year == pytest.approx(16 * sharpe, rel=1e-12)
    assert summary.volatility_a_year == pytest.approx(16 * returns.std(ddof=1), rel=1e-12)
    assert (summary.bars, summary.independent_bars) == (COUNT - 1, 40)
    deepest = max(1 - equity[late] / equity[early] for late in range(len(equity)) for early in range(late + 1))
    assert summary.max_drawdown == pytest.approx(deepest, rel=1e-12)
    at = result.equity.column("time").to_pylist().index(summary.max_drawdown_at)
    assert column(result.equity, "drawdown")[at] == -summary.max_drawdown
    units, mids = column(result.trades, "units"), column(result.trades, "mid")
    assert summary.traded == pytest.approx(np.sum(np.abs(units) * mids), rel=1e-12)
    assert summary.turnover_a_year == pytest.approx(summary.traded / equity.mean() * 256 / (COUNT - 1), rel=1e-12)
    turns = 1 + int((signs[1:] != signs[:-1]).sum())
    assert summary.round_trips == turns


def test_at_the_break_even_hit_rate_nothing_is_lost() -> None:
    # Three gains of 4, one loss of 8, costs of 6: to earn them, 4 p - 8 (1 - p) has to be 1.5.
    hit_rate, needed = hit_rates(np.array([4.0, 4.0, 4.0, -8.0, 0.0]), 6.0)
    assert (hit_rate, needed) == (0.75, 9.5 / 12)
    assert needed is not None
    assert 4 * needed - 8 * (1 - needed) == pytest.approx(6.0 / 4)
    assert hit_rates(np.array([0.0]), 1.0) == (None, None)
    assert hit_rates(np.array([1.0, 2.0]), 1.0) == (1.0, None)


def test_hit_rates_are_of_the_bars_that_moved_a_position() -> None:
    bars = daily([1.0] * 5, [1.25, 1.0, 1.125, 0.75, 1.0], spread=0.0)
    # Bought at the second bar's open: its close is where it began, then up by .125, down by .375 and up by .25.
    result = traded(bars, [1.0, 1.0, 1.0, 0.0], plain(1000.0, lot=0.5))
    assert result.summary.bars_held == 4
    assert result.summary.hit_rate == 2 / 3
    assert result.summary.open_position == 0


def test_what_is_assumed_is_said() -> None:
    bars = walk(COUNT, spread=None)
    signs = np.ones(COUNT - 1)
    result = traded(bars, signs, plain(100.0))
    said = "\n".join(result.assumptions)
    assert result.summary.assumed_fills == result.summary.trades > 0
    assert "assumed spread: " in said
    assert "4.7 times the configured one at 17:00 New York" in said
    assert "still open" in said
    assert "approximation" not in said
    nothing = np.full(COUNT, np.nan)
    fixings = daily(nothing, bars.close, fixing=True)
    said = "\n".join(traded(fixings, signs, plain(100.0)).assumptions)
    assert "approximation: reference rates cannot be traded at" in said
    assert "assumed spread: " in said
    assert "4.7" not in said
    quoted = "\n".join(traded(walk(COUNT), signs, plain(100.0)).assumptions)
    assert "assumed spread" not in quoted


def test_the_figures_are_plain_json() -> None:
    bars = walk(COUNT)
    result = traded(bars, np.ones(COUNT - 1), account=terms(COUNT))
    found = json.loads(json.dumps(document(result.summary), allow_nan=False))
    assert found["first"] == result.equity.column("time")[0].as_py().isoformat()
    assert math.isclose(found["final_equity"], result.summary.final_equity)

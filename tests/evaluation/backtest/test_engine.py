"""Identities of the back-test: where each unit of money comes from, and that nothing comes from the future."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fx_assets.evaluation.backtest.account import Terms, carry_of
from fx_assets.evaluation.backtest.engine import BacktestResult, orders_of, run
from fx_assets.evaluation.backtest.fills import Bars, quotes
from fx_assets.evaluation.backtest.series import Forecasts, signals_of
from fx_assets.evaluation.backtest.sizing import FixedNotional, Signals, Sizing, VolatilityTarget
from fx_assets.specs.financing import SwapRate, SwapRates
from tests.evaluation.backtest.helpers import column, daily, plain, reckoned, signals_at, terms, traded, walk

SWAPS = SwapRates(
    unit="pips", until=date(2035, 1, 1), rates=(SwapRate(since=date(2019, 1, 2), long=-0.75, short=0.25),)
)
COUNT = 300


def noisy(seed: int = 7) -> Any:
    """Signals of all sizes, with pauses."""
    random = np.random.default_rng(seed)
    return np.where(random.random(COUNT - 1) < 0.3, 0.0, random.uniform(-1, 1, COUNT - 1))


def everything(bars: Bars) -> Terms:
    """An account that is charged for everything, in a currency of its own."""
    rates = 0.5 + np.random.default_rng(11).integers(0, 64, len(bars)) / 64
    carry = carry_of(bars.pair, 2.0**-13, bars.dates, bars.close, SWAPS)
    return terms(len(bars), currency="CHF", rates=rates, commission_per_million=32.0, carry=carry)


@pytest.fixture(scope="module")
def full() -> tuple[Bars, BacktestResult]:
    bars = walk(COUNT)
    return bars, traded(bars, noisy(), account=everything(bars))


def test_one_trade_by_hand() -> None:
    """Long a thousand units from the second bar's ask, out at the third one's bid."""
    bars = daily([1.0, 1.25, 1.5, 1.5], [1.25, 1.375, 1.75, 1.5], spread=0.125)
    result = traded(bars, [1.0, 0.0, 0.0], plain(1250.0))
    [entry, leave] = result.trades.to_pylist()
    assert (entry["units"], entry["price"], entry["mid"], entry["position"]) == (1000, 1.3125, 1.25, 1000)
    assert (leave["units"], leave["price"], leave["mid"], leave["position"]) == (-1000, 1.4375, 1.5, 0)
    assert [entry["known_at"], entry["filled_at"]] == [result.equity["time"][0].as_py()] * 2
    assert column(result.equity, "price_profit").tolist() == [0, 125, 125, 0]
    assert column(result.equity, "spread_cost").tolist() == [0, 62.5, 62.5, 0]
    assert column(result.equity, "equity").tolist() == [1024, 1086.5, 1149, 1149]
    # Half of the 250 are not yet earned at the end of the second bar; the cost of the fill is paid.
    assert column(result.equity, "cash").tolist() == [1024, 961.5, 1149, 1149]
    assert result.summary.net_profit == 1000 * (1.4375 - 1.3125)
    assert result.summary.financing_said == "before financing"
    assert result.assumptions[0].startswith("before financing: ")


def test_equity_changes_by_price_profit_less_costs_plus_financing_to_the_last_bit(
    full: tuple[Bars, BacktestResult],
) -> None:
    names = ("equity", "price_profit", "spread_cost", "commission", "financing")
    equity, profit, spread, fee, financing = (column(full[1].equity, name) for name in names)
    assert equity[0] == 1024
    assert np.array_equal(equity[1:], equity[:-1] + (profit - spread - fee + financing)[1:])
    assert min(abs(profit).sum(), spread.sum(), fee.sum(), abs(financing).sum()) > 0
    summary = full[1].summary
    assert summary.net_profit == pytest.approx(equity[-1] - equity[0], rel=1e-9)
    assert summary.spread_cost == pytest.approx(column(full[1].trades, "spread_cost").sum(), rel=1e-12)
    assert summary.commission == pytest.approx(column(full[1].trades, "commission").sum(), rel=1e-12)


def test_equity_is_what_the_cash_of_each_trade_comes_to(full: tuple[Bars, BacktestResult]) -> None:
    """Reckoned again in fractions from prices paid alone."""
    bars, result = full
    exact = reckoned(result, bars, quotes(bars, spread=2**-12), everything(bars))
    assert float(exact) == pytest.approx(result.summary.final_equity, rel=1e-12)


def test_without_conversion_the_fractions_are_met_exactly() -> None:
    """Prices are multiples of 2**-14 and units are whole, so that nothing is rounded anywhere."""
    bars = walk(COUNT)
    carry = carry_of(bars.pair, 2.0**-13, bars.dates, bars.close, SWAPS)
    account = terms(COUNT, carry=carry)
    result = traded(bars, noisy(), account=account)
    assert result.trades.num_rows > 100
    assert reckoned(result, bars, quotes(bars, spread=1.0), account) == Fraction(result.summary.final_equity)


def test_cash_and_what_the_open_position_made_are_the_equity(full: tuple[Bars, BacktestResult]) -> None:
    equity, cash, position = (column(full[1].equity, name) for name in ("equity", "cash", "position"))
    flat = position == 0
    assert 5 < flat.sum() < len(flat)
    assert cash[flat] == pytest.approx(equity[flat], rel=1e-12)
    assert (np.abs(cash - equity)[~flat] > 0).mean() > 0.9


SIZES = {
    "fixed": plain(),
    "banded": Sizing(FixedNotional(1000.0), tolerance=0.2, leverage=1.5),
    "volatility": Sizing(VolatilityTarget(0.1, 256.0), leverage=3.0),
}


@pytest.mark.parametrize("sizing", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("quoted", [True, False], ids=["quoted", "assumed"])
def test_what_comes_later_changes_nothing_before_it(sizing: Sizing, quoted: bool) -> None:
    """All prices and forecasts after a bar are spoilt: trades and equity up to it are the same, bit for bit."""
    bars = walk(COUNT, spread=2**-12 if quoted else None)
    random = np.random.default_rng(5)
    made = Forecasts("v", bars.ends, bars.ends, random.normal(0, 0.003, COUNT), random.uniform(0.002, 0.01, COUNT))

    def result_of(bars: Bars, forecasts: Forecasts, spoil: Any = 1.0) -> BacktestResult:
        quoted = quotes(bars, spread=2**-12)
        account = everything(bars)
        account = replace(account, rates=account.rates * spoil)
        return run(bars, quoted, signals_of(forecasts, quoted, 32.0), sizing, account, bars_a_year=256.0)

    whole = result_of(bars, made)
    for cut in (20, 150, 297):
        after = np.arange(COUNT) > cut
        spoilt = {
            name: np.where(after, getattr(bars, name) * random.uniform(0.5, 2.0), getattr(bars, name))
            for name in ("open", "close", "bid_open", "ask_open", "bid", "ask")
        }
        # What is known at the end of the bar may be traded in the next one, at prices that are spoilt.
        other = replace(
            made,
            location=np.where(after, -made.location * 3, made.location),
            volatility=np.where(after, made.volatility * 2, made.volatility),
        )
        again = result_of(replace(bars, **spoilt), other, np.where(after, 1.5, 1.0))
        rows = int((whole.equity.column("time").to_numpy() <= bars.ends[cut]).sum())
        assert whole.equity.slice(0, rows).equals(again.equity.slice(0, rows))
        fills = [result.trades.column("filled_at").to_numpy() for result in (whole, again)]
        done, next_one = ([int((at < bars.starts[row]).sum()) for at in fills] for row in (cut + 1, cut + 2))
        assert done[0] == done[1] > 3
        assert whole.trades.slice(0, done[0]).equals(again.trades.slice(0, done[0]))
        # The order of the next bar was placed before what was spoilt; only its price may differ.
        placed = ["known_at", "filled_at", "signal", "units", "position"]
        ours, theirs = whole.trades.select(placed), again.trades.select(placed)
        assert ours.slice(0, next_one[0]).equals(theirs.slice(0, next_one[1]))
        assert not whole.equity.equals(again.equity)
        assert whole.trades.num_rows > 50


def test_a_signal_is_never_filled_before_it_is_known() -> None:
    bars = walk(COUNT)
    result = traded(bars, noisy())
    known, filled = (result.trades.column(name).to_numpy() for name in ("known_at", "filled_at"))
    assert (filled >= known).all()
    late = orders_of(bars.starts, bars.ends[:3] + np.timedelta64(1, "us"))
    # The third bar ends on a Friday; what is known later that evening waits for Sunday, as what came after Thursday's.
    assert late[:5].tolist() == [-1, -1, 0, 2, -1]
    # One that observed the market until a day later waits for the bar after that, and the newer one is traded.
    known_at = np.array([bars.ends[0], bars.ends[2], bars.ends[2] - np.timedelta64(5, "s")], dtype="datetime64[us]")
    assert orders_of(bars.starts, np.sort(known_at))[:4].tolist() == [-1, 0, -1, 2]
    # Before the first bar nothing can size an order, and after the last nothing fills it.
    assert (orders_of(bars.starts, np.array([bars.starts[0], bars.ends[-1]])) == -1).all()


def test_the_other_side_of_the_quote_differs_by_exactly_the_spread() -> None:
    bars = walk(COUNT)
    quoted = quotes(bars, spread=0.0)
    flipped = replace(quoted, bid=quoted.ask, ask=quoted.bid)
    right, wrong = traded(bars, noisy()), traded(bars, noisy(), quoted=flipped)
    spread = np.abs(column(right.trades, "units")).sum() * 2**-12
    assert spread > 0
    assert wrong.summary.final_equity - right.summary.final_equity == spread
    assert right.summary.spread_cost == spread / 2


def test_no_signal_is_no_trade_and_no_money() -> None:
    bars = walk(COUNT)
    result = traded(bars, np.zeros(COUNT - 1), account=everything(bars))
    assert result.trades.num_rows == 0
    assert set(column(result.equity, "equity").tolist()) == {1024.0}
    assert (result.summary.net_profit, result.summary.traded, result.summary.max_drawdown) == (0, 0, 0)
    assert (result.summary.sharpe, result.summary.hit_rate, result.summary.break_even_hit_rate) == (None, None, None)


def test_turning_a_signal_around_turns_price_profit_and_no_cost() -> None:
    bars, account = walk(COUNT), terms(COUNT, commission_per_million=32.0)
    long, short = traded(bars, noisy(), account=account), traded(bars, -noisy(), account=account)
    assert short.summary.price_profit == -long.summary.price_profit
    assert short.summary.spread_cost == long.summary.spread_cost
    assert short.summary.commission == long.summary.commission


def test_a_bar_without_a_signal_closes_the_position() -> None:
    bars = walk(6)
    signals = [(0, 1.0), (3, 1.0)]
    at = np.array([bars.ends[row] for row, _ in signals])
    given = Signals(at, np.array([value for _, value in signals]), np.full(2, 0.01))
    result = run(bars, quotes(bars, spread=0.0), given, plain(), terms(6), bars_a_year=256.0)
    assert (column(result.equity, "position") != 0).tolist() == [False, True, False, False, True]
    assert result.trades.column("known_at").to_pylist()[1] is None
    assert result.summary.bars_silent == 2
    assert any("2 bars have no signal" in said for said in result.assumptions)


def test_financing_is_paid_on_what_was_held_over_the_roll() -> None:
    """Long from Wednesday's open to Friday's: Wednesday's roll of three days and Thursday's, by hand."""
    bars = daily([1.0] * 5, [1.0] * 5, spread=0.0)
    assert str(bars.dates[0]) == "2019-01-02"  # a Wednesday
    values = [1.0, 1.0, 1.0, 0.0]
    carry = carry_of("EURUSD", 0.0001, bars.dates, bars.close, SWAPS)
    result = traded(bars, values, plain(1000.0), account=terms(5, carry=carry))
    assert column(result.equity, "position").tolist() == [0, 1000, 1000, 1000, 0]
    # Filled on Thursday: its roll is one day, Friday's one, Monday's one.
    assert column(result.equity, "financing") == pytest.approx([0, 0, -0.075, -0.075, -0.075])
    assert (result.summary.financing_said, result.summary.financing_days) == ("after financing", 3)
    short = traded(bars, [-1.0, 0.0, 0.0, 0.0], plain(1000.0), account=terms(5, carry=carry))
    assert short.summary.financing == pytest.approx(0.025)


def test_rates_that_end_too_soon_are_said() -> None:
    bars = walk(COUNT)
    for until, said in ((date(2019, 1, 2), "before financing"), (date(2019, 6, 3), "before financing on ")):
        known = SWAPS.model_copy(update={"until": until})
        carry = carry_of("EURUSD", 0.0001, bars.dates, bars.close, known)
        result = traded(bars, np.ones(COUNT - 1), account=terms(COUNT, carry=carry))
        assert result.summary.financing_said.startswith(said)
        assert result.assumptions[0].startswith(said)
    unknown, days = (int(values[2:].sum()) for values in (carry.unknown, carry.days))
    assert result.summary.financing_said == f"before financing on {unknown} of {days} days"
    assert 0 < unknown < days


def test_an_account_that_lost_everything_stops() -> None:
    bars = daily([1.0, 1.0, 0.5, 0.5, 0.5], [1.0, 1.0, 0.5, 0.5, 2.0], spread=0.0)
    result = traded(bars, [1.0] * 4, Sizing(FixedNotional(4096.0), leverage=4.0))
    assert column(result.equity, "position").tolist() == [0, 4096, 4096, 0, 0]
    assert result.summary.final_equity == -1024
    assert (result.summary.sharpe, result.summary.max_drawdown) == (None, 2.0)


def test_what_does_not_fit_is_refused() -> None:
    bars = walk(4)
    with pytest.raises(ValueError, match="expected as many"):
        traded(bars, [1.0], account=terms(3))
    late = replace(signals_at(bars, [1.0]), known_at=bars.ends[-1:])
    with pytest.raises(ValueError, match="no bar comes after any of the 1 signals"):
        run(bars, quotes(bars, spread=0.0), late, plain(), terms(4), bars_a_year=256.0)

"""The figures of a back-test, and in words what they take for granted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.evaluation.backtest.account import AFTER, BEFORE, Terms
from fx_assets.evaluation.backtest.fills import AT_THE_ROLL, Bars, Quotes
from fx_assets.evaluation.backtest.sizing import Sizing
from fx_assets.timegrid.windows import EvaluationWindow

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """Figures of one back-test; money in account currency, shares as fractions, None where nothing can be said.

    `bars`: after the first, of which `bars_held` moved a position, `bars_silent` had no signal and `independent_bars`
    have targets that do not overlap. `net_profit` = `price_profit` - `spread_cost` - `commission` + `financing`.
    `financing_said`: before or after financing, in words. `traded`: value of all that was bought and sold;
    `turnover_a_year` in multiples of the mean equity. `sharpe` is of one bar, without an interest rate; `hit_rate` of
    the bars that moved a position, and `break_even_hit_rate` what it would have to be, with gains, losses and costs as
    large as they were, for nothing to be lost.
    """

    first: datetime
    last: datetime
    bars: int
    bars_held: int
    bars_silent: int
    independent_bars: int
    trades: int
    round_trips: int
    assumed_fills: int
    capital: float
    final_equity: float
    net_profit: float
    price_profit: float
    spread_cost: float
    commission: float
    financing: float
    financing_said: str
    financing_days: int
    traded: float
    turnover_a_year: float
    return_a_year: float | None
    volatility_a_year: float | None
    sharpe: float | None
    sharpe_a_year: float | None
    max_drawdown: float
    max_drawdown_at: datetime
    hit_rate: float | None
    break_even_hit_rate: float | None
    open_position: float


def summarise(
    equity: pa.Table,
    trades: pa.Table,
    terms: Terms,
    span: slice,
    *,
    bars_a_year: float,
    horizon: int,
    silent: int,
) -> Summary:
    """Figures of `equity` and `trades` (see `engine`).

    `span`: the bars of `terms` that the rows of `equity` after the first are of; `silent` of these had no signal.
    """
    money = {name: _column(equity, name) for name in ("price_profit", "spread_cost", "commission", "financing")}
    total = {name: math.fsum(values) for name, values in money.items()}
    worth, position = _column(equity, "equity"), _column(equity, "position")
    bars = len(worth) - 1
    held = (position[:-1] != 0) | (position[1:] != 0)
    traded = math.fsum(_column(trades, "value"))
    costs = total["spread_cost"] + total["commission"] - total["financing"]
    hit_rate, break_even = hit_rates(money["price_profit"][1:][held], costs)
    drawdown = _column(equity, "drawdown")
    times = equity.column("time")
    said, days = _financing(terms, span, position)
    yearly_return, yearly_volatility, sharpe = _moments(worth, bars_a_year)
    return Summary(
        first=times[0].as_py(),
        last=times[-1].as_py(),
        bars=bars,
        bars_held=int(held.sum()),
        bars_silent=silent,
        independent_bars=EvaluationWindow.independent(bars, horizon),
        trades=trades.num_rows,
        round_trips=_round_trips(position),
        assumed_fills=int(np.sum(trades.column("assumed_spread").to_numpy(zero_copy_only=False))),
        capital=terms.capital,
        final_equity=float(worth[-1]),
        net_profit=total["price_profit"] - costs,
        **total,
        financing_said=said,
        financing_days=days,
        traded=traded,
        turnover_a_year=traded / float(np.mean(worth)) * bars_a_year / bars,
        return_a_year=yearly_return,
        volatility_a_year=yearly_volatility,
        sharpe=sharpe,
        sharpe_a_year=None if sharpe is None else sharpe * math.sqrt(bars_a_year),
        max_drawdown=float(-drawdown.min()),
        max_drawdown_at=times[int(drawdown.argmin())].as_py(),
        hit_rate=hit_rate,
        break_even_hit_rate=break_even,
        open_position=float(position[-1]),
    )


def hit_rates(profits: Floats, costs: float) -> tuple[float | None, float | None]:
    """Share of price `profits` (n,) of bars that are above 0, and the share at which `costs` of all would be earned.

    With p wins of the mean gain G and 1 - p losses of the mean loss L, p G - (1 - p) L = cost of a bar, at
    p = (L + cost) / (G + L). Bars without a profit or loss count for neither. None where there are none, or no wins or
    no losses to take a mean of.
    """
    gains, losses = profits[profits > 0], -profits[profits < 0]
    count = len(gains) + len(losses)
    if not count:
        return None, None
    if not (len(gains) and len(losses)):
        return len(gains) / count, None
    gain, loss = float(gains.mean()), float(losses.mean())
    return len(gains) / count, (loss + costs / count) / (gain + loss)


def assumptions(
    bars: Bars, quotes: Quotes, sizing: Sizing, terms: Terms, summary: Summary, span: slice
) -> tuple[str, ...]:
    """What the result takes for granted, one sentence each; the first says whether financing is in it."""
    said = [_financing_sentence(terms, summary)]
    if bars.fixing:
        said.append(
            "approximation: reference rates cannot be traded at; orders are filled at the next fixing, half a spread "
            "worse, so that a forecast of one bar ahead has come due when it is traded"
        )
    else:
        said.append("a signal of the end of a bar is filled at the next bar's bid or ask, its opening one where quoted")
    if summary.assumed_fills:
        spread = float(np.median((quotes.ask - quotes.bid)[span][quotes.assumed[span]]))
        rolls = "" if bars.fixing else f", {AT_THE_ROLL:g} times the configured one at 17:00 New York"
        said.append(
            f"assumed spread: {summary.assumed_fills} of {summary.trades} orders were filled where no sides are "
            f"quoted, at {spread:.6g} (median){rolls}"
        )
    said.append(f"{sizing.rule}; at most {sizing.leverage:g} times the equity, in lots of {sizing.lot:g}")
    if sizing.tolerance:
        said.append(f"a position within {sizing.tolerance:.0%} of its size is left alone")
    said.append(f"profit is turned into {terms.currency} at the rate at the end of the bar that made it")
    if summary.open_position:
        said.append("the last position is still open and valued at mid; closing it would cost half a spread more")
    if summary.bars_silent:
        said.append(f"{summary.bars_silent} bars have no signal; nothing was held over them")
    return tuple(said)


def _financing(terms: Terms, span: slice, position: Floats) -> tuple[str, int]:
    """Before or after financing, in words, and for how many days positions were held over a roll."""
    if terms.carry is None:
        return BEFORE, 0
    into = position[:-1] != 0
    days, unknown = (int(values[span][into].sum()) for values in (terms.carry.days, terms.carry.unknown))
    if not unknown:
        return AFTER, days
    return (BEFORE if unknown == days else f"{BEFORE} on {unknown} of {days} days"), days


def _financing_sentence(terms: Terms, summary: Summary) -> str:
    if terms.carry is None:
        return f"{BEFORE}: no swap rates of this pair in configs/financing"
    if summary.financing_said == AFTER:
        return f"{AFTER}, by the change of the spot value date over {summary.financing_days} days held"
    return f"{summary.financing_said}: the swap rates of this pair do not cover them"


def _moments(worth: Floats, bars_a_year: float) -> tuple[float | None, float | None, float | None]:
    """Mean and deviation of the returns in a year, and their ratio in one bar; None where equity was lost entirely."""
    if len(worth) < 3 or (worth <= 0).any():
        return None, None, None
    returns = np.diff(worth) / worth[:-1]
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    return mean * bars_a_year, deviation * math.sqrt(bars_a_year), mean / deviation if deviation > 0 else None


def _round_trips(position: Floats) -> int:
    """How often a position of one side was opened."""
    sides = np.sign(position)
    return int(np.sum((sides[1:] != 0) & (sides[1:] != sides[:-1])))


def _column(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def document(summary: Summary) -> dict[str, Any]:
    """`summary` for JSON: times in ISO 8601."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(summary).items()}

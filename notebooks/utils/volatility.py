"""Volatility, where skill is real: forecast against realised, term structure, weekdays and payroll days.

Tables are pandas; volatilities are annualised and in per cent. Pictures are PNG bytes for `plots.show`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.evaluation.pictures import dress

DAYS_A_YEAR = 252
_PERCENT = 100 * np.sqrt(DAYS_A_YEAR)
_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


def realised(bars: pd.DataFrame, days: int = 22) -> pd.Series:
    """Volatility of the last `days` daily bars of `frames.bars`: from their realised variance where all have one,
    else from squared returns of the close.
    """
    squares = bars["log_return"] ** 2
    if "realised_variance" in bars and bars["realised_variance"].notna().all():
        squares = bars["realised_variance"]
    annual: pd.Series = np.sqrt(squares.rolling(days).mean()) * _PERCENT
    return annual.rename("realised")


def against_realised(scores: pd.DataFrame, groups: int = 10) -> pd.DataFrame:
    """Windows of `frames.scores` by how much volatility was forecast: what was forecast, and what came.

    `ratio` is 1 where the forecasts are right; `error` is its standard error, as if windows were independent.
    """
    group = pd.qcut(scores["volatility"], groups, labels=range(1, groups + 1))
    z2 = (scores["y"] - scores["location"]).div(scores["volatility"]) ** 2
    annual = _PERCENT / np.sqrt(scores["horizon"].iloc[0])
    grouped = z2.groupby(group, observed=True)
    ratio = np.sqrt(grouped.mean())
    return pd.DataFrame(
        {
            "windows": grouped.size(),
            "forecast": np.sqrt((scores["volatility"] ** 2).groupby(group, observed=True).mean()) * annual,
            "realised": np.sqrt((scores["y"] ** 2).groupby(group, observed=True).mean()) * annual,
            "ratio": ratio,
            "error": grouped.sem() / (2 * ratio),
        }
    )


def term_structure(forecast: pd.DataFrame) -> pd.Series:
    """Volatility a year by bars ahead, of a forecast from `frames.forecast`: flat if the market stays as it is."""
    annual: pd.Series = forecast["volatility"] / np.sqrt(forecast.index) * _PERCENT
    return annual.rename("volatility")


def weekday_effect(bars: pd.DataFrame) -> pd.DataFrame:
    """Variance of the returns that end on each weekday, over that of all days; `error`: its standard error."""
    days = pd.to_datetime(bars["trading_date"]).dt.dayofweek
    return _effect(bars["log_return"], days.map(dict(enumerate(_NAMES))), list(_NAMES))


def payroll_effect(bars: pd.DataFrame) -> pd.DataFrame:
    """Variance of the returns that hold a US employment report, over that of all days; `error`: its standard error.

    The report comes at 8:30 New York on the first Friday of a month (in the main). A fixing at 14:10 Frankfurt is
    earlier, so that the return after it holds the report; a bar to 17:00 New York holds it itself.
    """
    days = pd.to_datetime(bars["trading_date"])
    first_friday = (days.dt.dayofweek == 4) & (days.dt.day <= 7)
    if (bars["kind"] == "fixing").all():
        first_friday = first_friday.shift(1, fill_value=False)
    return _effect(
        bars["log_return"], first_friday.map({True: "payroll", False: "other days"}), ["payroll", "other days"]
    )


def _effect(returns: pd.Series, group: pd.Series, order: list[str]) -> pd.DataFrame:
    known = returns.notna()
    squares = returns[known] ** 2 / (returns[known] ** 2).mean()
    grouped = squares.groupby(group[known])
    frame = pd.DataFrame({"days": grouped.size(), "ratio": grouped.mean(), "error": grouped.sem()})
    return frame.reindex(order).dropna()


def picture_of_forecasts(bars: pd.DataFrame, scores: pd.DataFrame, title: str) -> bytes:
    """PNG: one-day forecasts and what was realised over time, beside the groups of `against_realised`."""
    figure, (left, right) = dress.canvas(4.2, columns=2, width_ratios=(3, 2))
    month = realised(bars).reindex(scores.index)
    when = dress.times(pd.DatetimeIndex(scores.index).tz_convert(None).to_numpy())
    left.plot(when, month, color=dress.GREY, linewidth=1.2, label="realised, 22 days")
    said = scores["volatility"] / np.sqrt(scores["horizon"]) * _PERCENT
    left.plot(when, said, color=dress.BLUE, linewidth=1.2, label="forecast")
    dress.days(left)
    dress.legend(left)
    dress.panel(left, "Over time", y="% a year")
    table = against_realised(scores)
    right.axhline(1, color=dress.INK, linewidth=1)
    right.errorbar(table["forecast"], table["ratio"], 1.96 * table["error"], fmt="o", color=dress.BLUE, markersize=5)
    dress.panel(right, "By the size of the forecast", x="forecast, % a year", y="realised over forecast")
    dress.head(
        figure,
        f"{title}: volatility forecast and realised",
        "Right: tenths of the days by their forecast; 1 is as forecast, lines are 95 % intervals.",
    )
    return dress.png(figure, title)


def picture_of_days(bars: pd.DataFrame, title: str) -> bytes:
    """PNG: the variance of each weekday and of payroll days, over that of all days."""
    figure, (axes,) = dress.canvas(3.6)
    table = pd.concat([weekday_effect(bars), payroll_effect(bars).iloc[:1]])
    places = np.arange(len(table))
    axes.axhline(1, color=dress.INK, linewidth=1)
    axes.errorbar(places, table["ratio"], 1.96 * table["error"], fmt="o", color=dress.BLUE, markersize=6)
    axes.set_xticks(places, list(table.index))
    axes.set_ylim(bottom=0)
    dress.panel(axes, "", y="variance over that of all days")
    dress.head(
        figure,
        f"{title}: on which days it moves",
        f"Squared returns of {int(bars['log_return'].notna().sum()):,} days, by the day on which they end; "
        "lines are 95 % intervals.",
    )
    return dress.png(figure, title)


def picture_of_term_structure(forecast: pd.DataFrame, bars: pd.DataFrame, title: str) -> bytes:
    """PNG: volatility by bars ahead as it is forecast now, and the mean of the whole history."""
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = dress.canvas(3.4)
    structure = term_structure(forecast)
    axes.plot(structure.index, structure, "o-", color=dress.BLUE, markersize=4, label="forecast now")
    mean = float(np.sqrt((bars["log_return"] ** 2).mean()) * _PERCENT)
    axes.axhline(mean, color=dress.GREY, linewidth=1.5, label="mean of the history")
    axes.margins(y=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    dress.legend(axes)
    dress.panel(axes, "", x="bars ahead", y="% a year")
    dress.head(figure, f"{title}: term structure of volatility", "Volatility of the whole way to each bar, a year.")
    return dress.png(figure, title)

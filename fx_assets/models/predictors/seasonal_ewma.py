"""Volatility with the week's rhythm: a level that moves, times what each hour of the week has of it.

Hours differ in volatility by a factor of ten, and the same way each week (Andersen and Bollerslev 1997, "Intraday
periodicity and volatility persistence in financial markets", doi 10.1016/S0927-5398(97)00004-2): an EWMA that does not
know the hour is too wide by night and too narrow by day. Here sizes of returns are first divided by the factor of their
hour of the week (New York), then averaged, and each bar to come gets its own factor back.

Factors are fitted on training rows alone, which may be years old when they are used, and the rhythm moves: so each hour
of the day has a correction besides, followed over the window like the level. On OANDA's hours without it single hours
of the day leave 4 points around 80 %. Settings had the lowest interval score, or one within a tenth of a percent of it,
beside even coverage over the hours, of some 30 tried on the rows before July 2017, which no benchmark scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fx_assets.models.base import BasePredictor, Row
from fx_assets.models.errors import InvalidInput
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import positive_number
from fx_assets.models.volatility import MIN_VARIANCE, fitted_initial_variance, log_returns
from fx_assets.specs.schema import ModelSpec, Strict
from fx_assets.timegrid.ahead import HOURS_A_WEEK, hours_of_week

Integers = NDArray[np.int64]

_DAY = 24
# Windows that are computed together: more are no faster, and take more memory.
_TOGETHER = 2_000
# Returns by which an hour of the week is drawn to its hour of the day, and that to the mean.
_SHRINK = 20.0
# Returns of its own that the correction of an hour of the day begins with, as if they had been of the expected size.
_DOUBT = 10.0
# Where an hour has hardly traded, as 17:00 on holidays: no factor is under a fiftieth of the mean.
_LEAST_FACTOR = 0.02
# A shock of over 20 times the expected size says no more of the rhythm than one of 20; for the deviation, over 10.
_MOST_SIZE, _MOST_SHOCK = 20.0, 10.0
_LEAST_LEVEL = MIN_VARIANCE**0.5


class Hyperparameters(Strict):
    """Half-lives: of the level, in bars; of an hour's correction, in bars of that hour, which are days."""

    half_life: float = Field(default=24.0, gt=0, le=10_000)
    rhythm_half_life: float = Field(default=20.0, gt=0, le=10_000)


class SeasonalEwma(BasePredictor):
    """Location 0; the variance of the next h bars is the sum of their own, each with the factor of its hour.

    A return's expected size is level x factor of its hour of the week x correction of its hour of the day. Level and
    corrections are followed over exactly the window's rows, so it should span some `rhythm_half_life` days: of 1,000
    hours the oldest count a quarter. On daily bars the factors are those of weekdays.
    """

    kind = "seasonal_ewma"
    Hyperparameters = Hyperparameters
    targets = frozenset({"volatility"})
    uses_clock = True

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        """A window that the level can settle in."""
        half_life = Hyperparameters.model_validate(spec.hyperparameters).half_life
        if spec.window <= half_life:
            yield "window", f"{spec.window} bars are too few to follow a level of half-life {half_life:g}; take more"

    # -- training -----------------------------------------------------------------------------------

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        del rng  # nothing here is left to chance
        (history,) = histories.values()
        initial = fitted_initial_variance(histories)
        sizes, hours = np.abs(log_returns(history.closes)), hours_of_week(history.ends[1:])
        factors = week_factors(sizes, hours)
        level = max(float(np.mean(sizes / factors[hours])), _LEAST_LEVEL)
        scaled = (sizes / factors[hours])[None, :]
        params = {"factors": factors.tolist(), "level": level, "relative": self._relative(scaled[0], level)}
        expected = self._begin(1, params).through(scaled, hours[None, :] % _DAY)[0]
        shocks = np.minimum(scaled[0] / expected, _MOST_SHOCK)
        return {**params, "deviation": float(np.sqrt(np.mean(np.square(shocks)))), "initial_variance": initial}

    def _relative(self, sizes: FloatArray, level: float) -> float:
        """Mean ratio of sizes (n,) over their factor to the level before them, all corrections left out."""
        decay, ratios = 0.5 ** (1 / self.hyperparameters.half_life), []
        for size in sizes.tolist():
            ratios.append(min(size / level, _MOST_SIZE))
            level = max(decay * level + (1.0 - decay) * size, _LEAST_LEVEL)
        return float(np.mean(ratios))

    def _begin(self, windows: int, params: Mapping[str, Any]) -> _Followed:
        return _Followed(windows, params["level"], self.hyperparameters, relative=params["relative"])

    # -- forecasting --------------------------------------------------------------------------------

    def _predict(self, window: FloatArray) -> Row:
        del window
        raise InvalidInput(f"kind {self.kind!r} needs the hour of the week of each bar, beside the window")

    def _rows(self, batch: FloatArray, ahead: Sequence[FloatArray | None]) -> list[Row]:
        rows = []
        for first in range(0, len(batch), _TOGETHER):
            told = [known for known in ahead[first : first + _TOGETHER] if known is not None]
            rows += self._together(batch[first : first + len(told)], np.array(told)[:, :, 0])
        return [self._checked(row) for row in rows]

    def _together(self, batch: FloatArray, hours: FloatArray) -> list[Row]:
        """Forecasts of windows (n, window, 1), whose bars and bars to come are in `hours` (n, window + horizon)."""
        slots, bars = hours.astype(np.int64), batch.shape[1]
        if not ((slots == hours) & (slots >= 0) & (slots < HOURS_A_WEEK)).all():
            raise InvalidInput(f"kind {self.kind!r}: hours of the week are whole numbers from 0 to 167")
        factors, past, coming = np.asarray(self.params["factors"]), slots[:, 1:bars], slots[:, bars:]
        state = self._begin(len(batch), self.params)
        state.through(np.abs(log_returns(batch[:, :, 0])) / factors[past], past % _DAY)
        expected = factors[coming] * state.expected(coming % _DAY)
        variances = np.maximum(np.square(self.params["deviation"] * expected), MIN_VARIANCE)
        return [Row(np.zeros(len(row)), row) for row in np.sqrt(np.cumsum(variances, axis=1))]

    # -- checkpoints --------------------------------------------------------------------------------

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        problems: dict[str, str] = {}
        for name in ("level", "relative", "deviation"):
            problems |= positive_number(params, name)
        factors = params.get("factors")
        if not isinstance(factors, list) or len(factors) != HOURS_A_WEEK:
            problems["factors"] = f"must be a list of {HOURS_A_WEEK}, one for each hour of the week"
        elif any(positive_number({"factor": value}, "factor") for value in factors):
            problems["factors"] = "must be numbers greater than 0"
        return problems


def week_factors(sizes: FloatArray, hours: Integers) -> FloatArray:
    """Typical size in each hour of the week over that of all (168,): of `sizes` (n,) in `hours` (n,), 0 to 167.

    The typical size is the squared mean of square roots: near to a mean, but news that come once a year move it less.
    An hour of the week is drawn to its hour of the day and that to all, each by 20 returns; none is under a fiftieth.
    """
    roots = np.sqrt(sizes)
    every = float(np.mean(roots)) ** 2
    days = _drawn(roots, hours % _DAY, np.full(_DAY, every))
    factors: FloatArray = _drawn(roots, hours, np.tile(days, HOURS_A_WEEK // _DAY)) / every
    return np.maximum(factors, _LEAST_FACTOR)


def _drawn(roots: FloatArray, groups: Integers, to: FloatArray) -> FloatArray:
    """Typical size in each group, drawn to `to` (groups,)."""
    counts = np.bincount(groups, minlength=len(to))
    means = np.bincount(groups, weights=roots, minlength=len(to)) / np.maximum(counts, 1)
    drawn: FloatArray = (counts * np.square(means) + _SHRINK * to) / (counts + _SHRINK)
    return drawn


class _Followed:
    """Level and corrections of some windows as they move, one size over its factor after the other.

    Element by element, so that a window gives the same bits alone and among others.
    """

    def __init__(self, windows: int, level: float, settings: Hyperparameters, *, relative: float) -> None:
        self._level, self._relative = np.full(windows, level), relative
        self._decay, self._forget = (0.5 ** (1 / half) for half in (settings.half_life, settings.rhythm_half_life))
        # Of each hour of the day: sum of sizes over the level, in units of `relative`, and how many it counts for.
        # Those of a window lie side by side, `_first` is where they begin.
        self._sums, self._counts = np.zeros(windows * _DAY), np.zeros(windows * _DAY)
        self._first = np.arange(windows) * _DAY

    def expected(self, hours: Integers) -> FloatArray:
        """Size over its factor (windows, n) of the next returns, in hours of the day (windows, n)."""
        at = self._first[:, None] + hours
        expected: FloatArray = self._level[:, None] * ((self._sums[at] + _DOUBT) / (self._counts[at] + _DOUBT))
        return expected

    def through(self, sizes: FloatArray, hours: Integers) -> FloatArray:
        """Takes sizes in hours of the day (windows, n) in, oldest first; what was expected of each before it came."""
        by_step, at = np.ascontiguousarray(sizes.T), np.ascontiguousarray((self._first[:, None] + hours).T)
        path, fresh = np.empty_like(by_step), 1.0 - self._decay
        for step, (size, own) in enumerate(zip(by_step, at, strict=True)):
            sums, counts = self._sums.take(own), self._counts.take(own)
            correction = (sums + _DOUBT) / (counts + _DOUBT)
            path[step] = self._level * correction
            ratio = np.minimum(size / self._level, _MOST_SIZE)
            self._sums[own] = self._forget * sums + ratio / self._relative
            self._counts[own] = self._forget * counts + 1.0
            self._level = np.maximum(self._decay * self._level + fresh * size / correction, _LEAST_LEVEL)
        by_window: FloatArray = path.T
        return by_window

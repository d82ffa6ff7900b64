"""The kind that knows the hour: its factors, what it follows, and what it is told of times."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fx_assets.models.base import InvalidInput
from fx_assets.models.inputs import FloatArray, PairHistory, windows
from fx_assets.models.params import PARAMS
from fx_assets.models.predictors.seasonal_ewma import SeasonalEwma, week_factors
from fx_assets.models.registry import check_model
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.ahead import hours_of_week
from tests.models.simulated import calibration_file, cuts, model_spec, pair_history

WEEKS = 60


def hourly(*, level: FloatArray | float = 1e-3, seed: int = 1, weeks: int = WEEKS) -> PairHistory:
    """Hours from Sunday 22:00 UTC for 120 hours a week of winter and summer: wild from 8 to 11 New York, calm late."""
    sunday = np.datetime64("2017-01-01T22:00", "us")
    starts = (
        sunday + np.arange(weeks)[:, None] * np.timedelta64(7, "D") + np.arange(120) * np.timedelta64(1, "h")
    ).ravel()
    ends = starts + np.timedelta64(1, "h")
    moves = rhythm(ends) * level * np.random.default_rng(seed).standard_t(6, len(ends))
    return PairHistory(
        pair="EURUSD",
        ends=ends,
        trading_dates=((ends - np.timedelta64(1, "us")) + np.timedelta64(2, "h")).astype("datetime64[D]"),
        closes=1.2 * np.exp(np.cumsum(moves)),
        features=np.empty((len(ends), 0)),
        frequency="1h",
    )


def rhythm(ends: Any) -> FloatArray:
    hour = hours_of_week(ends) % 24
    return np.where((hour >= 8) & (hour < 12), 3.0, np.where(hour >= 18, 0.3, 1.0))


def hourly_spec(**changes: Any) -> ModelSpec:
    base = {"frequency": "1h", "window": 300, "horizon": 30, "target": "volatility"}
    return model_spec("seasonal_ewma", **{**base, **changes})


def fitted(history: PairHistory, **changes: Any) -> tuple[SeasonalEwma, dict[str, Any]]:
    predictor = SeasonalEwma(hourly_spec(**changes))
    files = predictor.fit({"EURUSD": history}, cuts(history), seed=1)
    predictor.load_model({**files, **calibration_file(predictor.spec.horizon, "EURUSD")}, predictor.identity())
    return predictor, json.loads(files[PARAMS])


def test_factors_by_hand() -> None:
    """Ten returns of size 4 at 9:00 of Mondays, thirty of size 1 at 9:00 of Tuesdays: one hour of the day."""
    sizes = np.array([4.0] * 10 + [1.0] * 30)
    hours = np.array([9] * 10 + [24 + 9] * 30)
    every = (50 / 40) ** 2  # the squared mean of roots: ten 2s and thirty 1s
    found = week_factors(sizes, hours)
    assert found[9] == pytest.approx((10 * 4 + 20 * every) / 30 / every)
    assert found[33] == pytest.approx((30 * 1 + 20 * every) / 50 / every)
    # No return in an hour: that of all, also where no day has one.
    assert found[2 * 24 + 9] == found[100] == pytest.approx(1.0)
    assert week_factors(np.array([0.0] * 1000 + [1.0] * 1000), np.repeat([5, 6], 1000))[5] == 0.02


def test_widths_follow_the_hours_to_come() -> None:
    history = hourly()
    predictor, _ = fitted(history)
    rows = np.arange(4_000, 7_000, 61)
    scale = predictor.predict(*windows(history, rows, predictor.spec)).scale
    each = np.sqrt(np.diff(np.square(scale), axis=1, prepend=0))
    true = 1e-3 * np.sqrt(6 / 4) * rhythm(history.ends[rows[:, None] + np.arange(1, 31)])
    off = np.log(each / true)
    # A factor has 36 returns of its own to learn from, the level some 70.
    assert np.mean(off) == pytest.approx(0, abs=0.05)
    assert np.sqrt(np.mean(np.square(off))) < 0.4  # one width for all hours: .9
    assert (each.max(axis=1) > 5 * each.min(axis=1)).all()


def test_the_level_moves_and_comes_through_the_rhythm() -> None:
    """The market twice as wild in its last weeks: the same shape, twice as wide."""
    n = WEEKS * 120
    calm, wild = hourly(), hourly(level=np.where(np.arange(n) < n - 300, 1e-3, 2e-3))
    predictor, _ = fitted(calm)
    rows = np.arange(n - 60, n - 31)
    before, after = (predictor.predict(*windows(one, rows, predictor.spec)).scale for one in (calm, wild))
    assert np.median(after / before) == pytest.approx(2, rel=0.02)


def test_a_rhythm_that_changed_is_followed_in_the_window() -> None:
    """Hour 9 grows as calm as the rest of the day long after training."""
    history = hourly()
    predictor, _ = fitted(history, window=1200)
    hours = hours_of_week(history.ends) % 24
    moves = np.diff(np.log(history.closes), prepend=np.log(history.closes[0]))
    changed = replace(history, closes=1.2 * np.exp(np.cumsum(np.where(hours == 9, moves / 3, moves))))
    at = np.flatnonzero(hours[1:] == 9)[-20:-5]  # origins that end where hour 9 begins
    was, now = (predictor.predict(*windows(one, at, predictor.spec)).scale[:, 0] for one in (history, changed))
    # Fifty days with a half-life of 20 count for 24, beside the 10 that it begins with: (24 / 3 + 10) / 34.
    assert np.median(now / was) == pytest.approx(0.53, rel=0.1)


def test_a_window_alone_and_among_others_gives_the_same_bits() -> None:
    history = hourly()
    predictor, _ = fitted(history)
    batch, ahead = windows(history, np.arange(4_000, 4_050), predictor.spec)
    assert ahead is not None
    together = predictor.predict(batch, ahead).scale
    for at in (0, 17, 49):
        assert predictor.predict(batch[at : at + 1], ahead[at : at + 1]).scale[0].tobytes() == together[at].tobytes()


def test_it_is_told_the_hours_of_its_window_and_of_the_bars_to_come() -> None:
    history = hourly()
    predictor, _ = fitted(history)
    row = 119  # the week's last hour, Friday 16:00 New York
    batch, ahead = windows(history, np.array([row + 240]), predictor.spec)
    assert ahead is not None
    assert ahead.shape == (1, 330, 1)
    assert ahead[0, 299:302, 0].tolist() == [4 * 24 + 16, 6 * 24 + 17, 6 * 24 + 18]
    for wrong in (None, ahead[:, :-1], ahead[:, 300:]):
        with pytest.raises(InvalidInput, match=r"\(1 windows, 330 horizons, 1 known_ahead\)"):
            predictor.predict(batch, wrong)
    with pytest.raises(InvalidInput, match="whole numbers from 0 to 167"):
        predictor.predict(batch, ahead + 100)


def test_daily_bars_have_the_factors_of_weekdays() -> None:
    dates = np.arange("2015-01-05", "2022-01-01", dtype="datetime64[D]")
    plain = pair_history(n=len(dates))
    keep = np.is_busday(plain.trading_dates)
    moves = np.random.default_rng(2).normal(0, 0.004, keep.sum())
    weekday = (plain.trading_dates[keep].astype(np.int64) + 3) % 7
    moves = np.where(weekday == 4, 2 * moves, moves)
    history = PairHistory(
        pair="EURUSD",
        ends=plain.ends[keep],
        trading_dates=plain.trading_dates[keep],
        closes=1.2 * np.exp(np.cumsum(moves)),
        features=np.empty((keep.sum(), 0)),
    )
    predictor, _ = fitted(history, frequency="1d", window=100, horizon=5)
    rows = np.flatnonzero(weekday == 3)[-60:-2]
    scale = predictor.predict(*windows(history, rows, predictor.spec)).scale
    each = np.sqrt(np.diff(np.square(scale), axis=1, prepend=0))
    assert np.median(each[:, 0] / each[:, 1]) == pytest.approx(1.9, rel=0.2)


def test_what_cannot_work_is_refused_with_the_remedy() -> None:
    assert check_model(hourly_spec()) == []
    assert [path for path, _ in check_model(hourly_spec(window=20))] == ["window"]
    ensemble = {"members": [{"kind": "random_walk"}, {"kind": "seasonal_ewma"}]}
    found = check_model(model_spec("ensemble", target="volatility", frequency="1h", window=300, ensemble=ensemble))
    assert [(path, "leave this member out" in text) for path, text in found] == [("ensemble.members.1.kind", True)]


def test_prices_that_stand_still_leave_a_spread() -> None:
    """Frozen quotes longer than the window: the level stops at its floor and comes back."""
    history = hourly()
    predictor, _ = fitted(history)
    frozen = replace(history, closes=np.where(np.arange(len(history)) > 4_000, history.closes[4_000], history.closes))
    scale = predictor.predict(*windows(frozen, np.array([4_900]), predictor.spec)).scale
    assert np.isfinite(scale).all()
    assert (scale > 0).all()

"""Hourly ranges: made by the kind and the tracker that the product has, known before, and how often they hold."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from fx_assets.evaluation.skill import hourly
from fx_assets.evaluation.skill.hourly import coverage_by_hour, hourly_ranges
from fx_assets.evaluation.skill.worlds import Hours
from fx_assets.models.errors import FitFailed
from fx_assets.timegrid.ahead import hours_of_week


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hourly, "WINDOW", 250)


def made(weeks: int = 84, *, seed: int = 1) -> Hours:
    """Hours of weeks from Sunday 22:00 UTC to Friday 22:00: quiet nights, wild afternoons, a level that moves."""
    sunday = np.datetime64("2017-01-01T22:00", "us")
    starts = (
        sunday + np.arange(weeks)[:, None] * np.timedelta64(7, "D") + np.arange(120) * np.timedelta64(1, "h")
    ).ravel()
    rng = np.random.default_rng(seed)
    hour = hours_of_week(starts + np.timedelta64(1, "h")) % 24
    sizes = 1e-3 * np.exp(0.3 * np.sin(np.arange(len(starts)) / 400))
    sizes = sizes * np.where((hour >= 8) & (hour < 12), 3.0, np.where(hour >= 18, 0.3, 1.0))
    return Hours("EURUSD", starts, 1.2 * np.exp(np.cumsum(sizes * rng.standard_t(5, len(starts)))))


def test_they_hold_at_every_hour() -> None:
    hours = made()
    ranges = hourly_ranges(hours)
    # A year is learned from; the first range is of the first hour of 2018's first trading date.
    assert hours.starts[ranges.rows[0] + 1] == np.datetime64("2017-12-31T22:00")
    held = coverage_by_hour(ranges, np.ones(len(ranges.rows), dtype=np.bool_))
    assert len(held) == 24
    shares = np.array([share for share, _ in held.values()])
    assert sum(number for _, number in held.values()) == len(ranges.rows)
    assert np.mean(shares) == pytest.approx(0.8, abs=0.02)
    assert shares == pytest.approx(np.full(24, 0.8), abs=0.1)
    # Widths have the rhythm: one width for all hours would hold too little by day and too much by night.
    width = ranges.upper - ranges.lower
    by_hour = {hour: np.median(width[ranges.hour == hour]) for hour in (2, 9, 20)}
    assert by_hour[9] == pytest.approx(3 * by_hour[2], rel=0.25)
    assert by_hour[20] == pytest.approx(0.3 * by_hour[2], rel=0.25)
    some = ranges.hour == 9
    assert list(coverage_by_hour(ranges, some)) == [9]


def test_each_is_of_the_return_that_it_names_and_knows_none_after() -> None:
    hours = made(70)
    plain = hourly_ranges(hours)
    returns = np.diff(np.log(hours.closes))[plain.rows]
    assert np.array_equal(plain.held, (returns >= plain.lower) & (returns <= plain.upper))
    at = len(hours.closes) - 500
    closes = hours.closes.copy()
    closes[at:] *= np.exp(np.random.default_rng(9).normal(0, 0.05, 500))
    spoilt = hourly_ranges(Hours("EURUSD", hours.starts, closes))
    # Return `row` ends with close `row` + 1; its range was given before.
    kept = plain.rows <= at - 1
    for name in ("lower", "upper"):
        before, after = getattr(plain, name), getattr(spoilt, name)
        assert np.array_equal(after[kept], before[kept])
        assert not np.array_equal(after[~kept], before[~kept])


def test_a_wider_mass_is_a_wider_range() -> None:
    hours = made(60)
    narrow, wide = hourly_ranges(hours), hourly_ranges(hours, mass=0.9)
    assert (wide.upper >= narrow.upper).all()
    assert (wide.lower <= narrow.lower).all()
    assert wide.held.mean() > narrow.held.mean()


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="insufficient_history"):
        hourly_ranges(made(40))
    with pytest.raises(ValueError, match="share between 0 and 1"):
        hourly_ranges(made(60), mass=80)
    still = made(60)
    with pytest.raises(FitFailed, match="never move"):
        hourly_ranges(Hours("EURUSD", still.starts, np.ones_like(still.closes)))


def test_the_year_that_begins_next() -> None:
    assert hourly._next_year(date(2017, 1, 1)) == date(2017, 1, 1)
    assert hourly._next_year(date(2016, 12, 25)) == date(2017, 1, 1)
    assert hourly._next_year(date(2017, 1, 2)) == date(2018, 1, 1)

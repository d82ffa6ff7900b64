"""Hourly ranges: the week's rhythm, what is known when, and how often they hold."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from fx_assets.evaluation.skill.hourly import coverage_by_hour, hourly_ranges, hours_of_week
from fx_assets.evaluation.skill.worlds import Hours
from fx_assets.models.inputs import FloatArray


def made(weeks: int = 60, *, seed: int = 1, rhythm: bool = True) -> Hours:
    """Hours of weeks from Sunday 22:00 UTC to Friday 22:00: quiet nights, wild afternoons, a level that moves."""
    sunday = np.datetime64("2017-01-01T22:00", "us")
    starts = (
        sunday + np.arange(weeks)[:, None] * np.timedelta64(7, "D") + np.arange(120) * np.timedelta64(1, "h")
    ).ravel()
    rng = np.random.default_rng(seed)
    sizes = 1e-3 * np.exp(0.3 * np.sin(np.arange(len(starts)) / 400))
    if rhythm:
        hour = hours_of_week(starts) % 24
        sizes = sizes * np.where((hour >= 8) & (hour < 12), 3.0, np.where(hour >= 18, 0.3, 1.0))
    moves = sizes * rng.standard_t(5, len(starts))
    return Hours("EURUSD", starts, 1.2 * np.exp(np.cumsum(moves)))


def test_hours_are_new_yorks_whatever_the_season() -> None:
    times = [
        datetime(2019, 1, 7, 13, tzinfo=UTC),  # a Monday in winter, 08:00
        datetime(2019, 7, 8, 13, tzinfo=UTC),  # a Monday in summer, 09:00
        datetime(2019, 1, 6, 22, tzinfo=UTC),  # Sunday, 17:00
    ]
    starts = np.array([moment.replace(tzinfo=None) for moment in times], dtype="datetime64[us]")
    assert hours_of_week(starts).tolist() == [8, 9, 6 * 24 + 17]


def test_they_hold_at_every_hour() -> None:
    ranges = hourly_ranges(made(120))
    held = coverage_by_hour(ranges, np.ones(len(ranges.rows), dtype=np.bool_))
    assert len(held) == 24
    for share, number in held.values():
        assert number > 400
        assert share == pytest.approx(0.8, abs=0.05)
    # Widths have the rhythm: one width for all hours would hold too little by day and too much by night.
    by_hour = {hour: np.median(ranges.half[ranges.hour == hour]) for hour in (2, 9, 20)}
    assert by_hour[9] == pytest.approx(3 * by_hour[2], rel=0.25)
    assert by_hour[20] == pytest.approx(0.3 * by_hour[2], rel=0.25)
    some = ranges.hour == 9
    assert list(coverage_by_hour(ranges, some)) == [9]


def test_what_comes_later_changes_nothing() -> None:
    hours = made(40)
    plain = hourly_ranges(hours)
    at = len(hours.closes) - 500
    closes = hours.closes.copy()
    closes[at:] *= np.exp(np.random.default_rng(9).normal(0, 0.05, 500))
    spoilt = hourly_ranges(Hours("EURUSD", hours.starts, closes))
    # Return `row` ends with close `row` + 1; its range was given before.
    kept = plain.rows <= at - 1
    assert np.array_equal(spoilt.half[kept], plain.half[kept])
    assert not np.array_equal(spoilt.half[~kept], plain.half[~kept])


def test_by_hand_where_nothing_varies() -> None:
    """All sizes alike: every factor is 1, the level is the size, and the range begins at exactly that."""
    starts = made(30).starts
    moves: FloatArray = 1e-3 * np.where(np.arange(len(starts)) % 2, 1.0, -1.0)
    found = hourly_ranges(Hours("EURUSD", starts, np.exp(np.cumsum(moves))), mass=0.9)
    assert found.half[0] == pytest.approx(1e-3, rel=1e-9)
    # A hit narrows its hour by .01 x .1, and what has been narrowed misses and widens by .01 x .9.
    same = np.flatnonzero(found.hour == found.hour[0])
    step = -0.01 * 0.1 if found.held[same[0]] else 0.01 * 0.9
    assert found.half[same[1]] == pytest.approx(1e-3 * np.exp(step), rel=1e-9)


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="under 26 weeks"):
        hourly_ranges(made(20))
    with pytest.raises(ValueError, match="share between 0 and 1"):
        hourly_ranges(made(30), mass=80)
    still = made(30)
    with pytest.raises(ValueError, match="never move"):
        hourly_ranges(Hours("EURUSD", still.starts, np.ones_like(still.closes)))

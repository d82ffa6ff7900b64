"""`EvaluationWindow` by known cuts and, with hypothesis, by what must hold of any cut."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, bar_ends
from fx_assets.timegrid.windows import Ends, EvaluationWindow, Part, Period

TARGET = calendar("target")
PARTS: tuple[Part, ...] = ("train", "validation", "test")
ALL_DAYS = TARGET.days(date(2018, 1, 1), date(2026, 10, 30))
ALL_ENDS = np.array([end.replace(tzinfo=None) for end in bar_ends(ALL_DAYS)], dtype="datetime64[us]")


def ends_until(last: date) -> Ends:
    return ALL_ENDS[: sum(day <= last for day in ALL_DAYS)]


def naive(t: datetime) -> np.datetime64:
    return np.datetime64(t.astimezone(UTC).replace(tzinfo=None), "us")


@pytest.mark.parametrize(
    ("refit_every", "first_test_date"),
    [
        ("day", date(2025, 10, 30)),
        ("month", date(2025, 10, 1)),
        ("quarter", date(2025, 10, 1)),
        ("year", date(2025, 1, 1)),
    ],
)
def test_cuts_of_a_known_history(refit_every: Period, first_test_date: date) -> None:
    window = EvaluationWindow.held_out_year(ends_until(date(2026, 10, 30)), refit_every=refit_every)
    # A cut lies where the date before begins to be known: its 17:00 in New York.
    assert window.validate_until == bar_end(first_test_date - timedelta(days=1))
    assert window.train_until == bar_end(first_test_date.replace(year=2023) - timedelta(days=1))
    assert window.test_until == datetime(2026, 10, 30, 21, tzinfo=UTC)


def test_the_quarter_begins_with_its_first_month() -> None:
    window = EvaluationWindow.held_out_year(ends_until(date(2026, 9, 30)), refit_every="quarter")
    assert window.validate_until == bar_end(date(2025, 6, 30))


def test_a_bar_that_ends_at_the_roll_belongs_to_the_month_it_ends_in() -> None:
    """30 September ends at 17:00 New York, when the trading date of 1 October begins."""
    window = EvaluationWindow.held_out_year(ends_until(date(2026, 9, 30)), refit_every="month")
    assert window.validate_until == bar_end(date(2025, 8, 31))


def test_the_29th_of_february_has_an_anniversary() -> None:
    window = EvaluationWindow.held_out_year(ends_until(date(2024, 2, 29)), refit_every="day")
    assert window.validate_until == bar_end(date(2023, 2, 27))


def test_parts_of_a_year_are_days() -> None:
    window = EvaluationWindow.held_out_year(ends_until(date(2026, 10, 30)), refit_every="month", validation_years=1.5)
    assert window.train_until == bar_end(date(2024, 10, 1) - timedelta(days=183 + 1))


@settings(deadline=None)
@given(
    st.sampled_from([day for day in ALL_DAYS if day >= date(2022, 1, 1)]),
    st.sampled_from([day for day in ALL_DAYS if day >= date(2022, 1, 1)]),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_the_training_rows_change_once_a_month(one: date, other: date, years: float) -> None:
    first, second = (
        EvaluationWindow.held_out_year(ends_until(last), refit_every="month", validation_years=years)
        for last in (one, other)
    )
    same_month = (one.year, one.month) == (other.year, other.month)
    assert same_month == (first.train_until == second.train_until)
    assert same_month == (first.validate_until == second.validate_until)


@settings(deadline=None)
@given(st.sampled_from([day for day in ALL_DAYS if day >= date(2022, 1, 1)]), st.sampled_from(["day", "month", "year"]))
def test_the_test_covers_at_least_the_last_year(last: date, refit_every: Period) -> None:
    window = EvaluationWindow.held_out_year(ends_until(last), refit_every=refit_every)
    assert window.test_until - window.validate_until >= timedelta(days=365)
    assert window.test_until - window.validate_until <= timedelta(days=2 * 366 + 1)


@st.composite
def cut_histories(draw: st.DrawFn) -> tuple[Ends, EvaluationWindow, int, int]:
    """Ends with gaps, cuts anywhere among or beside them, and a window and a horizon."""
    hours = draw(st.lists(st.integers(1, 60), min_size=1, max_size=50))
    start = datetime(2020, 1, 1, tzinfo=UTC)
    offsets = np.cumsum(hours)
    ends = np.array([naive(start + timedelta(hours=int(h))) for h in offsets], dtype="datetime64[us]")
    cuts = sorted(draw(st.sets(st.integers(0, int(offsets[-1]) + 5), min_size=3, max_size=3)))
    window = EvaluationWindow(*(start + timedelta(hours=cut) for cut in cuts))
    return ends, window, draw(st.integers(1, 6)), draw(st.integers(1, 8))


@settings(deadline=None, max_examples=300)
@given(cut_histories())
def test_no_part_sees_a_target_row_of_another(case: tuple[Ends, EvaluationWindow, int, int]) -> None:
    ends, cuts, window, horizon = case
    inputs: dict[str, set[int]] = {}
    targets: dict[str, set[int]] = {}
    for part in PARTS:
        rows = cuts.origins(ends, window=window, horizon=horizon, part=part)
        assert rows.dtype == np.int64
        inputs[part] = {r for i in rows for r in range(i - window + 1, i + 1)}
        targets[part] = {r for i in rows for r in range(i + 1, i + horizon + 1)}
        assert all(0 <= r < len(ends) for r in inputs[part] | targets[part])
    assert all(not targets[a] & targets[b] for a in PARTS for b in PARTS if a != b)
    # Inputs reach backwards only: what a later part is judged by, no earlier part has looked at.
    for earlier, later in [("train", "validation"), ("train", "test"), ("validation", "test")]:
        assert not inputs[earlier] & targets[later]
    # And each part keeps to its own side of the cuts.
    for part, until in zip(PARTS, (cuts.train_until, cuts.validate_until, cuts.test_until), strict=True):
        assert all(ends[r] <= naive(until) for r in targets[part])
    for (before, until), part in zip(
        [("train", cuts.train_until), ("validation", cuts.validate_until)], PARTS[1:], strict=True
    ):
        assert all(ends[r] > naive(until) for r in targets[part]), before


@settings(deadline=None, max_examples=200)
@given(cut_histories())
def test_no_origin_is_left_out_that_fits(case: tuple[Ends, EvaluationWindow, int, int]) -> None:
    """The whole rule once more, said slowly."""
    ends, cuts, window, horizon = case
    limits: list[tuple[Part, datetime | None, datetime]] = [
        ("train", None, cuts.train_until),
        ("validation", cuts.train_until, cuts.validate_until),
        ("test", cuts.validate_until, cuts.test_until),
    ]
    for part, begin, until in limits:
        expected = [
            i
            for i in range(len(ends))
            if i - window + 1 >= 0
            and i + horizon < len(ends)
            and ends[i + horizon] <= naive(until)
            and (begin is None or ends[i] >= naive(begin))
        ]
        assert cuts.origins(ends, window=window, horizon=horizon, part=part).tolist() == expected


def test_the_purge_is_the_horizon() -> None:
    ends = ends_until(date(2026, 10, 30))
    on_rows = [ends[i].item().replace(tzinfo=UTC) for i in (500, 900, len(ends) - 1)]
    cuts = EvaluationWindow(*on_rows)
    for horizon in (1, 5, 20):
        parts = [cuts.origins(ends, window=10, horizon=horizon, part=part) for part in PARTS]
        for before, after in pairwise(parts):
            assert after[0] - before[-1] == horizon
        assert parts[0][0] == 9
        assert parts[-1][-1] == len(ends) - 1 - horizon


def test_ten_rows_by_hand() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    ends = np.array([naive(start + timedelta(days=i)) for i in range(10)], dtype="datetime64[us]")
    cuts = EvaluationWindow(start + timedelta(days=4), start + timedelta(days=7), start + timedelta(days=9))
    assert cuts.origins(ends, window=2, horizon=2, part="train").tolist() == [1, 2]
    assert cuts.origins(ends, window=2, horizon=2, part="validation").tolist() == [4, 5]
    assert cuts.origins(ends, window=2, horizon=2, part="test").tolist() == [7]


def test_rows_after_the_test_are_nobodys() -> None:
    cuts = EvaluationWindow.held_out_year(ends_until(date(2026, 6, 30)), refit_every="month")
    rows = cuts.origins(ALL_ENDS, window=5, horizon=3, part="test")
    assert ALL_DAYS[rows[-1] + 3] == date(2026, 6, 30)


def test_too_short_a_history_says_so() -> None:
    short = ALL_ENDS[-700:]
    with pytest.raises(ValueError, match=r"^insufficient_history: bars from 2024-.* to 2026-10-30"):
        EvaluationWindow.held_out_year(short, refit_every="month")
    with pytest.raises(ValueError, match=r"^insufficient_history: there is no bar at all"):
        EvaluationWindow.held_out_year(short[:0], refit_every="month")


def test_one_training_row_is_enough_to_cut() -> None:
    """The row that ends exactly at the cut (Monday 30 September 2024) is the training's."""
    exact = ALL_DAYS.index(date(2024, 9, 30))
    window = EvaluationWindow.held_out_year(ALL_ENDS[exact:], refit_every="month", validation_years=1)
    assert naive(window.train_until) == ALL_ENDS[exact]
    with pytest.raises(ValueError, match="insufficient_history"):
        EvaluationWindow.held_out_year(ALL_ENDS[exact + 1 :], refit_every="month", validation_years=1)


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (ALL_ENDS[::-1], "increasing times"),
        (np.repeat(ALL_ENDS, 2), "each once"),
        (ALL_ENDS.astype("datetime64[s]"), r"datetime64\[us\]"),
        (ALL_ENDS[None, :], r"shape \(1, "),
        (np.array(["2020-01-01", "NaT"], dtype="datetime64[us]"), "increasing times"),
        (np.array(["NaT"], dtype="datetime64[us]"), "increasing times"),
    ],
)
def test_bad_ends_are_refused(ends: Any, message: str) -> None:
    cuts = EvaluationWindow.held_out_year(ALL_ENDS, refit_every="month")
    with pytest.raises(ValueError, match=message):
        EvaluationWindow.held_out_year(ends, refit_every="month")
    with pytest.raises(ValueError, match=message):
        cuts.origins(ends, window=1, horizon=1, part="train")


def test_cuts_out_of_order_or_without_zone_are_refused() -> None:
    a, b, c = (datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    with pytest.raises(ValueError, match="expected train_until < validate_until <= test_from < test_until"):
        EvaluationWindow(a, c, b)
    with pytest.raises(ValueError, match="validate_until 2020-01-02T00:00:00 has no time zone"):
        EvaluationWindow(a, b.replace(tzinfo=None), c)


def test_wrong_words_and_numbers_are_refused() -> None:
    cuts = EvaluationWindow.held_out_year(ALL_ENDS, refit_every="month")
    with pytest.raises(ValueError, match="part 'holdout' is unknown"):
        cuts.origins(ALL_ENDS, window=1, horizon=1, part=cast(Any, "holdout"))
    with pytest.raises(ValueError, match="refit_every 'week' is unknown"):
        EvaluationWindow.held_out_year(ALL_ENDS, refit_every=cast(Any, "week"))
    with pytest.raises(ValueError, match="got 0 and 1"):
        cuts.origins(ALL_ENDS, window=0, horizon=1, part="train")
    with pytest.raises(ValueError, match="more than 0"):
        EvaluationWindow.held_out_year(ALL_ENDS, refit_every="month", validation_years=0)


def test_independent_windows() -> None:
    """Of 798 test windows at horizon 720 two do not overlap (ANCHORS 1), of 41 one."""
    assert EvaluationWindow.independent(798, 720) == 2
    assert EvaluationWindow.independent(41, 720) == 1
    assert EvaluationWindow.independent(250, 1) == 250
    assert EvaluationWindow.independent(0, 5) == 0
    with pytest.raises(ValueError, match="got -1 and 5"):
        EvaluationWindow.independent(-1, 5)


@given(st.integers(0, 60), st.integers(1, 12))
def test_independent_is_the_count_of_a_greedy_choice(n: int, horizon: int) -> None:
    taken, free = 0, 0
    for origin in range(n):
        if origin >= free:
            taken, free = taken + 1, origin + horizon
    assert EvaluationWindow.independent(n, horizon) == taken

"""The pure parts of exogenous series: the merge in two times, holes, and the chart."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fx_assets.prices.exog import exog_rows, holes, merge, values
from fx_assets.prices.exog_chart import series_chart

MAX_BYTES = 100_000


def test_holes_count_the_weekdays_that_usually_have_values() -> None:
    days = pl.date_range(date(2024, 1, 1), date(2024, 3, 1), "1d", eager=True)
    weekdays = days.filter(days.dt.weekday() < 6)
    assert holes(weekdays, 3) == []
    weekdays = pl.concat([weekdays, pl.Series([date(2024, 2, 3)])]).sort()  # one stray Saturday
    gone = pl.Series([date(2024, 1, day) for day in range(10, 18)])
    [hole] = holes(weekdays.filter(~weekdays.is_in(gone.implode())), 3)
    assert (str(hole), hole.days, hole.missing) == ("9 days from 2024-01-09 to 2024-01-18", 9, 6)
    [hole] = holes(days.filter(~days.is_in(gone.implode())), 1)
    assert (hole.days, hole.missing) == (9, 8)
    assert holes(days.clear(), 1) == []


@examples(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=8, unique_by=lambda row: row[0]
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_view_is_what_was_said_last_and_the_past_never_changes(updates: list[list[tuple[int, int]]]) -> None:
    held: pl.DataFrame | None = None
    said: dict[date, float] = {}
    past: list[tuple[datetime, pl.DataFrame]] = []
    for number, update in enumerate(updates):
        now = datetime(2024, 2, 1, tzinfo=UTC) + timedelta(days=number)
        fresh = pl.DataFrame(
            {
                "time": [datetime(2024, 1, day, tzinfo=UTC) for day, _ in update],
                "known_at": [datetime(2024, 1, day, 12, tzinfo=UTC) for day, _ in update],
                "trading_date": [date(2024, 1, day) for day, _ in update],
                "close": [float(value) for _, value in update],
                "source": "file",
            },
            schema_overrides={"time": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC")},
        )
        held, _ = merge(held, exog_rows(fresh, pair="X1", changes=()), changes=(), now=now)
        said |= {date(2024, 1, day): float(value) for day, value in update}
        assert dict(values(held).select("date", "value").iter_rows()) == said
        assert held.equals(held.sort("time", "known_at"))
        # Dates at the ends may be new; what was said of dates in between stays as it was known.
        for when, view in past:
            assert values(held, when).filter(pl.col("date").is_in(view["date"].implode())).equals(view)
        past.append((now, values(held)))


def test_the_chart_is_small_whatever_it_shows() -> None:
    changes = [date(2001, 1, 1), date(2020, 1, 1)]
    for n in (1, 1000):
        days = [date(2000, 1, 1) + timedelta(days=3 * i) for i in range(n)]
        noise = pl.select(pl.int_range(n).hash(seed=7) % 101).to_series().cast(pl.Float64)
        view = pl.DataFrame({"date": days, "value": noise})
        found = holes(view["date"], 1)[::10]
        picture = series_chart(view, title="mood", holes=found, changes=changes, limits=(0, 100))
        assert picture.startswith(b"\x89PNG")
        assert len(picture) < MAX_BYTES
    with pytest.raises(ValueError, match="mood: no value to draw"):
        series_chart(view.clear(), title="mood", holes=[], changes=(), limits=(0, 1))

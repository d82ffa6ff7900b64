from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.models.inputs import InsufficientHistory, check_gap, history
from fx_assets.timegrid.calendars import calendar
from tests.models.simulated import day, pair_history

TIMES = [datetime(2020, 1, 1, 22, tzinfo=UTC) + timedelta(days=n) for n in range(6)]


def bars(times: list[datetime] = TIMES, **changes: Any) -> pa.Table:
    columns = {
        "pair": ["EURUSD"] * len(times),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "end": pa.array([t + timedelta(days=1) for t in times], pa.timestamp("us", "UTC")),
        "trading_date": pa.array([(t + timedelta(days=1)).date() for t in times], pa.date32()),
        "close": [1.0 + t.day / 100 for t in times],
        "bid": [None] * len(times),
    }
    return pa.table({**columns, **changes})


def features(times: list[datetime]) -> pa.Table:
    return pa.table(
        {
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "end": pa.array(times, pa.timestamp("us", "UTC")),
            "rsi": [float(t.day) for t in times],
            "macd": [-float(t.day) for t in times],
        }
    )


def test_join_is_on_time_whatever_the_row_order() -> None:
    mixed = bars().take([3, 0, 5, 1, 4, 2])
    found = history("EURUSD", mixed, features(list(reversed(TIMES[2:]))))
    assert found.columns == ("close", "rsi", "macd")
    assert found.closes.tolist() == [1.03, 1.04, 1.05, 1.06]
    assert found.features.tolist() == [[3, -3], [4, -4], [5, -5], [6, -6]]
    assert found.ends[0] == np.datetime64("2020-01-04T22:00")
    assert found.trading_dates[0] == np.datetime64("2020-01-04")


def test_bars_alone_give_a_history_of_closes() -> None:
    found = history("EURUSD", bars())
    assert found.columns == ("close",)
    assert found.features.shape == (6, 0)


def test_features_may_end_before_the_bars() -> None:
    assert len(history("EURUSD", bars(), features(TIMES[1:4]))) == 3


def test_a_bar_without_features_inside_is_refused() -> None:
    with pytest.raises(ValueError, match="bar has no feature row at 2020-01-03"):
        history("EURUSD", bars(TIMES), features([*TIMES[:2], *TIMES[3:]]))


def test_features_of_a_bar_that_was_taken_back_are_passed_over() -> None:
    found = history("EURUSD", bars([*TIMES[:2], *TIMES[3:]]), features(TIMES))
    assert found.features[:, 0].tolist() == [1, 2, 4, 5, 6]


def test_nothing_in_common_is_insufficient_history() -> None:
    with pytest.raises(InsufficientHistory, match=r"bars 2, features 2.*warm-up"):
        history("EURUSD", bars(TIMES[:2]), features(TIMES[4:]))
    with pytest.raises(InsufficientHistory, match="bars 0"):
        history("EURUSD", bars([]))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (bars(close=[1.0, 1.1, float("nan"), 1.2, 1.3, 1.4]), "close is not a positive finite price in row 2"),
        (bars(close=[1.0, 1.1, -1.0, 1.2, 1.3, 1.4]), "close is not a positive finite price in row 2"),
        (bars(close=[1.0, 1.1, None, 1.2, 1.3, 1.4]), "column close has 1 empty rows"),
        (bars([*TIMES[:2], TIMES[1]]), "two rows of the bars have the time 2020-01-02"),
        (bars(pair=["EURUSD"] * 5 + ["USDJPY"]), "rows of USDJPY"),
        (bars().drop_columns(["close"]), "no column 'close'"),
    ],
)
def test_bars_that_cannot_be_used_are_refused(table: pa.Table, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        history("EURUSD", table)


def test_a_window_ends_with_its_row_and_never_reaches_before_the_first() -> None:
    made = pair_history(n=10, features=2)
    window = made.window(5, 4)
    assert window.shape == (4, 3)
    assert window[:, 0].tolist() == made.closes[2:6].tolist()
    assert window[-1, 1:].tolist() == made.features[5].tolist()
    with pytest.raises(InsufficientHistory, match="needs 1 rows more"):
        made.window(2, 4)
    for row in (-1, 10):
        with pytest.raises(IndexError):
            made.window(row, 1)


def test_until_keeps_the_row_that_ends_at_the_cut() -> None:
    made = pair_history(n=10, features=1)
    assert len(made.until(day(made, 4))) == 5
    assert len(made.until(day(made, 4) - timedelta(microseconds=1))) == 4
    with pytest.raises(ValueError, match="aware"):
        made.until(datetime(2020, 1, 1))


def without(rows: slice) -> Any:
    made = pair_history(n=40)
    keep = np.delete(np.arange(40), rows)
    return replace(
        made,
        ends=made.ends[keep],
        trading_dates=made.trading_dates[keep],
        closes=made.closes[keep],
        features=made.features[keep],
    )


def test_a_gap_is_named_only_when_over_the_limit_and_inside_the_window() -> None:
    every_day = calendar("24x7")
    made = without(slice(10, 14))  # 2015-01-11 to 14 are missing
    check_gap(made, 20, 21, every_day, gap_limit=4)
    with pytest.raises(
        InsufficientHistory, match="4 open trading dates without a price between 2015-01-10 and 2015-01-15"
    ):
        check_gap(made, 20, 21, every_day, gap_limit=3)
    check_gap(made, 20, 11, every_day, gap_limit=3)  # rows 10..20 begin after the gap
    with pytest.raises(InsufficientHistory, match="EURUSD"):
        check_gap(made, 20, 12, every_day, gap_limit=3)


def test_closed_days_are_no_gap() -> None:
    made = without(slice(1, 4))  # Friday 2 to Sunday 4 January 2015: one open day
    check_gap(made, 20, 21, calendar("target"), gap_limit=1)
    with pytest.raises(InsufficientHistory, match="1 open trading dates"):
        check_gap(made, 20, 21, calendar("target"), gap_limit=0)

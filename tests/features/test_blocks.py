"""A feature at bar t is a function of what was known at t: whatever came later, in whatever pieces it is computed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fx_assets.features.blocks import Inputs, compute, digest, segments
from fx_assets.features.errors import FeatureError
from fx_assets.features.pipeline import build, stage_schema
from fx_assets.features.sets import steps
from fx_assets.storage.two_times import current_rows
from tests.features.conftest import UTC, SetMaker, add_stage, closes, corrected, daily, inputs_of

DAY = timedelta(days=1)
# Daily bars from autumn 2009 on: two calendar years and so two blocks.
ROWS, FIRST = 40, date(2009, 12, 1)
LOOKBACK = 5
Late = tuple[int, float | None, timedelta]
LATE = st.lists(
    st.tuples(
        st.integers(0, ROWS - 1),
        st.one_of(st.none(), st.floats(0.5, 2.0)),
        st.integers(1, 60 * 24 * 30).map(lambda minutes: timedelta(minutes=minutes)),
    ),
    max_size=8,
    unique_by=lambda late: (late[0], late[2]),
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mean_of_six(close: Any) -> Any:
    """The mean of a row and the five before it."""
    result = np.full(len(close), np.nan)
    if len(close) > LOOKBACK:
        result[LOOKBACK:] = np.lib.stride_tricks.sliding_window_view(close, LOOKBACK + 1).mean(axis=1)
    return result


@pytest.fixture
def probe_set(make_set: SetMaker, registry: Any) -> Any:
    """A window function, and sums that begin where the frame does."""
    del registry
    add_stage("six", mean_of_six, warm_up=LOOKBACK)
    return make_set(six={})


def rows_of(table: pa.Table) -> dict[Any, tuple[Any, ...]]:
    names = table.column_names
    return {
        row[names.index("time")]: tuple(np.float64(v).tobytes() if isinstance(v, float) else v for v in row)
        for row in zip(*(table.column(name).to_pylist() for name in names), strict=True)
    }


def bars_before(versions: pa.Table, time: datetime, when: datetime) -> int:
    """How many bars before `time` there were, as known at `when`."""
    return sum(row["time"] < time for row in current_rows(versions, when=when).to_pylist())


@quick
@given(late=LATE)
@example(late=[(3, None, timedelta(days=2, minutes=1)), (5, None, timedelta(minutes=1))])
def test_every_row_is_made_of_the_view_of_its_own_moment(late: list[Late], probe_set: Any) -> None:
    versions = corrected(daily(closes(ROWS), FIRST), *late)
    table = build(inputs_of(versions), probe_set)
    ever: dict[datetime, datetime] = {}  # when each bar was first said
    for row in versions.sort_by("known_at").to_pylist():
        if row["close"] is not None:
            ever.setdefault(row["time"], row["known_at"])
    # A bar taken back during the warm-up may leave a later row with too few before it: each row by its own view.
    enough = [time for time in sorted(ever) if bars_before(versions, time, ever[time]) >= LOOKBACK]
    assert table.column("time").to_pylist() == enough
    for row in table.to_pylist():
        view = current_rows(versions, when=row["known_at"])
        past = [r["close"] for r in view.to_pylist() if r["time"] <= row["time"]]
        assert row["six"] == np.mean(past[-LOOKBACK - 1 :], dtype=float) or np.isclose(
            row["six"], np.mean(past[-LOOKBACK - 1 :]), rtol=1e-15, atol=0
        )


@quick
@given(late=LATE, extra=LATE)
def test_what_becomes_known_later_changes_no_row_known_before(
    late: list[Late], extra: list[Late], probe_set: Any
) -> None:
    versions = corrected(daily(closes(ROWS), FIRST), *late)
    more = corrected(versions.slice(0, ROWS), *extra).slice(ROWS)
    before = rows_of(build(inputs_of(versions), probe_set))
    after = rows_of(build(inputs_of(pa.concat_tables([versions, more])), probe_set))
    earliest = min((known for known in more.column("known_at").to_pylist()), default=None)
    for time, row in before.items():
        known_at = row[4]
        if earliest is None or known_at < earliest:
            assert after[time] == row


@quick
@given(late=LATE, cut=st.integers(LOOKBACK + 2, ROWS))
def test_rows_of_a_prefix_are_a_prefix_of_the_rows(late: list[Late], cut: int, probe_set: Any) -> None:
    versions = corrected(daily(closes(ROWS), FIRST), *late)
    last = versions.column("end")[cut - 1].as_py()
    known = versions.filter(pa.compute.less_equal(versions.column("known_at"), pa.scalar(last)))
    whole, part = rows_of(build(inputs_of(versions), probe_set)), rows_of(build(inputs_of(known), probe_set))
    for time, row in part.items():
        assert whole[time] == row


@quick
@given(late=LATE)
@example(late=[(3, None, timedelta(days=28)), (16, None, timedelta(minutes=1))])
def test_a_block_alone_is_that_of_the_whole(late: list[Late], probe_set: Any) -> None:
    (step,) = steps(probe_set)
    versions = corrected(daily(closes(ROWS), FIRST), *late)
    whole = inputs_of(versions)
    # The second block from no more than the look-back needs: rows that stand in every view, and one of each late one.
    own = whole.own
    first_2010 = int(np.searchsorted(own.dates, np.datetime64("2010-01-01")))
    start = max(0, first_2010 - LOOKBACK - 2 * len(late) - 1)
    start = int(np.searchsorted(own.time, own.time[start]))
    part = Inputs("EURUSD", "1d", "target", own.take(slice(start, None)))
    one, other = segments(whole, "2010", step.lookback), segments(part, "2010", step.lookback)
    assert digest(one) == digest(other)
    assert compute(step.stage, step.options, one, "2010", stage_schema(step)).equals(
        compute(step.stage, step.options, other, "2010", stage_schema(step))
    )


def test_a_correction_divides_its_block_and_a_mass_correction_of_old_bars_does_not(probe_set: Any) -> None:
    (step,) = steps(probe_set)
    bars = daily(closes(ROWS), FIRST)
    assert len(segments(inputs_of(bars), "2010", step.lookback)) == 1
    one = corrected(bars, (30, 1.5, DAY * 2))
    assert len(segments(inputs_of(one), "2010", step.lookback)) == 2
    years_later = corrected(bars, *((row, 1.5, DAY * 3000) for row in range(35)))
    parts = segments(inputs_of(years_later), "2010", step.lookback)
    assert len(parts) == 1
    assert digest(parts) == digest(segments(inputs_of(bars), "2010", step.lookback))


def test_bars_that_are_always_late_make_one_segment_and_features_known_as_late(probe_set: Any) -> None:
    (step,) = steps(probe_set)
    bars = daily(closes(ROWS), FIRST)
    late = bars.set_column(2, "known_at", pa.array([end + DAY / 2 for end in bars.column("end").to_pylist()]))
    late = late.cast(bars.schema)
    assert len(segments(inputs_of(late), "2010", step.lookback)) == 1
    table = build(inputs_of(late), probe_set)
    assert table.column("known_at").to_pylist() == late.column("known_at").to_pylist()[LOOKBACK:]


def test_a_bar_filled_in_late_gets_a_row_and_is_not_seen_by_rows_before_it_was_known(probe_set: Any) -> None:
    bars = daily(closes(ROWS), FIRST)
    rows = bars.to_pylist()
    rows[20]["known_at"] = rows[25]["end"] + timedelta(minutes=1)
    filled = pa.Table.from_pylist(rows, schema=bars.schema)
    without = pa.Table.from_pylist(rows[:20] + rows[21:], schema=bars.schema)
    with_it, lacking = (rows_of(build(inputs_of(table), probe_set)) for table in (filled, without))
    assert set(with_it) - set(lacking) == {rows[20]["time"]}
    same = [with_it[rows[i]["time"]] == lacking[rows[i]["time"]] for i in (19, 21, 22, 23, 24, 25, 26, 27)]
    # It became known between the ends of rows 25 and 26.
    assert same == [True] * 6 + [False] * 2


def test_others_and_exogenous_values_are_those_known_at_each_bar(make_set: SetMaker, registry: Any) -> None:
    del registry
    add_stage("beside", whole=lambda f: f.others["USDJPY"], missing=True, reads_pairs=("USDJPY",))
    add_stage("outside", whole=lambda f: f.exog["mood/CNN"], missing=True, reads_exog=("mood/CNN",))
    bars = daily(closes(8), FIRST)
    ends, times = bars.column("end").to_pylist(), bars.column("time").to_pylist()
    other = corrected(daily(np.arange(100.0, 108.0), FIRST), (4, 999.0, DAY / 2)).take([0, 1, 3, 4, 5, 6, 7, 8])
    mood = pa.table(
        {
            "time": times[:4],
            "known_at": pa.array([ends[0], ends[2], ends[2], ends[3] + DAY]),
            "value": [1.0, 2.0, 3.0, 4.0],
        }
    )
    inputs = inputs_of(bars, others={"USDJPY": other}, exog={"mood/CNN": mood})
    table = build(inputs, make_set(beside={}, outside={}))
    assert table.column("beside").to_pylist() == [100.0, 101.0, 101.0, 103.0, 104.0, 105.0, 106.0, 107.0]
    assert table.column("outside").to_pylist()[:6] == [1.0, 1.0, 3.0, 3.0, 4.0, 4.0]


def test_beside_a_fixing_stands_nothing_that_saw_the_market_after_it(make_set: SetMaker, registry: Any) -> None:
    del registry
    add_stage("fixed", whole=lambda f: f.others["USDJPY"], missing=True, reads_pairs=("USDJPY",))
    add_stage("traded", whole=lambda f: f.others["GBPUSD"], missing=True, reads_pairs=("GBPUSD",))
    add_stage("mood", whole=lambda f: f.exog["mood/CNN"], missing=True, reads_exog=("mood/CNN",))
    bars = daily(closes(4), FIRST)
    fixings = bars.append_column("kind", pa.array(["fixing"] * 4))
    numbers = bars.set_column(bars.column_names.index("close"), "close", pa.array([10.0, 11.0, 12.0, 13.0]))
    # A rate of 14:10 Berlin; its bar ends at 17:00 New York, as those of the traded pair and an index of 16:30 do.
    known = pa.array([end - timedelta(minutes=30) for end in bars.column("end").to_pylist()], UTC)
    mood = numbers.rename_columns({"close": "value"}).set_column(2, "known_at", known)
    others = {"USDJPY": numbers.append_column("kind", fixings.column("kind")), "GBPUSD": numbers}
    spec = make_set(fixed={}, traded={}, mood={})
    rows = build(inputs_of(fixings, others=others, exog={"mood/CNN": mood}), spec)
    assert rows.column("fixed").to_pylist() == [10.0, 11.0, 12.0, 13.0]
    for name in ("traded", "mood"):
        assert str(rows.column(name).to_pylist()) == "[nan, 10.0, 11.0, 12.0]"
    # Beside a bar that ends when they do, they are known.
    rows = build(inputs_of(bars, others=others, exog={"mood/CNN": mood}), spec)
    for name in ("fixed", "traded", "mood"):
        assert rows.column(name).to_pylist() == [10.0, 11.0, 12.0, 13.0]


def test_another_pairs_close_from_before_the_frame_does_not_count(make_set: SetMaker, registry: Any) -> None:
    del registry
    add_stage("beside", whole=lambda f: f.others["USDJPY"], missing=True, reads_pairs=("USDJPY",), warm_up=2)
    bars = daily(closes(ROWS), FIRST)
    # It ends with the second last bar of 2009, the first of the two that the block of 2010 looks back to.
    at = bars.column("trading_date").to_pylist().index(date(2010, 1, 4))
    for rows, seen in ((at - 1, True), (at - 2, False)):
        table = build(inputs_of(bars, others={"USDJPY": daily(np.full(rows, 110.0), FIRST)}), make_set(beside={}))
        first_of_2010 = table.column("beside").to_pylist()[at - 2]
        assert (first_of_2010 == 110.0) == seen


def test_too_short_a_history_says_how_many_bars_are_needed(probe_set: Any) -> None:
    with pytest.raises(FeatureError, match=r"insufficient_history.*more than 5 bars.*there are 5"):
        build(inputs_of(daily(closes(5))), probe_set)
    assert build(inputs_of(daily(closes(6))), probe_set).num_rows == 1


def test_a_value_that_is_not_finite_is_refused_unless_it_may_be_missing(make_set: SetMaker, registry: Any) -> None:
    del registry
    gap = lambda close: np.where(np.arange(len(close)) == 7, np.nan, close)  # noqa: E731
    add_stage("gappy", gap)
    add_stage("open", gap, missing=True)
    add_stage("endless", lambda close: np.where(np.arange(len(close)) == 7, np.inf, close), missing=True)
    inputs = inputs_of(daily(closes(12)))
    with pytest.raises(FeatureError, match=r"'gappy' is not finite at the bar that ends .* \(1 of 12 rows of 2010\)"):
        build(inputs, make_set(gappy={}))
    assert np.isnan(build(inputs, make_set(open={})).column("open").to_numpy()).sum() == 1
    with pytest.raises(FeatureError, match="'endless' is not finite"):
        build(inputs, make_set(endless={}))

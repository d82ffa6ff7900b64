"""What holds for every declared indicator, whatever it computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import STALE_ROWS, Periodic, Switch
from fx_assets.features.stages.base import BAR_COLUMNS, FIXING_COLUMNS, stage
from fx_assets.features.stages.indicators import INDICATORS, IndicatorOptions, Indicators
from tests.features.indicators.support import EXAMPLES, OTHERS, PAIR, bars, bits, computed, parsed, still, walk

EVERY = pytest.mark.parametrize("name", list(INDICATORS))
LONG = bars(1500)
RECURSIVE = [name for name, made in INDICATORS.items() if isinstance(made, Periodic) and made.recursive]
SHORT = 400  # rows that the shorter history lacks
PROBED = (560, 777, 899)


def lookback(name: str) -> int:
    return Indicators().lookback(parsed(**{name: EXAMPLES[name]}), "1h")


def recursive(name: str) -> bool:
    made = INDICATORS[name]
    return made.recursive if isinstance(made, Periodic) else isinstance(made, Switch) and made.span > 0


def destroyed(frame: Frame, t: int) -> Frame:
    """`frame` with noise in place of everything after row t, times included."""
    rng = np.random.default_rng(t)
    after = np.arange(len(frame)) > t

    def noise(values: FloatArray) -> FloatArray:
        return np.where(after, values * np.exp(rng.standard_normal(len(values))), values)

    later = after * np.timedelta64(3, "D")
    return replace(
        frame,
        time=frame.time + later,
        end=frame.end + later,
        trading_date=frame.trading_date + later,
        columns={name: noise(values) for name, values in frame.columns.items()},
        others={name: noise(values) for name, values in frame.others.items()},
        exog={name: noise(values) for name, values in frame.exog.items()},
    )


def test_every_option_is_declared_and_every_declaration_an_option() -> None:
    assert set(IndicatorOptions.model_fields) == set(INDICATORS)


def test_no_two_indicators_have_a_column_of_one_name() -> None:
    names = [column.name for column in Indicators().columns(parsed(**EXAMPLES))]
    assert len(set(names)) == len(names)


def test_the_defaults_switch_nothing_on() -> None:
    nothing = IndicatorOptions()
    assert Indicators().columns(nothing) == []
    assert Indicators().lookback(nothing, "1h") == 0
    assert Indicators().needs(nothing) == frozenset()


def test_all_at_once_are_what_each_is_alone() -> None:
    together = computed(LONG, **EXAMPLES)
    for name in INDICATORS:
        for column, values in computed(LONG, **{name: EXAMPLES[name]}).items():
            assert np.array_equal(bits(values), bits(together[column])), column


@EVERY
def test_no_value_depends_on_what_comes_later(name: str) -> None:
    options = {name: EXAMPLES[name]}
    reference = computed(LONG, **options)
    for t in PROBED:
        for frame in (LONG.take(slice(0, t + 1)), destroyed(LONG, t)):
            for column, values in computed(frame, **options).items():
                assert np.array_equal(bits(values[: t + 1]), bits(reference[column][: t + 1])), (column, t)


@EVERY
def test_the_look_back_is_all_that_is_remembered(name: str) -> None:
    options, rows = {name: EXAMPLES[name]}, lookback(name)
    whole = computed(LONG, **options)
    for column, values in computed(LONG.take(slice(SHORT, None)), **options).items():
        found, expected = values[rows:], whole[column][SHORT + rows :]
        if recursive(name):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * float(np.std(expected)))
        else:
            assert np.array_equal(bits(found), bits(expected)), column


@pytest.mark.parametrize("name", RECURSIVE)
def test_slow_averages_have_forgotten_a_jump_where_history_began(name: str) -> None:
    """A price that falls by a tenth in the first bar of the frame, and a period that 500 rows are too few for."""
    close = walk(2600, 31)
    close[:101] *= 1.1
    jump, options = bars(2600, close), {name: [60]}
    rows = Indicators().lookback(parsed(**options), "1h")
    assert rows > 500
    (whole,) = computed(jump, **options).values()
    (found,) = computed(jump.take(slice(100, None)), **options).values()
    expected = whole[100 + rows :]
    np.testing.assert_allclose(found[rows:], expected, rtol=1e-9, atol=1e-8 * float(np.std(expected)))


@EVERY
def test_the_first_row_after_the_look_back_may_be_the_last(name: str) -> None:
    options, rows = {name: EXAMPLES[name]}, lookback(name)
    whole = computed(LONG, **options)
    for column, values in computed(LONG.take(slice(SHORT, SHORT + rows + 1)), **options).items():
        assert np.isclose(values[rows], whole[column][SHORT + rows], rtol=1e-9, atol=1e-9, equal_nan=True), column


@EVERY
def test_the_look_back_of_a_window_is_no_longer_than_it_must_be(name: str) -> None:
    if recursive(name):
        assert lookback(name) >= 500
        return
    # From row 400 every other pair and series has values.
    found = computed(LONG.take(slice(SHORT, None)), **{name: EXAMPLES[name]})
    spare = STALE_ROWS if name in ("strength", "cross", "log_scale") else 0
    assert max(int(np.isfinite(values).argmax()) for values in found.values()) == lookback(name) - spare


@EVERY
def test_values_are_finite_unless_the_column_says_that_some_are_missing(name: str) -> None:
    options, rows = parsed(**{name: EXAMPLES[name]}), lookback(name)
    tied = np.round(LONG.columns["close"], 2)
    ties = bars(1500, tied, open=tied, high=tied, low=tied)
    motionless = still()
    for frame in (LONG, motionless, ties):
        found = Indicators().compute(frame, options)
        for column in Indicators().columns(options):
            values = found[column.name][rows:]
            assert np.isfinite(values).all() or (column.missing and frame is not motionless), column.name
            assert not np.isinf(values).any()


@EVERY
def test_a_bar_that_is_not_there_is_passed_over(name: str) -> None:
    kept = np.arange(len(LONG)) != 700
    hole = replace(
        LONG,
        time=LONG.time[kept],
        end=LONG.end[kept],
        trading_date=LONG.trading_date[kept],
        columns={column: values[kept] for column, values in LONG.columns.items()},
        others={pair: values[kept] for pair, values in LONG.others.items()},
        exog={series: values[kept] for series, values in LONG.exog.items()},
    )
    whole = computed(LONG, **{name: EXAMPLES[name]})
    for column, values in computed(hole, **{name: EXAMPLES[name]}).items():
        assert np.array_equal(bits(values[:700]), bits(whole[column][:700])), column
        # Windows forget the hole; only an average that never forgets may still know of it.
        after = slice(700 + lookback(name), None)
        close = np.testing.assert_allclose if recursive(name) else np.testing.assert_array_equal
        close(values[after], whole[column][1:][after])


@EVERY
def test_a_short_or_empty_history_has_the_values_it_can_have_and_no_error(name: str) -> None:
    whole = computed(LONG, **{name: EXAMPLES[name]})
    for rows in (0, 1, 2, 9):
        for column, values in computed(LONG.take(slice(SHORT, SHORT + rows)), **{name: EXAMPLES[name]}).items():
            assert values.shape == (rows,)
            full = whole[column][SHORT : SHORT + rows]
            assert (np.isnan(values) | (bits(values) == bits(full))).all(), column


@EVERY
def test_it_reads_no_more_than_it_says(name: str) -> None:
    options = parsed(**{name: EXAMPLES[name]})
    indicators = Indicators()
    needs, exog = indicators.needs(options), indicators.exog(options)
    others = indicators.others(options, PAIR, OTHERS)
    given = replace(
        LONG,
        columns={column: LONG.columns[column] for column in needs},
        others={pair: LONG.others[pair] for pair in others},
        exog={series: LONG.exog[series] for series in exog},
    )
    whole = indicators.compute(LONG, options)
    for column, values in indicators.compute(given, options).items():
        assert np.array_equal(bits(values), bits(whole[column])), column
    sources = {source for column in indicators.columns(options) for source in column.sources}
    assert needs <= BAR_COLUMNS
    assert sources == needs | ({"others"} if others else set()) | {f"exog/{series}" for series in exog}


@EVERY
def test_every_column_says_what_it_is(name: str) -> None:
    for column in Indicators().columns(parsed(**{name: EXAMPLES[name]})):
        assert column.about
        assert "\n" not in column.about
        assert "{" not in column.about
        assert len(column.about) < 80
        assert column.cost >= 1
        assert column.name == column.name.lower()


@EVERY
def test_a_fixing_carries_only_what_reads_its_close(name: str) -> None:
    options = parsed(**{name: EXAMPLES[name]})
    nothing = np.full(len(LONG), np.nan)
    fixing = replace(LONG, columns={c: v if c == "close" else nothing for c, v in LONG.columns.items()})
    if Indicators().needs(options) <= FIXING_COLUMNS:
        Indicators().compute(fixing, options)
    else:
        with pytest.raises(FeatureError, match=r"without gaps; 1500 of 1500 bars are missing"):
            Indicators().compute(fixing, options)


def test_the_stage_is_found_by_its_name_and_comes_first() -> None:
    found = stage("indicators")
    assert isinstance(found, Indicators)
    assert (found.stateless, found.priority) == (True, 10)

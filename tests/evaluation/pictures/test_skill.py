"""Pictures of skill: a planted gain is blue, a planted loss orange, chance grey; intervals and verdicts as computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.evaluation.inference.verdict import NOT_SHOWN
from fx_assets.evaluation.pictures import dress
from fx_assets.evaluation.pictures.skill import BENCHMARKS, _interval, _looks, loss_difference, skill_by_horizon
from fx_assets.evaluation.pictures.windows import scored
from tests.evaluation.pictures.conftest import shown, words
from tests.evaluation.pictures.worlds import scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

LOCATION, DENSITY, VOLATILITY = BENCHMARKS["certificate"]


def colours(axes: Axes) -> set[str]:
    """Of the stretches of the cumulative line."""
    return {str(line.get_color()) for line in stretches(axes)}


def stretches(axes: Axes) -> list[Line2D]:
    """What is neither the line at 0 nor the begin of a fold: those have two points."""
    return [line for line in axes.get_lines() if np.asarray(line.get_ydata()).size > 2]


def test_readable_pictures_with_the_same_bytes_whatever_the_order_of_rows() -> None:
    table = scores(500, said=0.3, horizons=(1, 5))
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(len(table))))
    for draw in (loss_difference, skill_by_horizon):
        picture = draw(table)
        assert shown(picture)[1] == 990
        assert draw(shuffled) == picture


def test_a_gain_that_is_planted_turns_blue_and_a_loss_orange(drawn: list[Figure]) -> None:
    loss_difference(scores(1500, said=0.4, seed=2))
    location, density, volatility = drawn[0].axes
    assert dress.BLUE in colours(location) & colours(density)
    assert dress.ORANGE not in colours(location) | colours(density)
    assert colours(volatility) == {dress.MUTED}, "its volatility is GARCH's: nothing to gain"
    total = np.concatenate([np.asarray(line.get_ydata()) for line in stretches(location)])
    windows = scored(scores(1500, said=0.4, seed=2))
    assert total[-1] == pytest.approx((windows.numbers("loss_se_walk") - windows.numbers("loss_se")).sum())
    assert total[-1] > 0.9 * total.max()
    assert "location: squared error, against a driftless random walk;  mean gain" in words(drawn[0])
    assert "p under .001" in words(drawn[0])
    # The same locations, pointing anywhere.
    loss_difference(scores(1500, believed=0.4, width=1.5, seed=2))
    assert [dress.ORANGE in colours(axes) for axes in drawn[1].axes] == [True, True, True]
    assert dress.BLUE not in set.union(*map(colours, drawn[1].axes))


def test_folds_are_marked_where_they_begin(drawn: list[Figure]) -> None:
    loss_difference(scores(1500))
    years = [str(year) for year in range(2020, 2027)]
    marks = [text.get_text() for text in drawn[0].axes[0].texts]
    assert marks == years


def test_looks_are_right_as_often_as_they_say() -> None:
    random, found = np.random.default_rng(3), []
    for _ in range(60):
        ends, states = _looks(random.standard_normal(60), 1)
        assert (ends[0], ends[-1]) == (20, 60)
        found.append(states[-1])
    assert {-1, 0, 1} == set(found)
    assert np.mean(np.array(found) == 0) >= 0.8
    # Overlapping windows are looked at when 20 of them stand apart, and not before.
    ends, states = _looks(np.ones(60), 5)
    assert (ends.tolist(), states.tolist()) == ([60], [0])


def test_benchmarks_that_the_table_lacks_are_left_out_or_refused(drawn: list[Figure]) -> None:
    table = scores(300)
    loss_difference(table, "walk")
    assert len(drawn[0].axes) == 2
    with pytest.raises(ValueError, match="no loss of EURUSD  walk beside 'har'"):
        loss_difference(table, "har")
    with pytest.raises(ValueError, match="expected one of certificate, walk, har"):
        loss_difference(table, "garch")
    without = table.set_column(
        table.schema.get_field_index("loss_qlike_garch"), "loss_qlike_garch", pa.nulls(300, pa.float64())
    )
    loss_difference(without)
    assert len(drawn[1].axes) == 2
    with pytest.raises(ValueError, match="no loss beside"):
        skill_by_horizon(table.slice(0, 0))


def test_the_density_is_held_against_the_champions_walk(drawn: list[Figure]) -> None:
    # A model that is twice too wide loses to a champion that is right, and not to its own walk.
    table, champion = scores(800, width=2.0), scores(800, model_id="champion")
    loss_difference(table)
    loss_difference(table, champion=champion)
    assert colours(drawn[0].axes[1]) == {dress.MUTED}
    assert dress.ORANGE in colours(drawn[1].axes[1])
    skill_by_horizon(table, champion=champion)
    assert [text.get_text() for text in drawn[2].axes[1].texts] == ["worse"]


def test_intervals_hold_the_ratio_they_are_of() -> None:
    table = scores(2000, said=0.8, seed=4)
    windows = scored(table)
    middle, half = _interval(LOCATION, windows)
    ours, theirs = windows.numbers("loss_se"), windows.numbers("loss_se_walk")
    assert middle == pytest.approx(100 * (ours.mean() / theirs.mean() - 1))
    # Independent windows: the delta method's deviation, and Student's 61 degrees for the normal's.
    deviation = np.std(ours - ours.mean() / theirs.mean() * theirs) / theirs.mean() / np.sqrt(2000)
    assert half == pytest.approx(100 * 2.0 * deviation, rel=0.25)
    difference, wide = _interval(VOLATILITY, scored(scores(2000, width=1.3)))
    assert difference - wide > 0
    assert _interval(LOCATION, scored(table.slice(0, 19)))[1] == 0
    # Over many worlds they hold the truth, which is 0 here: a model that says what the walk says, and noise.
    inside = 0
    for seed in range(150):
        low, margin = _interval(DENSITY, scored(noisy(seed)))
        inside += abs(low) <= margin
    assert 0.9 <= inside / 150 <= 0.99


def noisy(seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    losses = np.abs(random.standard_normal((2, 300))) + 1
    table = NOISE
    for name, values in zip(("loss_crps", "loss_crps_still"), losses, strict=True):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    return table


NOISE = scores(300)


def test_verdicts_stand_under_their_horizons(drawn: list[Figure]) -> None:
    table = scores(380, said=0.5, horizons=(1, 20))
    skill_by_horizon(table)
    location, _, volatility = drawn[0].axes
    said = [text.get_text().replace("\n", " ") for text in location.texts]
    assert said == ["skill shown", "too little data"]
    assert {text.get_text().replace("\n", " ") for text in volatility.texts} == {"no skill shown", "too little data"}
    # Those of the certificate may know better: what is untradeable is no skill.
    told = {name: dict.fromkeys((1, 20), NOT_SHOWN) for name in ("location", "density", "volatility")}
    skill_by_horizon(table, told)
    assert {text.get_text().replace("\n", " ") for text in drawn[1].axes[0].texts} == {"no skill shown"}

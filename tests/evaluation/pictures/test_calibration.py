"""Pictures of ranges: right forecasts stay in the bands, wrong ones leave them, and the bands are what they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.patches import Rectangle
from scipy.stats import binom

from fx_assets.evaluation.pictures.calibration import _band, _margin, coverage_over_time, reliability, tail_exceptions
from tests.evaluation.pictures.conftest import shown, words
from tests.evaluation.pictures.worlds import scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@pytest.mark.parametrize("draw", [reliability, coverage_over_time, tail_exceptions])
def test_a_readable_picture_with_the_same_bytes_whatever_the_order_of_rows(draw: object) -> None:
    assert callable(draw)
    table = scores(600)
    picture = draw(table)
    height, width = shown(picture)
    assert width == 990
    assert height >= 400
    assert draw(table.take(pa.array(np.random.default_rng(1).permutation(600)))) == picture


def test_reliability_says_who_is_right_and_who_is_not(drawn: list[Figure]) -> None:
    for width in (1.0, 0.6, 1.6):
        reliability(scores(1500, width=width, seed=5))
    assert "EURUSD  walk: where outcomes fell in their forecasts, 1 bar ahead" in words(drawn[0])
    inside = [re.search(r"(\d+) of 20 bars and (\d+) of 99 quantiles", words(figure)) for figure in drawn]
    bars, quantiles = zip(*([int(number) for number in found.groups()] for found in inside if found), strict=True)
    assert bars[0] >= 18 > 10 > max(bars[1:])
    assert quantiles[0] >= 95 > 40 > max(quantiles[1:])
    # Too narrow: more than its share in the outer twentieths, less in the middle; too wide: the other way round.
    first, middle = ([bar_height(figure, bar) for figure in drawn] for bar in (0, 10))
    assert first[1] > 1.5 > 1 > middle[1]
    assert first[2] < 0.5 < 1 < middle[2]


def bar_height(figure: Figure, number: int) -> float:
    bar = figure.axes[0].patches[number]
    assert isinstance(bar, Rectangle)
    return bar.get_height()


def test_windows_that_overlap_widen_the_band(drawn: list[Figure]) -> None:
    reliability(scores(1000, horizons=(5,)))
    assert "1,000 forecasts, 200 of them without overlap" in words(drawn[0])
    band = drawn[0].axes[0].patches[20]
    assert isinstance(band, Rectangle)
    fewest, most = binom.ppf([0.025, 0.975], 200, 0.05)
    assert band.get_y() == pytest.approx(fewest / 10)
    assert band.get_height() == pytest.approx((most - fewest) / 10)
    low, high = _band(200, np.array([0.5]))
    assert (low[0], high[0]) == (binom.ppf(0.025, 200, 0.5) / 200, binom.ppf(0.975, 200, 0.5) / 200)


def test_coverage_leaves_its_band_where_the_market_changed(drawn: list[Figure]) -> None:
    calm, storm = scores(800, seed=3), scores(400, width=0.55, seed=4)
    coverage_over_time(calm)
    assert "the 90 % range stayed in its band, the 80 % range stayed in its band" in words(drawn[0])
    # The last 400 of the 800 windows came with forecasts half as wide as right.
    changed = pa.concat_tables([storm, calm])
    coverage_over_time(changed, span=100)
    assert "the 90 % range left its band, the 80 % range left its band" in words(drawn[1])
    share = 100 * np.mean(calm.column("covered_80").to_numpy(zero_copy_only=False))
    assert f"80 % range: {share:.1f} % over all windows" in words(drawn[0])
    for span in (19, 801):
        with pytest.raises(ValueError, match="span: expected 20 to 800"):
            coverage_over_time(calm, span=span)


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_perfect_forecaster_stays_in_the_band_in_95_of_100_worlds(horizon: int) -> None:
    n, span, mass = 1000, 250, 0.8
    margin = _margin(n, span, mass, horizon)
    stayed = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        sums = np.concatenate([[0.0], np.cumsum(random.standard_normal(n + horizon - 1))])
        hits = np.abs(sums[horizon:] - sums[:-horizon]) <= 1.2815515655446004 * np.sqrt(horizon)
        rolling = np.convolve(hits, np.ones(span) / span, "valid")
        stayed += np.abs(rolling - mass).max() <= margin + 1e-12
    assert 0.92 <= stayed / 400 <= 0.98


def test_the_band_agrees_with_what_was_measured_before() -> None:
    # ANCHORS 8: over 3,795 days a perfect iid forecaster strays by 4 points in some 500 in 65 % of pairs.
    assert _margin(3795, 500, 0.8, 1) > 0.045


def test_tails_count_what_lies_beyond(drawn: list[Figure]) -> None:
    table = scores(2000, seed=6)
    tail_exceptions(table)
    pit = table.column("pit").to_numpy()
    said = words(drawn[0])
    for count, level in (((pit < 0.01).sum(), 0.01), ((pit < 0.05).sum(), 0.05), ((pit > 0.975).sum(), 0.025)):
        fewest, most = binom.ppf([0.025, 0.975], 2000, level)
        assert f"{count} ({fewest:.0f} to {most:.0f})" in said
    assert "lower side green, upper side green" in said
    dots = [line for line in drawn[0].axes[1].get_lines() if str(line.get_label()).startswith("outer")]
    assert [np.asarray(line.get_ydata()).size for line in dots] == [
        sum((low <= pit) & (pit < high)) + sum((low <= 1 - pit) & (1 - pit < high))
        for low, high in ((0.025, 0.05), (0.01, 0.025), (0, 0.01))
    ]
    tail_exceptions(scores(2000, width=0.5, seed=6))
    assert "lower side red, upper side red" in words(drawn[1])
    # Neighbours at a longer horizon share their returns: every fifth window counts.
    tail_exceptions(scores(2000, horizons=(5,)))
    assert "400 windows that do not overlap" in words(drawn[2])

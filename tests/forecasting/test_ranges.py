"""Ranges from night to night: the same as followed in one go, kept by version, read as of any moment."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.forecasting.batch import issue
from fx_assets.forecasting.ranges import RANGES_SCHEMA, advanced, ranges_at, table_name
from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import PairHistory
from fx_assets.models.manifest import Manifest
from fx_assets.specs.schema import ModelSpec, PairSpec
from fx_assets.timegrid.windows import EvaluationWindow
from tests.forecasting.conftest import NOW, VERSION, simulated, trained


@pytest.fixture(scope="module")
def walk() -> tuple[BasePredictor, Manifest, PairHistory]:
    """A random walk that was calibrated in a calm world; then the world widens."""
    spec = ModelSpec.model_validate(
        {"model_id": "walk", "kind": "random_walk", "pairs": "all", "window": 64, "horizon": 6}
    )
    rng = np.random.default_rng(31)
    returns = rng.normal(0, 0.004, 1560)
    returns[-300:] *= rng.choice([0.3, 3.0], 300)
    prices = simulated(returns)
    predictor, manifest, _ = trained(spec, prices)
    return predictor, manifest, prices


def end(history: PairHistory) -> datetime:
    moment: datetime = history.ends[-1].astype("datetime64[us]").item()
    return moment.replace(tzinfo=UTC)


def nights(walk: tuple[BasePredictor, Manifest, PairHistory], *rows: int) -> pa.Table:
    """The table after nights on which the history had that many rows."""
    predictor, manifest, prices = walk
    table: pa.Table | None = None
    for count in rows:
        _, row = advanced(predictor, first(prices, count), VERSION, manifest.trained_until, table)
        table = row if table is None else pa.concat_tables([table, row])
    assert table is not None
    return table


def first(history: PairHistory, rows: int) -> PairHistory:
    moment: datetime = history.ends[rows - 1].astype("datetime64[us]").item()
    return history.until(moment.replace(tzinfo=UTC))


def test_night_by_night_is_as_in_one_go(walk: tuple[BasePredictor, Manifest, PairHistory]) -> None:
    n = len(walk[2])
    whole = nights(walk, n)
    assert whole.schema.equals(RANGES_SCHEMA)
    steps = nights(walk, n - 40, n - 39, n - 38, n - 20, n - 1, n)
    assert steps.num_rows == 6
    assert steps.slice(5).equals(whole)
    assert whole.column("matured")[0].as_py() == [_tested(walk) - h for h in range(1, 7)]
    # Asked again on the same night, it stays as it is.
    predictor, manifest, prices = walk
    assert advanced(predictor, prices, VERSION, manifest.trained_until, steps)[1].equals(whole)


def _tested(walk: tuple[BasePredictor, Manifest, PairHistory]) -> int:
    """Rows from the first origin after training to the last row, both counted."""
    _, manifest, prices = walk
    cuts = EvaluationWindow.after(manifest.trained_until, prices.ends)
    return len(cuts.origins(prices.ends, window=64, horizon=1, part="test")) + 1


def test_a_range_is_read_as_it_stood(walk: tuple[BasePredictor, Manifest, PairHistory]) -> None:
    predictor, _, prices = walk
    n = len(prices)
    table = nights(walk, n - 10, n)
    calibration = predictor.calibrations["USDJPY"]
    then = ranges_at(table, VERSION, calibration, end(first(prices, n - 5)))
    assert then.state["matured"] == table.column("matured")[0].as_py()
    assert ranges_at(table, VERSION, calibration, end(prices)).state["width"] == table.column("width")[1].as_py()
    for nothing in (
        ranges_at(table, VERSION, calibration, end(first(prices, n - 11))),
        ranges_at(table, "another", calibration, end(prices)),
        ranges_at(None, VERSION, calibration, end(prices)),
    ):
        assert np.all(nothing.width == 0)
        assert nothing.matured == (0,) * 6


def test_the_bar_of_a_night_that_was_taken_back_starts_it_anew(
    walk: tuple[BasePredictor, Manifest, PairHistory],
) -> None:
    predictor, manifest, prices = walk
    n = len(prices)
    table = nights(walk, n - 10)
    keep = np.arange(n) != n - 11
    without = PairHistory(
        prices.pair, prices.ends[keep], prices.trading_dates[keep], prices.closes[keep], prices.features[keep]
    )
    anew = advanced(predictor, without, VERSION, manifest.trained_until, None)
    assert advanced(predictor, without, VERSION, manifest.trained_until, table)[1].equals(anew[1])


def test_a_version_that_has_seen_everything_is_its_calibration(
    walk: tuple[BasePredictor, Manifest, PairHistory],
) -> None:
    predictor, _, prices = walk
    found, row = advanced(predictor, prices, VERSION, end(prices), None)
    assert np.all(found.width == 0)
    assert row.column("origin")[0].as_py() == end(prices)


def test_a_forecast_has_the_ranges_it_was_given(
    walk: tuple[BasePredictor, Manifest, PairHistory], pair: PairSpec
) -> None:
    predictor, manifest, prices = walk
    ranges, _ = advanced(predictor, prices, VERSION, manifest.trained_until, None)

    def forecast(given: object) -> dict[str, float]:
        document = issue(
            predictor,
            prices,
            pair,
            manifest=manifest,
            kind_of_price="fixing",
            champion="walk",
            now=NOW,
            data_version="x",
            run_id="r",
            ranges=given,  # type: ignore[arg-type]
        )
        return dict(document.horizons[0].quantiles)

    still, moved = forecast(None), forecast(ranges)
    assert still["0.5"] == moved["0.5"] == prices.closes[-1]
    location, scale = predictor.predict(prices.window(len(prices) - 1, 64)[None]).location[0], None
    scale = predictor.predict(prices.window(len(prices) - 1, 64)[None]).scale[0]
    exact = prices.closes[-1] * np.exp(ranges.quantiles([0.05, 0.95], location, scale)[0])
    assert [moved["0.05"], moved["0.95"]] == exact.tolist()
    assert moved["0.95"] != still["0.95"]
    assert table_name("walk") == "ranges/walk"

"""The walk forward: earlier selves learn anew from what came before, and what is on record is not learned again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fx_assets.evaluation.scoring import score_walk
from fx_assets.evaluation.walk import WALK_SCHEMA, folds, forecasts_of, walked
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.registry import predictor_class
from fx_assets.settings import Settings
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.materials import Materials
from fx_assets.training.trainers import train
from tests.forecasting.conftest import simulated

RNG = np.random.default_rng(23)


def spec_of(kind: str = "har", scope: str = "pair", **evaluation: object) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "model_id": "walker",
            "kind": kind,
            "pairs": "all" if scope == "pair" else ["USDJPY", "EURUSD"],
            "scope": scope,
            "window": 64,
            "horizon": 5,
            "target": "volatility" if kind == "har" else "log_return",
            "training": {"validation_years": 1},
            "evaluation": {"years": 2, **evaluation},
        }
    )


@pytest.fixture(scope="module")
def prices() -> PairHistory:
    """Eight years whose volatility moves."""
    moving = np.repeat(RNG.uniform(0.003, 0.012, 40), 52)
    return simulated(RNG.normal(0, 1, len(moving)) * moving)


def materials(*histories: PairHistory, folder: Path) -> Materials:
    return Materials({history.pair: history for history in histories}, folder)


def walk(spec: ModelSpec, given: Materials, known: pa.Table | None = None, scope: str = "USDJPY") -> pa.Table:
    parts = [rows for _, rows in walked(spec, given, scope, settings=Settings(home=given.scratch), known=known)]
    return pa.concat_tables([WALK_SCHEMA.empty_table(), *parts])


@pytest.fixture(scope="module")
def table(prices: PairHistory, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """The walk of HAR."""
    return walk(spec_of(), materials(prices, folder=tmp_path_factory.mktemp("walk")))


def test_every_origin_up_to_the_held_out_year_once(table: pa.Table, prices: PairHistory) -> None:
    assert table.schema.equals(WALK_SCHEMA)
    ends = table.column("origin").to_numpy().astype("datetime64[us]")
    year = EvaluationWindow.held_out_year(prices.ends, refit_every="month", validation_years=1)
    until = np.datetime64(year.validate_until.replace(tzinfo=None), "us")
    first = int(np.searchsorted(prices.ends, ends[0]))
    last = int(np.searchsorted(prices.ends, until, side="right"))
    # The last row before the held-out year is no origin: what comes after it belongs to that year.
    assert np.array_equal(ends, prices.ends[first : last - 1])
    # Two years before October 2025 lie in 2023; its fold begins with the year.
    assert sorted(set(table.column("fold").to_pylist())) == ["walk-2023", "walk-2024", "walk-2025"]


def test_a_fold_is_what_training_on_its_cuts_gives(table: pa.Table, prices: PairHistory, tmp_path: Path) -> None:
    spec = spec_of()
    fold = folds(spec, {"USDJPY": prices})[1]
    cuts = fold.cuts
    assert fold.name == "walk-2024"
    between = (prices.ends > np.datetime64(cuts.validate_until.replace(tzinfo=None))) & (
        prices.ends <= np.datetime64((cuts.test_from or cuts.validate_until).replace(tzinfo=None))
    )
    assert between.sum() == spec.horizon  # the embargo
    # All that its self may not have seen is spoilt; what it learned, and its first forecast, stay as they are.
    spoilt = prices.closes.copy()
    spoilt[prices.ends > np.datetime64(cuts.validate_until.replace(tzinfo=None))] *= 3.0
    trained = train(
        spec,
        materials(replace(prices, closes=spoilt), folder=tmp_path),
        cuts,
        settings=Settings(home=tmp_path),
    )
    predictor = predictor_class("har")(spec)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), trained.files))
    rows = cuts.origins(prices.ends, window=spec.window, horizon=1, part="test")
    prediction = predictor.predict(*windows(prices, rows, spec))
    own = table.filter(pc.equal(table.column("fold"), "walk-2024"))
    assert own.column("scale").to_pylist() == prediction.scale.tolist()
    assert own.column("calibrated_on").to_pylist()[1:] == [None] * (own.num_rows - 1)
    assert own.column("z")[0].as_py() == predictor.calibrations["USDJPY"].z.ravel().tolist()


def test_what_is_on_record_is_not_learned_again(table: pa.Table, prices: PairHistory, tmp_path: Path) -> None:
    marked = table.set_column(
        table.schema.get_field_index("scale"),
        table.schema.field("scale"),
        pa.array([[7.0] * 5] * table.num_rows, pa.list_(pa.float64())),
    )
    again = walk(spec_of(), materials(prices, folder=tmp_path), known=marked)
    assert again.equals(marked)
    # A longer history: whole folds stay, the last one is asked for more.
    shorter = prices.until(EvaluationWindow.held_out_year(prices.ends, refit_every="quarter").test_until)
    cut = replace(
        shorter,
        ends=shorter.ends[:-120],
        trading_dates=shorter.trading_dates[:-120],
        closes=shorter.closes[:-120],
        features=shorter.features[:-120],
    )
    before = walk(spec_of(), materials(cut, folder=tmp_path))
    stretched = before.set_column(
        before.schema.get_field_index("scale"),
        before.schema.field("scale"),
        pa.array([[7.0] * 5] * before.num_rows, pa.list_(pa.float64())),
    )
    after = walk(spec_of(), materials(prices, folder=tmp_path), known=stretched)
    made = {name: set(map(tuple, rows)) for name, rows in _scales(after).items()}
    assert made["walk-2023"] == made["walk-2024"] == {(7.0,) * 5}
    assert (7.0,) * 5 not in made["walk-2025"]
    assert after.select(["origin", "fold"]).equals(table.select(["origin", "fold"]))


def _scales(rows: pa.Table) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["fold"], []).append(row["scale"])
    return found


def test_another_configuration_or_corrected_training_rows_are_learned_anew(prices: PairHistory) -> None:
    plain = folds(spec_of(), {"USDJPY": prices})
    other = folds(spec_of(kind="random_walk"), {"USDJPY": prices})
    assert {fold.fingerprint for fold in plain}.isdisjoint(fold.fingerprint for fold in other)
    closes = prices.closes.copy()
    at = int(np.searchsorted(prices.ends, np.datetime64("2023-06-01")))
    closes[at] *= 1.001
    moved = folds(spec_of(), {"USDJPY": replace(prices, closes=closes)})
    assert [a.fingerprint == b.fingerprint for a, b in zip(plain, moved, strict=True)] == [True, False, False]
    described = spec_of().model_copy(update={"description": "other words"})
    assert folds(described, {"USDJPY": prices}) == plain


def test_no_years_and_a_short_history_have_no_folds(prices: PairHistory) -> None:
    assert folds(spec_of(years=0), {"USDJPY": prices}) == []
    short = simulated(RNG.normal(0, 0.006, 500))
    assert folds(spec_of(), {"USDJPY": short}) == []
    quarters = folds(spec_of(refit_every="quarter", years=1), {"USDJPY": prices})
    assert [fold.name for fold in quarters][:2] == ["walk-2024-07", "walk-2024-10"]


def test_a_panel_is_learned_once_for_all_its_pairs(prices: PairHistory, tmp_path: Path) -> None:
    young = simulated(RNG.normal(0, 0.006, 900), pair="EURUSD", start=1.1)
    spec = spec_of(kind="random_walk", scope="panel")
    rows = walk(spec, materials(prices, young, folder=tmp_path), scope="PANEL")
    assert set(rows.column("pair").to_pylist()) == {"PANEL"}
    by_fold = {(row["fold"], row["symbol"]) for row in rows.to_pylist()}
    # 900 rows begin in 2023: there is nothing to train on before the first folds.
    assert by_fold == {
        ("walk-2023", "USDJPY"),
        ("walk-2024", "USDJPY"),
        ("walk-2025", "USDJPY"),
        ("walk-2025", "EURUSD"),
    }
    found = forecasts_of(rows, young, (1, 5))
    assert found is not None
    assert {each.fold for each in found[2]} == {"walk-2025"}


def test_scores_of_a_walk(table: pa.Table, prices: PairHistory) -> None:
    scored = score_walk(table, prices, "walker", horizon=5)
    counts = {h: sum(value == h for value in scored.column("horizon").to_pylist()) for h in (1, 5, 20)}
    # What came after the last origins lies in the held-out year, and is known.
    assert counts == {1: table.num_rows, 5: table.num_rows, 20: 0}
    names = set(scored.column("model_version").to_pylist())
    assert {name[:10] for name in names} == {"walk-2023-", "walk-2024-", "walk-2025-"}
    first = scored.filter(pc.equal(scored.column("horizon"), 1))
    ratio = pc.sum(first.column("loss_crps")).as_py() / pc.sum(first.column("loss_crps_walk")).as_py()
    assert ratio < 0.99, "volatility that moves is followed"
    coverage = pc.mean(first.column("covered_80").cast(pa.float64())).as_py()
    assert abs(coverage - 0.8) < 0.03
    assert score_walk(table, simulated(RNG.normal(0, 0.006, 300), pair="EURUSD"), "walker", horizon=5).num_rows == 0


def test_bars_taken_back_since_are_passed_over(table: pa.Table, prices: PairHistory) -> None:
    at = int(np.searchsorted(prices.ends, table.column("origin").to_numpy().astype("datetime64[us]")[10]))
    keep = np.arange(len(prices)) != at
    without = replace(
        prices,
        ends=prices.ends[keep],
        trading_dates=prices.trading_dates[keep],
        closes=prices.closes[keep],
        features=prices.features[keep],
    )
    found = forecasts_of(table, without, (1,))
    assert found is not None
    assert len(found[0].rows) == table.num_rows - 1
    assert at - 1 in found[0].rows.tolist()

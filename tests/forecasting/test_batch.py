"""From a history to the document: targets, flags, identity, and the same bits as over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from fx_assets.forecasting import batch
from fx_assets.forecasting.document import ForecastDocument, HorizonForecast
from fx_assets.forecasting.freshness import freshness
from fx_assets.forecasting.quality import CHECKS, check_forecast
from fx_assets.forecasting.targets import price_set_at, targets
from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import InsufficientHistory, ModelOutputInvalid
from fx_assets.models.inputs import PairHistory
from fx_assets.models.manifest import Manifest
from fx_assets.models.results import Distribution
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.windows import EvaluationWindow
from tests.forecasting.conftest import LAST, NOW, VERSION, Issuer, simulated


def test_the_document_says_what_it_was_made_from(document: ForecastDocument, prices: PairHistory) -> None:
    assert (document.pair, document.model_id, document.model_version, document.kind) == (
        "USDJPY",
        "walk",
        VERSION,
        "random_walk",
    )
    assert document.data_as_of == LAST
    assert document.origin == datetime(2026, 10, 30, 21, 0, tzinfo=UTC)
    assert document.issued_at == NOW
    assert document.last_price == prices.closes[-1]
    assert document.revision == "live"
    assert not document.in_sample
    assert document.verdict == "untested"
    assert document.notes == ()
    assert document.evaluation is None
    assert document.lineage.data_version == "d1"
    assert [horizon.h for horizon in document.horizons] == list(range(1, 21))
    # A driftless walk: every median is the last price, and the range widens with the root of time.
    assert {horizon.median for horizon in document.horizons} == {document.last_price}
    assert document.horizons[3].volatility == pytest.approx(2 * document.horizons[0].volatility)
    assert list(document.horizons[0].quantiles) == ["0.05", "0.1", "0.25", "0.5", "0.75", "0.9", "0.95"]


def test_night_and_rows_from_outside_agree_to_the_last_bit(
    document: ForecastDocument, walk: tuple[BasePredictor, Manifest, EvaluationWindow], prices: PairHistory
) -> None:
    predictor, _, _ = walk
    import json

    rows = json.loads(json.dumps(prices.window(len(prices) - 1, 64).tolist()))
    answer = predictor.run({"data": rows}, "USDJPY")
    stored = np.array([list(horizon.quantiles.values()) for horizon in document.horizons])
    assert stored.tobytes() == answer.quantiles.tobytes()
    assert ForecastDocument.model_validate_json(document.model_dump_json()) == document


def test_targets_are_the_next_open_dates_and_fixings_are_set_at_1410_berlin(document: ForecastDocument) -> None:
    first, last = document.horizons[0], document.horizons[-1]
    assert first.target_date == date(2026, 11, 2)
    assert first.target_time == datetime(2026, 11, 2, 13, 10, tzinfo=UTC)
    assert last.target_date == date(2026, 11, 27)
    # In summer Berlin is two hours ahead of UTC.
    assert price_set_at(date(2026, 7, 1), "fixing") == datetime(2026, 7, 1, 12, 10, tzinfo=UTC)
    assert price_set_at(date(2026, 7, 1), "bar") == datetime(2026, 7, 1, 21, 0, tzinfo=UTC)
    # 25 and 26 December are closed, then a week-end, and 1 January.
    days = [target.day for target in targets(date(2026, 12, 24), 5, calendar("target"), "fixing")]
    assert days == [date(2026, 12, 28), date(2026, 12, 29), date(2026, 12, 30), date(2026, 12, 31), date(2027, 1, 4)]
    with pytest.raises(ValueError, match="kind of price 'tick' is unknown"):
        price_set_at(LAST, "tick")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "kind", "late"),
    [(-1, "fixing", 0), (0, "fixing", 1), (86_400, "fixing", 2), (0, "bar", 0)],
)
def test_a_forecast_is_retrospective_once_its_target_price_is_set(
    issued: Issuer, seconds: int, kind: str, late: int
) -> None:
    fixed = datetime(2026, 11, 2, 13, 10, tzinfo=UTC)
    document = issued(now=fixed + timedelta(seconds=seconds), kind_of_price=kind)
    assert [horizon.retrospective for horizon in document.horizons] == [True] * late + [False] * (20 - late)


def test_a_past_origin_is_a_replay_and_sees_nothing_later(issued: Issuer, prices: PairHistory) -> None:
    replay = issued(origin=1500)
    assert replay.revision == "replay"
    assert replay.last_price == prices.closes[1500]
    assert not replay.in_sample
    cut = prices.until(replay.origin)
    assert issued(history=cut).horizons == replay.horizons


def test_a_model_trained_after_the_origin_is_in_sample(issued: Issuer, document: ForecastDocument) -> None:
    trained_until = document.lineage.trained_until
    assert issued(origin=800).in_sample
    assert issued(origin=800).origin < trained_until
    assert not issued(origin=1400).in_sample


def test_too_few_rows_or_a_gap_is_insufficient_history(issued: Issuer, prices: PairHistory) -> None:
    with pytest.raises(InsufficientHistory, match="needs 4 rows more"):
        issued(origin=59)
    kept = np.delete(np.arange(len(prices)), np.arange(1540, 1546))
    gappy = PairHistory(
        "USDJPY", prices.ends[kept], prices.trading_dates[kept], prices.closes[kept], prices.features[kept]
    )
    with pytest.raises(InsufficientHistory, match="6 open trading dates without a price between"):
        issued(history=gappy)


def test_another_pair_or_model_is_refused(
    issued: Issuer, walk: tuple[BasePredictor, Manifest, EvaluationWindow], pair: PairSpec
) -> None:
    manifest = walk[1]
    other = simulated(np.zeros(80), pair="EURUSD")
    with pytest.raises(ValueError, match="history is of EURUSD, the pair is USDJPY"):
        issued(history=other)
    with pytest.raises(ValueError, match="was not trained on EURUSD"):
        issued(history=other, pair=pair.model_copy(update={"pair": "EURUSD"}))
    with pytest.raises(ValueError, match="manifest is of model other"):
        issued(manifest=manifest.model_copy(update={"model_id": "other"}))
    wide = replace(simulated(np.zeros(80)), features=np.zeros((81, 1)), feature_names=("rsi_14",))
    with pytest.raises(ValueError, match="history of USDJPY has columns close, rsi_14; model walk reads close"):
        issued(history=wide)
    with pytest.raises(ValueError, match="now has no time zone"):
        issued(now=datetime(2026, 11, 2))


def test_checks_of_a_sound_forecast_pass(document: ForecastDocument, pair: PairSpec, prices: PairHistory) -> None:
    outcomes = check_forecast(document, pair, prices.closes[-64:])
    assert {item.name: item.blocking for item in outcomes} == CHECKS
    assert [item.name for item in outcomes if not item.passed] == []


def test_each_check_notices_its_fault(document: ForecastDocument, pair: PairSpec, prices: PairHistory) -> None:
    closes = prices.closes[-64:]

    def failed(changed: ForecastDocument, spec: PairSpec = pair) -> list[str]:
        return [item.name for item in check_forecast(changed, spec, closes) if not item.passed]

    low, high = document.last_price * 1.1, document.last_price * 2
    assert failed(document, pair.model_copy(update={"plausible_range": (low, high)})) == ["plausible_prices"]
    wild = document.horizons[0].model_copy(update={"volatility": 0.2})
    assert failed(document.model_copy(update={"horizons": (wild, *document.horizons[1:])})) == ["plausible_width"]
    assert failed(document.model_copy(update={"last_price": 1.0})) == ["starts_at_last_price"]
    shut = document.horizons[4].model_copy(update={"target_date": date(2026, 11, 8)})
    horizons = (*document.horizons[:4], shut, *document.horizons[5:])
    assert failed(document.model_copy(update={"horizons": horizons})) == ["targets_on_open_dates"]
    assert failed(document.model_copy(update={"stale": True})) == ["fresh"]


def distribution_of(numbers: np.ndarray[Any, np.dtype[np.float64]], **changes: Any) -> Distribution:
    """Median, volatility and seven quantiles in columns, as a predictor would hand them over."""
    fields: dict[str, Any] = {
        "horizons": np.arange(1, len(numbers) + 1),
        "location": numbers[:, 0],
        "scale": numbers[:, 1],
        "median": numbers[:, 0],
        "levels": np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]),
        "quantiles": numbers[:, 2:],
        "log_quantiles": numbers[:, 2:],
        "volatility": numbers[:, 1],
    }
    return Distribution(**{**fields, **changes})


def sound(rng: np.random.Generator, rows: int = 20) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Numbers of every size that a price may have, quantiles rising."""
    numbers = np.exp(rng.normal(0, 12, (rows, 9)))
    numbers[:, 2:] = np.sort(numbers[:, 2:], axis=1)
    return numbers


def test_the_fast_json_of_horizons_is_that_of_the_validated_document_to_the_last_byte() -> None:
    rng = np.random.default_rng(11)
    steps = tuple(targets(LAST, 20, calendar("target"), "fixing"))
    for late in (0, 1, 7, 20, 0):
        now = steps[late - 1].time if late else steps[0].time - timedelta(microseconds=1)
        for _ in range(40):
            horizons = batch._horizons(distribution_of(sound(rng)), steps, now)
            validated = [HorizonForecast.model_validate(row) for row in horizons.plain()]
            assert sum(row.retrospective for row in validated) == late
            assert horizons.json() == orjson.dumps([row.model_dump(mode="json") for row in validated])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
@pytest.mark.parametrize("column", [0, 1, 2, 8])
def test_a_number_that_no_document_may_say_never_leaves(value: float, column: int) -> None:
    steps = tuple(targets(LAST, 20, calendar("target"), "fixing"))
    numbers = sound(np.random.default_rng(12))
    numbers[13, column] = value
    with pytest.raises(ModelOutputInvalid, match=r"not positive and finite|cross"):
        batch._horizons(distribution_of(numbers), steps, NOW)


def test_crossed_quantiles_other_shapes_and_signals_never_leave() -> None:
    steps = tuple(targets(LAST, 20, calendar("target"), "fixing"))
    numbers = sound(np.random.default_rng(13))
    for column in range(2, 8):
        crossed = numbers.copy()
        crossed[4, [column, column + 1]] = crossed[4, [column + 1, column]]
        with pytest.raises(ModelOutputInvalid, match="quantiles cross"):
            batch._horizons(distribution_of(crossed), steps, NOW)
    for made, word in (
        (distribution_of(numbers, quantiles=numbers[:, 3:]), "20 horizons of 7 quantiles"),
        (distribution_of(numbers[:19]), "20 horizons of 7 quantiles"),
        (distribution_of(numbers, signal=float("nan")), "signal"),
        (distribution_of(numbers, signal=1.5), "signal"),
    ):
        with pytest.raises(ModelOutputInvalid, match=word):
            batch._horizons(made, steps, NOW)
    for levels in ([0.5, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95], [0.5, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95]):
        with pytest.raises(ValueError, match="not increasing"):
            batch._horizons(distribution_of(numbers, levels=np.array(levels)), steps, NOW)


@pytest.mark.parametrize("hours", [-30, -1, 0, 1, 23, 24, 25, 49, 75, 100, 200])
def test_freshness_kept_for_a_trading_date_is_that_of_the_moment(issued: Issuer, pair: PairSpec, hours: int) -> None:
    now = datetime(2026, 11, 1, 22, 0, tzinfo=UTC) + timedelta(hours=hours)  # the roll, in winter
    document = issued(now=now)
    told = freshness(LAST, calendar(pair.calendar), pair.freshness, now)
    assert (document.stale, document.valid_until) == (told.stale, told.valid_until)

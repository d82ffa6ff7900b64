"""From served forecasts to the joint document."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from pydantic import ValidationError

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.joint.document import (
    SERVED_NOTE,
    JointForecast,
    json_schema,
    same_content,
    schema_text,
)
from fx_assets.forecasting.joint.graph import pair_graph
from fx_assets.forecasting.joint.history import ewma_volatilities
from fx_assets.forecasting.joint.issue import JointHistory, joint_forecast
from fx_assets.models.errors import InsufficientHistory
from tests.forecasting.conftest import NOW

GRAPH = pair_graph(["EURJPY", "EURUSD", "USDJPY"])
ROWS = 700
# What each model says of the log return to the last of the horizons; the cross says 5 bp more than its legs.
SAID = {"EURJPY": 25e-4, "EURUSD": 10e-4, "USDJPY": 10e-4}


@pytest.fixture(scope="module")
def closes() -> Any:
    rng = np.random.default_rng(7)
    legs = rng.multivariate_normal([0, 0], [[3.6e-5, -1.2e-5], [-1.2e-5, 2.5e-5]], ROWS)
    return np.exp(np.cumsum(legs, axis=0) @ GRAPH.matrix.T + np.log([165.0, 1.1, 150.0]))


def history(closes: Any, document: ForecastDocument, **changes: Any) -> JointHistory:
    days = np.datetime64(document.data_as_of, "D") - np.arange(len(closes))[::-1]
    given = {"trading_dates": days, "closes": closes, "volatility": ewma_volatilities(closes, GRAPH.pairs), **changes}
    return JointHistory(**given)


def restated(document: ForecastDocument, pair: str, last: float, said: float) -> ForecastDocument:
    """The walk's forecast moved to another pair, price and location."""
    content = document.model_dump()
    factor = last / document.last_price
    steps = len(content["horizons"])
    for step, horizon in enumerate(content["horizons"]):
        moved = factor * math.exp(said * (step + 1) / steps)
        horizon["median"] = last * math.exp(said * (step + 1) / steps)
        horizon["quantiles"] = {level: price * moved for level, price in horizon["quantiles"].items()}
    return ForecastDocument.model_validate({**content, "pair": pair, "last_price": last})


@pytest.fixture(scope="module")
def served(document: ForecastDocument, closes: Any) -> list[ForecastDocument]:
    return [restated(document, pair, closes[-1, GRAPH.column(pair)], said) for pair, said in SAID.items()]


def issue(served: Sequence[ForecastDocument], past: JointHistory, **changes: Any) -> JointForecast:
    arguments: dict[str, Any] = {"group": "1d/fixing/target/USD", "now": NOW, "run_id": "run-1", "draws": 2000}
    return joint_forecast(served, GRAPH, past, **{**arguments, **changes})


@pytest.fixture(scope="module")
def joint(served: list[ForecastDocument], closes: Any) -> JointForecast:
    return issue(served, history(closes, served[0]))


def test_medians_add_up_and_say_how_far_the_served_ones_were(joint: JointForecast, closes: Any) -> None:
    assert joint.crosses == {"EURJPY": {"EURUSD": 1, "USDJPY": 1}}
    last = joint.horizons[-1].pairs
    assert last["EURJPY"].location == pytest.approx(last["EURUSD"].location + last["USDJPY"].location, abs=1e-12)
    product = last["EURUSD"].median * last["USDJPY"].median
    assert last["EURJPY"].median == pytest.approx(product * closes[-1, 0] / (closes[-1, 1] * closes[-1, 2]), rel=1e-12)
    off = {pair: at.served_off_bp for pair, at in last.items()}
    # The gap of 5 bp is shared: the cross comes down, the legs go up.
    assert off["EURJPY"] > 0 > max(off["EURUSD"], off["USDJPY"])
    assert off["EURJPY"] - off["EURUSD"] - off["USDJPY"] == pytest.approx(5.0, abs=1e-6)
    for pair, at in last.items():
        assert math.log(at.served_median / at.median) * 1e4 == pytest.approx(off[pair], abs=1e-6)
        assert at.location == pytest.approx(SAID[pair] - off[pair] / 1e4, abs=1e-12)


def test_served_quantiles_stay_and_the_difference_is_shown(
    joint: JointForecast, served: list[ForecastDocument], closes: Any
) -> None:
    assert SERVED_NOTE in joint.notes
    for document in served:
        at = joint.horizons[0].pairs[document.pair]
        assert at.served_median == document.horizons[0].median
        assert at.volatility == document.horizons[0].volatility
        assert list(at.simulated_minus_served_bp) == list(document.horizons[0].quantiles)
    # A joint cross is as wide as its legs make it: wider or narrower than served, and the sign says which.
    one = joint.horizons[0].pairs["EURJPY"]
    wider = one.simulated_volatility > one.volatility
    tails = one.simulated_minus_served_bp
    assert (tails["0.95"] - tails["0.05"] > 0) == wider
    del closes


def test_risk_of_pairs_and_of_the_book(joint: JointForecast) -> None:
    for horizon in joint.horizons:
        book = horizon.book
        alone = [at.risk.held.value_at_risk["0.01"] / 3 for at in horizon.pairs.values()]
        assert book.summed["0.01"] == pytest.approx(sum(alone), rel=1e-9)
        assert 0 < book.held.value_at_risk["0.01"] < book.summed["0.01"]
        assert book.held.expected_shortfall["0.01"] > book.held.value_at_risk["0.01"]
        assert 0 < book.turned_round.value_at_risk["0.05"] < book.turned_round.value_at_risk["0.01"]
        matrix = np.array(horizon.correlation)
        assert matrix.shape == (3, 3)
        assert matrix[1, 2] == pytest.approx(-0.4, abs=0.12)
    first, last = joint.horizons[0].book.held, joint.horizons[-1].book.held
    assert last.value_at_risk["0.05"] > 3 * first.value_at_risk["0.05"]


def test_touches_are_of_one_and_two_volatilities_either_side(
    joint: JointForecast, served: list[ForecastDocument]
) -> None:
    assert [(touch.pair, touch.sigmas) for touch in joint.touches] == [
        (pair, sigmas) for pair in GRAPH.pairs for sigmas in (-2, -1, 1, 2)
    ]
    by_pair = {document.pair: document for document in served}
    for touch in joint.touches:
        document = by_pair[touch.pair]
        width = touch.sigmas * document.horizons[0].volatility
        assert touch.level == pytest.approx(document.last_price * math.exp(width), rel=1e-12)
        assert len(touch.touched) == len(joint.horizons)
        assert touch.touched[-1] > touch.ended_beyond[-1]
    assert joint.touches[1].touched[-1] > joint.touches[0].touched[-1]


def test_dates_are_told(joint: JointForecast, served: list[ForecastDocument], closes: Any) -> None:
    assert joint.dates_used == ROWS - 61  # the first return and those that warm the volatility up have none
    assert joint.dates_left_out == 0
    assert joint.last_date == joint.data_as_of
    assert (joint.last_date - joint.first_date).days == joint.dates_used - 1
    holed = closes.copy()
    holed[300, 1] = np.nan
    found = issue(served, history(holed, served[0]))
    assert (found.dates_used, found.dates_left_out) == (ROWS - 63, 2)
    found = issue(served, history(closes, served[0]), most=400)
    assert (found.dates_used, found.first_date) == (400, joint.last_date - timedelta(days=399))


def test_the_same_content_whenever_and_in_whatever_order(
    joint: JointForecast, served: list[ForecastDocument], closes: Any
) -> None:
    again = issue(served[::-1], history(closes, served[0]), now=NOW + timedelta(days=1), run_id="run-2")
    assert again != joint
    assert same_content(again, joint)
    assert again.seed == joint.seed
    moved = [served[0].model_copy(update={"model_version": "other"}), *served[1:]]
    other = issue(moved, history(closes, served[0]))
    assert other.seed != joint.seed
    assert not same_content(other, joint)


def test_nothing_outside_the_given_rows_and_no_other_unit_changes_what_is_said(
    served: list[ForecastDocument], closes: Any
) -> None:
    # Volatilities of another model, half as large, say the same once residuals are made of unit size.
    volatility = ewma_volatilities(closes, GRAPH.pairs)
    plain = issue(served, history(closes, served[0], rescaled=True))
    halved = issue(served, history(closes, served[0], volatility=volatility / 2, rescaled=True))
    assert halved.rescaled
    near = halved.horizons[0].pairs["EURUSD"], plain.horizons[0].pairs["EURUSD"]
    assert near[0].simulated_volatility == pytest.approx(near[1].simulated_volatility, rel=0.1)
    wrong = issue(served, history(closes, served[0], volatility=volatility / 2))
    assert wrong.horizons[0].pairs["EURUSD"].simulated_volatility > 1.8 * near[1].simulated_volatility


def test_a_volatility_that_falls_is_told(served: list[ForecastDocument], closes: Any) -> None:
    content = served[1].model_dump()
    content["horizons"][4]["volatility"] = content["horizons"][3]["volatility"] * 0.9
    odd = [served[0], ForecastDocument.model_validate(content), served[2]]
    found = issue(odd, history(closes, served[0]))
    assert any(note.startswith("1 steps stand still") for note in found.notes)


def test_a_pair_alone_has_a_joint_forecast_too(served: list[ForecastDocument], closes: Any) -> None:
    graph = pair_graph(["EURUSD"])
    past = history(closes, served[1])
    own = JointHistory(past.trading_dates, closes[:, 1:2], past.volatility[:, 1:2])
    found = joint_forecast([served[1]], graph, own, group="alone", now=NOW, run_id="r", account="EUR", draws=500)
    assert (found.legs, found.crosses, found.account) == (("EURUSD",), {}, "EUR")
    assert found.horizons[0].correlation == ((1.0,),)
    assert found.horizons[0].pairs["EURUSD"].served_off_bp == pytest.approx(0, abs=1e-9)


def test_forecasts_that_do_not_belong_together_are_refused(served: list[ForecastDocument], closes: Any) -> None:
    past = history(closes, served[0])

    def refused(changes: dict[str, Any], message: str, number: int = 2) -> None:
        bent = [d.model_copy(update=changes) if i == number else d for i, d in enumerate(served)]
        with pytest.raises(ValueError, match=message):
            issue(bent, past)

    refused({"origin": served[2].origin - timedelta(days=1)}, "USDJPY: origin .* join equals only")
    refused({"frequency": "1h"}, "USDJPY: frequency 1h")
    refused({"horizons": served[2].horizons[:5]}, "USDJPY: its horizons have other target times or levels")
    refused({"last_price": 1.0}, "USDJPY: the history ends with the price")
    refused({"pair": "GBPUSD"}, "expected one served forecast of each of EURJPY, EURUSD, USDJPY, found EURJPY, EURUSD")
    with pytest.raises(ValueError, match=r"found EURJPY, EURUSD$"):
        issue(served[:2], past)
    with pytest.raises(ValueError, match="history: expected closes and volatility"):
        issue(served, history(closes, served[0], volatility=past.volatility[:-1]))
    with pytest.raises(ValueError, match="history ends on"):
        issue(served, history(closes, served[0], trading_dates=past.trading_dates - 1))
    with pytest.raises(ValueError, match="now has no time zone"):
        issue(served, past, now=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="has NOK, so nothing can be converted"):
        issue(served, past, account="NOK")


def test_the_document_fits_its_schema_and_comes_back_the_same(joint: JointForecast) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(schema_text()) == schema
    written = json.loads(joint.model_dump_json())
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(written)
    assert not validator.is_valid({**written, "surprise": 1})
    assert not validator.is_valid({**written, "draws": 0})
    assert JointForecast.model_validate_json(joint.model_dump_json()) == joint


def incoherent(content: dict[str, Any]) -> None:
    content["horizons"][2]["pairs"]["EURJPY"]["location"] += 1e-9


def uncorrelated(content: dict[str, Any]) -> None:
    content["horizons"][0]["correlation"] = [[1, 0.5, 0], [0.4, 1, 0], [0, 0, 1]]


def narrow(content: dict[str, Any]) -> None:
    content["horizons"][0]["correlation"] = [[1, 0], [0, 1]]


def shallow(content: dict[str, Any]) -> None:
    content["horizons"][0]["book"]["held"]["expected_shortfall"] = {"0.01": 0.0, "0.025": 0.0, "0.05": 0.0}


def reversed_tail(content: dict[str, Any]) -> None:
    content["horizons"][0]["book"]["held"]["value_at_risk"]["0.05"] = 1.0


def forgotten(content: dict[str, Any]) -> None:
    content["horizons"][1]["pairs"].pop("EURUSD")


def skipped(content: dict[str, Any]) -> None:
    content["horizons"] = content["horizons"][1:]


def untouched(content: dict[str, Any]) -> None:
    content["touches"][0]["touched"] = [0.0] * 20


def receding(content: dict[str, Any]) -> None:
    content["touches"][0]["touched"] = [1.0, *[0.9] * 19]


def rootless(content: dict[str, Any]) -> None:
    content["crosses"] = {}


def headless(content: dict[str, Any]) -> None:
    content["members"] = content["members"][1:]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (incoherent, "horizon 3: the location of EURJPY is not what EURUSD and USDJPY make of it"),
        (uncorrelated, "no correlation between EURJPY and EURUSD"),
        (narrow, "correlation must have 3 rows"),
        (shallow, "expected_shortfall at 0.01 is under the value at risk"),
        (reversed_tail, "a rarer loss is smaller"),
        (forgotten, "horizon 2: expected the pairs EURJPY, EURUSD, USDJPY"),
        (skipped, "expected every step from 1 to 19 once"),
        (untouched, "ends beyond it more often than it is touched"),
        (receding, "a longer time cannot touch less often"),
        (rootless, "every pair must be one or the other"),
        (headless, "members: expected one for each pair"),
    ],
)
def test_a_document_that_contradicts_itself_cannot_be_made(joint: JointForecast, spoil: Any, message: str) -> None:
    content = json.loads(joint.model_dump_json())
    spoil(content)
    with pytest.raises(ValidationError, match=message):
        JointForecast.model_validate_json(json.dumps(content))


def test_past_locations_tell_whose_are_off(served: list[ForecastDocument], closes: Any) -> None:
    # EURJPY's model has been far off its legs' for long: of today's gap it takes more than by its variance alone.
    said = np.zeros_like(closes)
    said[:, 0] = np.random.default_rng(1).normal(0, 0.01, len(closes))
    past = history(closes, served[0], location=said)
    plain = issue(served, history(closes, served[0])).horizons[-1].pairs
    found = issue(served, past).horizons[-1].pairs
    assert plain["EURJPY"].served_off_bp < found["EURJPY"].served_off_bp < 5.0
    said[: len(closes) - 200, 0] = np.nan
    with pytest.raises(
        InsufficientHistory, match="locations of EURJPY are known with those of their legs on 199 dates"
    ):
        issue(served, past)
    said[:, 1] = np.nan
    with pytest.raises(InsufficientHistory, match="0 dates on which all of EURUSD, USDJPY"):
        issue(served, past)

"""Stale prices are not skill: models planted on the ECB's real rates that know what OANDA quoted later the same day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fx_assets.bars.versions import bar_versions
from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.scoring import Beside, observed_at, score_live, target_starts
from fx_assets.evaluation.skill.worlds import Hours
from fx_assets.features.blocks import Inputs, segments
from fx_assets.features.known import versions_of
from fx_assets.features.pipeline import build
from fx_assets.features.sets import lookback
from fx_assets.forecasting.certificate import Certificate
from fx_assets.models.inputs import history
from fx_assets.prices.batch import Form
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.timegrid.trading_dates import fixing_time
from tests.bars.prices import ecb_fixings
from tests.evaluation import planted
from tests.evaluation.planted import Fixed, Floats, Times

PAIRS = ("EURUSD", "GBPUSD", "USDJPY")
EVENING, SPOT, FIXING = time(22), time(16), time(14)
UTC = pa.timestamp("us", tz="UTC")
CROSS = FeatureSetSpec.model_validate(
    {
        "name": "evening",
        "stages": [
            {"stage": "indicators", "options": {"returns": [1], "cross": {"pairs": ["EURUSD"], "returns": [1]}}}
        ],
    }
)
MOOD = FeatureSetSpec.model_validate(
    {"name": "spot", "stages": [{"stage": "indicators", "options": {"exog": {"series": ["spot/EURUSD"]}}}]}
)
RIDGE = ModelSpec.model_validate(
    {"model_id": "planted", "kind": "ridge", "pairs": "all", "window": 30, "horizon": 1, "features": "evening"}
)
WALK = ModelSpec.model_validate({"model_id": "walk", "kind": "random_walk", "pairs": "all", "window": 30, "horizon": 1})


@pytest.fixture(scope="module")
def hours(sample_data: Path) -> Mapping[str, Hours]:
    """OANDA's hourly mid closes of three pairs."""
    return {pair: planted.oanda(sample_data, pair) for pair in PAIRS}


@pytest.fixture(scope="module")
def fixed() -> Mapping[str, Fixed]:
    """The ECB's rates of them, and of USDCHF."""
    return planted.fixings("USDCHF", *PAIRS)


@pytest.fixture(scope="module")
def evening(fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]) -> tuple[Floats, Times]:
    """(n,) each: what EURUSD's move since the fixing until 22:00 foretells of USDCHF's next one; when it was seen."""
    prices, seen = fixed["USDCHF"].quoted(hours["EURUSD"], EVENING)
    moves = np.log(prices / fixed["EURUSD"].history.closes)
    return planted.regressed(fixed["USDCHF"], moves), seen


def words(found: Certificate) -> tuple[str, str]:
    return found.location, found.density


# -- OANDA's EURUSD of 22:00 before the ECB's USDCHF ------------------------------------------------


def test_the_planted_skill_is_there(fixed: Mapping[str, Fixed], evening: tuple[Floats, Times]) -> None:
    """Out of sample, by the test alone: a loss ratio of about two thirds that no luck explains."""
    swiss, (location, seen) = fixed["USDCHF"], evening
    losses, walk = np.square(swiss.y - location)[swiss.rows], np.square(swiss.y)[swiss.rows]
    assert len(losses) == 763
    assert losses.mean() / walk.mean() == pytest.approx(0.633, abs=0.005)
    assert diebold_mariano(walk - losses, horizon=1).p_value < 1e-8
    # Seen at 22:00, not at 14:10; only on one Monday, a holiday everywhere, is OANDA's last price an old one.
    late = (seen - swiss.set_at)[swiss.rows] / np.timedelta64(1, "m")
    assert sorted(set(late.tolist())) == [-3790, 470]
    assert (late > 0).sum() == 762


def test_it_gets_no_skill_shown_and_the_reason(fixed: Mapping[str, Fixed], evening: tuple[Floats, Times]) -> None:
    swiss, (location, seen) = fixed["USDCHF"], evening
    found = planted.certified(planted.scored(swiss, location, seen=seen), planted.still(swiss), swiss)
    assert words(found) == ("no skill shown", "no skill shown")
    assert found.verdict == "no skill shown"
    (first,) = found.horizons
    for finding in (first.location, first.density):
        assert (finding.verdict, finding.ratio is not None and finding.ratio < 0.8) == ("no skill shown", True)
        # The numbers alone would say skill.
        assert finding.adjusted_p_value is not None
        assert finding.adjusted_p_value < 1e-8
    reason = "untradeable: an input of 762 of 763 windows observed the market after the target began"
    assert first.location.reason == reason
    assert re.fullmatch(r"untradeable: an input of .* observed the market after the target began", first.density.reason)


def test_only_the_guard_turns_it(fixed: Mapping[str, Fixed], evening: tuple[Floats, Times]) -> None:
    """The same forecasts, said to have seen nothing after the fixing, would be certified."""
    swiss, (location, _) = fixed["USDCHF"], evening
    honest, false = (planted.scored(swiss, location, seen=seen) for seen in (evening[1], swiss.set_at))
    assert honest.drop_columns("observed_until").equals(false.drop_columns("observed_until"))
    found = planted.certified(false, planted.still(swiss), swiss)
    assert words(found) == ("skill shown", "skill shown")
    assert {found.horizons[0].location.reason, found.horizons[0].density.reason} == {""}


# -- the spot of 16:00 before the next rate of the same pair ------------------------------------------


@pytest.mark.parametrize(("pair", "ratio"), [("EURUSD", 0.756), ("GBPUSD", 0.893), ("USDJPY", 0.860)], ids=PAIRS)
def test_the_spot_of_16_tells_of_the_next_rate(
    pair: str, ratio: float, fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]
) -> None:
    """Over all four years, as it is and with nothing learned."""
    own = fixed[pair]
    left = own.y - np.log(own.quoted(hours[pair], SPOT)[0] / own.history.closes)
    losses, walk = (np.square(values[:-1]) for values in (left, own.y))
    assert losses.mean() / walk.mean() == pytest.approx(ratio, abs=0.002)
    assert diebold_mariano(walk - losses, horizon=1).p_value < 1e-3


@pytest.mark.parametrize("pair", PAIRS)
def test_to_repeat_it_is_no_skill(pair: str, fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]) -> None:
    """By either rule: the walk repeats that price too, and it was seen after the rate was set."""
    own = fixed[pair]
    spot, seen = own.quoted(hours[pair], SPOT)
    repeated = np.log(spot / own.history.closes)
    scores, walk = planted.scored(own, repeated), planted.still(own)
    stale = planted.certified(scores, walk, own)
    assert words(stale) == ("skill shown", "skill shown")
    ratio = stale.horizons[0].location.ratio
    assert ratio is not None
    assert 0.75 < ratio < 0.9

    fresh = planted.certified(planted.scored(own, repeated, freshest=spot), planted.still(own, spot), own)
    assert words(fresh) == ("no skill shown", "no skill shown")
    assert (fresh.horizons[0].location.ratio, fresh.horizons[0].density.ratio) == (1.0, 1.0)

    late = planted.certified(planted.seen_until(scores, own, seen), walk, own)
    assert words(late) == ("no skill shown", "no skill shown")
    assert late.horizons[0].location.ratio == ratio
    assert late.horizons[0].location.reason.startswith("untradeable: an input of 762 of 763 windows observed")


def test_to_learn_from_it_is_no_skill_either(fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]) -> None:
    """A regression on the move until 16:00 beats the stale walk as well, and not the one that repeats that price."""
    own = fixed["EURUSD"]
    spot, _ = own.quoted(hours["EURUSD"], SPOT)
    learned = planted.regressed(own, np.log(spot / own.history.closes))
    stale = planted.certified(planted.scored(own, learned), planted.still(own), own)
    fresh = planted.certified(planted.scored(own, learned, freshest=spot), planted.still(own, spot), own)
    assert words(stale) == ("skill shown", "skill shown")
    assert words(fresh) == ("no skill shown", "no skill shown")


def test_a_walk_that_repeats_the_freshest_price_is_its_own_benchmark(
    fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]
) -> None:
    own = fixed["EURUSD"]
    spot, _ = own.quoted(hours["EURUSD"], SPOT)
    walk, stale = planted.still(own, spot), planted.still(own)
    for loss, benchmark in (("loss_se", "loss_se_walk"), ("loss_crps", "loss_crps_still")):
        assert walk.column(loss).equals(walk.column(benchmark))
        assert stale.column(loss).equals(stale.column(benchmark))
        # Each benchmark is harder to beat by what the hours until 16:00 have told.
        means = [float(np.mean(table.column(benchmark).to_numpy())) for table in (walk, stale)]
        assert means[0] < 0.93 * means[1]
    around = planted.scored(own, np.zeros(len(own.history)), freshest=spot)
    for name in ("loss_crps_still", "loss_crps_walk"):
        means = [float(np.mean(table.column(name).to_numpy())) for table in (around, stale)]
        assert means[0] < 0.93 * means[1]
    assert around.column("loss_crps").equals(stale.column("loss_crps"))


# -- no feature brings such a price in ------------------------------------------------------------------


def beside(bars: pa.Table, hours: Hours) -> Inputs:
    """USDCHF with OANDA's hours of EURUSD beside it."""
    return Inputs(
        pair="USDCHF",
        frequency="1d",
        calendar="target",
        own=versions_of(bars, ("close",)),
        others={"EURUSD": versions_of(planted.hourly(hours), ("close",))},
    )


def seen_beside(inputs: Inputs) -> Floats:
    """EURUSD as the features of each day of 2017 and 2018 saw it."""
    parts = [part for block in ("2017", "2018") for part in segments(inputs, block, lookback(CROSS))]
    return np.concatenate([part.frame.others["EURUSD"][part.rows] for part in parts])


def test_a_feature_beside_a_fixing_sees_14_and_never_22(fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]) -> None:
    swiss = fixed["USDCHF"]
    years = swiss.history.trading_dates.astype("datetime64[Y]").astype(int) + 1970
    told = (years == 2017) | (years == 2018)
    noon, late = (swiss.quoted(hours["EURUSD"], clock)[0][told] for clock in (FIXING, EVENING))
    assert np.array_equal(seen_beside(beside(swiss.bars, hours["EURUSD"])), noon)
    assert (noon != late).mean() > 0.99
    # Were the rates those of the evening, what OANDA showed by then would be fair.
    close = swiss.quoted(hours["EURUSD"], time(23))[0][told]
    found = seen_beside(beside(planted.as_bars(swiss.bars), hours["EURUSD"]))
    # In some weeks of March and November New York's 17:00 is 22:00 in Frankfurt.
    assert (np.isclose(found, close, rtol=0, atol=0) | (found == late)).all()


def test_other_evenings_change_no_feature(fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]) -> None:
    swiss, euro = fixed["USDCHF"], hours["EURUSD"]
    since = euro.starts + np.timedelta64(1, "h")
    at = np.searchsorted(swiss.set_at, since, side="left") - 1
    day = swiss.history.ends[np.maximum(at, 0)]
    # From each fixing to the end of its bar; the night and the next morning stay as they were.
    evenings = (at >= 0) & (since > swiss.set_at[np.maximum(at, 0)]) & (since <= day)
    # On the Monday of 2017-01-02 the market was closed: what was fixed there could know the Friday evening.
    evenings &= swiss.history.trading_dates[np.maximum(at, 0)] != np.datetime64("2016-12-30")
    assert 0.3 < evenings.mean() < 0.45
    noise = np.exp(0.05 * np.random.default_rng(1).standard_normal(len(since)))
    other = replace(euro, closes=np.where(evenings, euro.closes * noise, euro.closes))
    one, same = (build(beside(swiss.bars, each), CROSS) for each in (euro, other))
    assert one.equals(same)
    assert np.isfinite(one.column("cross_eurusd_return_1").to_numpy()).mean() > 0.99
    one, changed = (build(beside(planted.as_bars(swiss.bars), each), CROSS) for each in (euro, other))
    assert not one.equals(changed)


def test_the_spot_of_16_as_a_series_is_seen_by_the_next_days_fixing(
    fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]
) -> None:
    own = fixed["EURUSD"]
    spot, seen = own.quoted(hours["EURUSD"], SPOT)
    known = np.maximum(seen, own.set_at + np.timedelta64(110, "m"))
    series = pa.table(
        {
            "time": pa.array(own.history.trading_dates.astype("datetime64[us]")).cast(UTC),
            "known_at": pa.array(known).cast(UTC),
            "value": pa.array(spot),
        }
    )

    def told(bars: pa.Table) -> Floats:
        inputs = Inputs(
            pair="EURUSD",
            frequency="1d",
            calendar="target",
            own=versions_of(bars, ("close",)),
            exog={"spot/EURUSD": versions_of(series, ("value",), value="value", end="time")},
        )
        return np.asarray(build(inputs, MOOD).column("exog_spot_eurusd").to_numpy(), dtype=np.float64)

    assert np.array_equal(told(own.bars)[1:], spot[:-1])
    assert np.array_equal(told(planted.as_bars(own.bars)), spot)


def test_a_week_that_ends_on_good_friday_ends_with_thursdays_rate(tmp_path: Path) -> None:
    raw = ecb_fixings(tmp_path, "USDCHF").filter(pl.col("trading_date").is_between(date(2019, 4, 8), date(2019, 5, 3)))
    weeks = bar_versions(raw, "USDCHF", "1w", form=Form("fixing"), calendar="target").to_arrow()
    assert weeks.column("trading_date").to_pylist() == [date(2019, 4, day) for day in (12, 19, 26)] + [date(2019, 5, 3)]
    rows = history("USDCHF", weeks, calendar="target")
    ends = [date(2019, 4, day) for day in (12, 18, 26)] + [date(2019, 5, 3)]
    assert list(target_starts(rows, weeks).values()) == [fixing_time(day) for day in ends]
    assert (
        observed_at(rows, weeks).tolist() == versions_of(weeks, ("close",)).observed.astype("datetime64[us]").tolist()
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [("fixing", ("no skill shown", "no skill shown")), ("bar", ("skill shown", "skill shown"))],
    ids=["fixing", "bar"],
)
def test_a_real_model_with_such_a_feature_shows_nothing(
    said: str, expected: tuple[str, str], fixed: Mapping[str, Fixed], hours: Mapping[str, Hours]
) -> None:
    """From features to certificate. Said to be bars of the evening, the same rates would be foretold."""
    bars = fixed["USDCHF"].bars if said == "fixing" else planted.as_bars(fixed["USDCHF"].bars)
    rows = history("USDCHF", bars, build(beside(bars, hours["EURUSD"]), CROSS), calendar="target")
    scores = {}
    for spec, read in ((RIDGE, rows), (WALK, rows.bare())):
        predictor, manifest, window = planted.taught(spec, read)
        market = Beside(observed=observed_at(read, bars))
        scores[spec.model_id] = score_live(predictor, read, window, manifest=manifest, beside=market)
    found = planted.certified(scores["planted"], scores["walk"], Fixed(bars, rows), RIDGE)
    assert words(found) == expected
    assert found.horizons[0].windows == 509
    # Features let nothing late in, so there is nothing for the certificate to refuse.
    assert found.horizons[0].location.reason == ""

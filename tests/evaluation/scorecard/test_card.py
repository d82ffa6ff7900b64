"""The scorecard: which forecasts count, what happened to them, and when live skill is said to have drifted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.evaluation.scorecard.card import SCORECARD_SCHEMA, scorecard
from fx_assets.evaluation.scorecard.drift import DRIFTS, LIVE_SKILL_SCHEMA, _wealth, live_skill
from fx_assets.forecasting.document import ForecastDocument, Lineage
from fx_assets.forecasting.table import to_table
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, fixing_time

DAYS = calendar("target").days(date(2026, 1, 5), date(2026, 12, 30))
QUANTILES = {"0.05": 1.089, "0.1": 1.092, "0.5": 1.1011, "0.9": 1.108, "0.95": 1.111}
LATE = datetime(2027, 1, 1, tzinfo=UTC)
UTC_US = pa.timestamp("us", tz="UTC")


def forecast(
    row: int = 0,
    *,
    after: timedelta = timedelta(hours=1),
    revision: str = "live",
    version: str = "v1",
    steps: int = 2,
    quantiles: dict[str, float] = QUANTILES,
    model_id: str = "walk",
    pair: str = "EURUSD",
    last_price: float = 1.1,
    volatility: float = 0.005,
) -> ForecastDocument:
    """A document from the end of trading date `row`, issued `after` that, of reference rates."""
    origin = bar_end(DAYS[row])
    issued_at = origin + after
    targets = [(DAYS[row + h], fixing_time(DAYS[row + h])) for h in range(1, steps + 1)]
    return ForecastDocument.model_validate(
        {
            "pair": pair,
            "model_id": model_id,
            "model_version": version,
            "kind": "random_walk",
            "frequency": "1d",
            "origin": origin,
            "data_as_of": DAYS[row],
            "issued_at": issued_at,
            "valid_until": bar_end(DAYS[row + 1]),
            "stale": False,
            "revision": revision,
            "in_sample": False,
            "last_price": last_price,
            "pip": 0.0001,
            "target": "log_return",
            "champion": "walk",
            "horizons": [
                {
                    "h": h,
                    "target_date": day,
                    "target_time": time,
                    "retrospective": issued_at >= time,
                    "median": quantiles["0.5"],
                    "volatility": volatility,
                    "quantiles": quantiles,
                }
                for h, (day, time) in enumerate(targets, 1)
            ],
            "lineage": Lineage(
                data_version="d",
                feature_schema_hash=None,
                config_hash="c",
                code_version="1",
                run_id="run",
                trained_until=origin,
            ).model_dump(),
        }
    )


def table(*documents: ForecastDocument) -> pa.Table:
    return pa.concat_tables([to_table(document) for document in documents])


def bars(closes: Sequence[float | None], *, first: int = 1, late: timedelta = timedelta(0)) -> pa.Table:
    """EURUSD on the dates from `first` on; each close is known when its bar ends, or `late` after that."""
    days = DAYS[first : first + len(closes)]
    ends = [bar_end(day) for day in days]
    return pa.table(
        {
            "pair": ["EURUSD"] * len(days),
            "trading_date": pa.array(days, pa.date32()),
            "kind": ["fixing"] * len(days),
            "end": pa.array(ends, UTC_US),
            "known_at": pa.array([end + late for end in ends], UTC_US),
            "close": pa.array(closes, pa.float64()),
        }
    )


def card(*documents: ForecastDocument, outcomes: pa.Table, **options: Any) -> list[dict[str, Any]]:
    made = scorecard(table(*documents), outcomes, now=options.pop("now", LATE), **options)
    assert made.schema.equals(SCORECARD_SCHEMA)
    rows: list[dict[str, Any]] = made.to_pylist()
    return rows


def test_a_worked_example() -> None:
    first, second = card(forecast(), outcomes=bars([1.1022, 1.09]))
    assert (first["horizon"], second["horizon"]) == (1, 2)
    assert first["target_date"] == DAYS[1]
    assert first["outcome"] == 1.1022
    assert first["outcome_known_at"] == bar_end(DAYS[1])
    assert first["error_price"] == pytest.approx(0.0011)
    assert first["error_pips"] == pytest.approx(11)
    assert first["error_bp"] == pytest.approx(1e4 * math.log(1.1022 / 1.1011))
    assert first["y"] == pytest.approx(math.log(1.1022 / 1.1))
    assert first["location"] == pytest.approx(math.log(1.1011 / 1.1))
    # By hand: level x (y - q) above the quantile, (1 - level) x (q - y) below, in log price.
    log = math.log
    expected = np.mean(
        [
            0.05 * log(1.1022 / 1.089),
            0.1 * log(1.1022 / 1.092),
            0.5 * log(1.1022 / 1.1011),
            0.1 * log(1.108 / 1.1022),
            0.05 * log(1.111 / 1.1022),
        ]
    )
    assert first["pinball"] == pytest.approx(1e4 * expected)
    assert (first["covered_80"], first["covered_90"], first["direction_right"]) == (True, True, True)
    assert first["score_80"] == pytest.approx(1e4 * log(1.108 / 1.092))
    assert (second["covered_80"], second["covered_90"], second["direction_right"]) == (False, True, False)
    assert second["score_80"] == pytest.approx(1e4 * (log(1.108 / 1.092) + 2 / 0.2 * log(1.092 / 1.09)))
    assert second["score_90"] == pytest.approx(1e4 * log(1.111 / 1.089))


def test_neither_replays_nor_retrospective_revisions_count() -> None:
    outcomes = bars([1.1, 1.1])
    assert card(forecast(revision="replay"), outcomes=outcomes) == []
    # Issued a day late: how the path to the second price began was known, though that was not set yet.
    late = forecast(after=timedelta(days=1))
    assert [horizon.retrospective for horizon in late.horizons] == [True, False]
    assert card(late, outcomes=outcomes) == []
    assert len(card(forecast(after=timedelta(hours=15)), outcomes=outcomes)) == 2
    hidden = [horizon.model_copy(update={"retrospective": False}) for horizon in late.horizons]
    assert card(late.model_copy(update={"horizons": tuple(hidden)}), outcomes=outcomes) == [], "times decide too"
    # It does not take the place of one that came in time.
    assert {row["issued_at"] for row in card(late, forecast(), outcomes=outcomes)} == {forecast().issued_at}
    flagged = [horizon.model_copy(update={"retrospective": True}) for horizon in forecast().horizons]
    assert card(forecast().model_copy(update={"horizons": tuple(flagged)}), outcomes=outcomes) == []


def test_hours_are_joined_by_their_ends() -> None:
    at = bar_end(DAYS[0]) + timedelta(hours=1)
    told = forecast(steps=1)
    hourly = told.model_copy(
        update={"frequency": "1h", "horizons": (told.horizons[0].model_copy(update={"target_time": at}),)}
    )
    hourly = hourly.model_copy(update={"issued_at": at - timedelta(minutes=50)})
    hours = bars([1.1, 1.2]).drop_columns(["kind"])
    ends = pa.array([at, at + timedelta(hours=1)], UTC_US)
    hours = hours.set_column(2, "end", ends).set_column(3, "known_at", ends)
    assert [row["outcome"] for row in card(hourly, outcomes=hours)] == [1.1]


def test_the_first_live_revision_counts_once() -> None:
    other = {**QUANTILES, "0.5": 1.1001}
    first = forecast(version="v1")
    second = forecast(version="v2", after=timedelta(hours=2), quantiles=other)
    replayed = forecast(version="v0", after=timedelta(minutes=1), revision="replay", quantiles=other)
    for order in itertools.permutations([first, second, replayed]):
        rows = card(*order, outcomes=bars([1.1, 1.1]))
        assert [(row["horizon"], row["model_version"], row["median"]) for row in rows] == [
            (1, "v1", 1.1011),
            (2, "v1", 1.1011),
        ]
    # Of a model that was down all night the first revision may be too late for one horizon and in time for the next.
    rows = card(forecast(version="v1", after=timedelta(days=1)), second, outcomes=bars([1.1, 1.1]))
    assert [(row["horizon"], row["model_version"]) for row in rows] == [(1, "v2"), (2, "v2")]


def test_rows_come_in_one_order_whatever_the_order_of_the_tables() -> None:
    documents = [
        forecast(row, model_id=model, pair=pair)
        for row, model, pair in itertools.product((2, 0, 1), ("walk", "garch"), ("USDJPY", "EURUSD"))
    ]
    whole, outcomes = table(*documents), bars([1.1, 1.101, 1.102, 1.103, 1.104])
    made = scorecard(whole, outcomes, now=LATE)
    assert len(made) == 24
    keys = [tuple(row[name] for name in ("pair", "model_id", "horizon", "origin")) for row in made.to_pylist()]
    assert keys == sorted(keys)
    shuffled = np.random.default_rng(1).permutation(len(whole))
    again = scorecard(whole.take(pa.array(shuffled)), outcomes.take(pa.array([4, 0, 3, 1, 2])), now=LATE)
    assert again.equals(made)


def test_a_forecast_is_due_when_its_price_is_set() -> None:
    outcomes, target = bars([1.1, 1.1]), fixing_time(DAYS[1])
    assert card(forecast(), outcomes=outcomes, now=target - timedelta(seconds=1)) == []
    (row,) = card(forecast(), outcomes=outcomes, now=target)
    # Its price is published later: until then it is due and has no outcome.
    assert (row["horizon"], row["outcome"]) == (1, None)
    (row,) = card(forecast(), outcomes=outcomes, now=bar_end(DAYS[1]))
    assert row["outcome"] == 1.1


def test_a_missing_outcome_has_a_row_with_nulls() -> None:
    first, second = card(forecast(), outcomes=bars([1.1], first=2))
    measured = SCORECARD_SCHEMA.names[SCORECARD_SCHEMA.get_field_index("outcome") :]
    assert {name: first[name] for name in measured} == dict.fromkeys(measured)
    assert first["median"] == 1.1011
    assert second["outcome"] == 1.1
    skill = live_skill(scorecard(table(forecast()), bars([]), now=LATE), past(np.zeros(50)))
    assert len(skill) == 0


def test_the_price_that_was_known_first_is_the_outcome() -> None:
    corrected = pa.concat_tables([bars([1.105, 1.1], late=timedelta(hours=5)), bars([1.102, 1.1])])
    (first, _), (current, _) = (card(forecast(), outcomes=corrected, version=v) for v in ("first", "current"))
    assert (first["outcome"], first["outcome_known_at"]) == (1.102, bar_end(DAYS[1]))
    assert (current["outcome"], current["outcome_known_at"]) == (1.105, bar_end(DAYS[1]) + timedelta(hours=5))
    # Nobody knew of the correction yet.
    (row,) = card(forecast(), outcomes=corrected, version="current", now=bar_end(DAYS[1]) + timedelta(hours=4))
    assert row["outcome"] == 1.102
    # A price that was taken back was first known all the same; today there is none.
    back = pa.concat_tables([bars([1.102, 1.1]), bars([None], late=timedelta(hours=5))])
    assert card(forecast(), outcomes=back)[0]["outcome"] == 1.102
    assert card(forecast(), outcomes=back, version="current")[0]["outcome"] is None
    # A row that took back what nobody had yet is no first price.
    empty = pa.concat_tables([bars([None, 1.1]), bars([1.105], late=timedelta(hours=5))])
    assert card(forecast(), outcomes=empty)[0]["outcome"] == 1.105


def test_what_a_forecast_does_not_give_is_not_judged() -> None:
    bare = {"0.25": 1.095, "0.5": 1.1, "0.75": 1.105}
    row, _ = card(forecast(quantiles=bare), outcomes=bars([1.11, 1.1]))
    assert [row[name] for name in ("score_80", "score_90", "covered_80", "covered_90")] == [None] * 4
    assert row["pinball"] > 0
    assert row["direction_right"] is None, "a forecast of no change has no direction"
    narrow, _ = card(forecast(quantiles={"0.1": 1.09, "0.5": 1.1, "0.9": 1.11}), outcomes=bars([1.11, 1.1]))
    assert (narrow["covered_80"], narrow["score_90"]) == (True, None), "a bound belongs to its range"
    assert narrow["score_80"] == pytest.approx(1e4 * math.log(1.11 / 1.09))
    still, _ = card(forecast(), outcomes=bars([1.1, 1.1]))
    assert still["direction_right"] is None, "the price did not move"
    # Forecasts with different levels in one table each keep their own.
    both = card(forecast(0, quantiles=bare), forecast(1), outcomes=bars([1.1, 1.1, 1.1]))
    assert [row["covered_80"] for row in both] == [None, True, None, True]


def test_what_cannot_be_joined_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        card(forecast(), outcomes=bars([1.1]), now=datetime(2026, 2, 1))
    with pytest.raises(ValueError, match="expected 'first' or 'current'"):
        card(forecast(), outcomes=bars([1.1]), version="newest")
    with pytest.raises(ValueError, match="alpha"):
        live_skill(scorecard(table(forecast()), bars([1.1]), now=LATE), past(np.zeros(3)), alpha=1.0)


def past(z: Any, *, location: Any = 0.0, horizon: int = 1, volatility: float = 0.005) -> pa.Table:
    """Back-tested windows of the years before: outcomes `z` volatilities away from a location."""
    days = calendar("target").days(date(2015, 1, 5), DAYS[0])[-len(z) - horizon :]
    ends = pa.array([bar_end(day) for day in days], UTC_US)
    n = len(days) - horizon
    values = np.broadcast_to(np.asarray(location, dtype=np.float64), n)
    return pa.table(
        {
            "pair": ["EURUSD"] * n,
            "model_id": ["walk"] * n,
            "horizon": pa.array([horizon] * n, pa.int32()),
            "origin": ends[:n],
            "target_time": ends[horizon:],
            "y": values + np.asarray(z[-n:]) * volatility,
            "location": values,
            "volatility": [volatility] * n,
        }
    )


def live(z: Any, *, location: Any = 0.0, horizon: int = 1) -> pa.Table:
    """A scorecard of live windows, from the first of `DAYS` on, that `scorecard` made from documents and prices."""
    n = len(z)
    places = np.broadcast_to(np.asarray(location, dtype=np.float64), n)
    documents, closes = [], []
    for row in range(n):
        median = 1.1 * math.exp(places[row])
        quantiles = {"0.1": median * 0.99, "0.5": median, "0.9": median * 1.01}
        documents.append(forecast(row, steps=horizon, quantiles=quantiles))
        closes.append(median * math.exp(0.005 * z[row]))
    made = scorecard(table(*documents), bars(closes, first=horizon), now=LATE)
    return made.filter(pa.compute.equal(made.column("horizon"), horizon))


def verdicts(rows: pa.Table, before: pa.Table, **options: Any) -> dict[str, dict[str, Any]]:
    found = live_skill(rows, before, **options)
    assert found.schema.equals(LIVE_SKILL_SCHEMA)
    assert found.column("drift").to_pylist() == list(DRIFTS)
    return {row["drift"]: row for row in found.to_pylist()}


def test_live_forecasts_as_good_as_back_tested_ones_raise_no_alert() -> None:
    random = np.random.default_rng(3)
    found = verdicts(live(random.standard_normal(120)), past(random.standard_normal(600)))
    assert {row["verdict"] for row in found.values()} == {"no drift shown"}
    assert not any(row["alert"] for row in found.values())
    row = found["volatility too low"]
    assert (row["windows"], row["backtested_windows"]) == (120, 600)
    assert row["live"] == pytest.approx(1, abs=0.15)
    assert row["backtested"] == pytest.approx(1, abs=0.1)
    assert found["location"]["live"] == pytest.approx(1)


@pytest.mark.parametrize(("factor", "drift"), [(1.8, "volatility too low"), (0.5, "volatility too high")])
def test_ranges_of_the_wrong_width_are_found(factor: float, drift: str) -> None:
    random = np.random.default_rng(4)
    before, rows = past(random.standard_normal(600)), live(factor * random.standard_normal(120))
    found = verdicts(rows, before)
    assert {name: row["verdict"] for name, row in found.items()} == {
        name: "drift" if name == drift else "no drift shown" for name in DRIFTS
    }
    row = found[drift]
    assert row["live"] == pytest.approx(factor, rel=0.15)
    assert row["e_value"] >= 100
    # Read every night it would have said so on that night, and not before.
    when = rows.column("target_time").to_pylist().index(row["alerted_at"])
    assert 19 <= when < 119
    assert verdicts(rows.slice(0, when + 1), before)[drift]["alert"]
    assert not verdicts(rows.slice(0, when), before)[drift]["alert"]


def test_no_alert_comes_before_there_is_enough_to_say_so() -> None:
    random = np.random.default_rng(9)
    before, rows = past(random.standard_normal(600)), live(5 * random.standard_normal(40))
    row = verdicts(rows.slice(0, 19), before)["volatility too low"]
    assert row["e_value"] >= 100
    assert (row["verdict"], row["alert"], row["alerted_at"]) == ("too little data", False, None)
    row = verdicts(rows, before)["volatility too low"]
    assert (row["verdict"], row["alerted_at"]) == ("drift", rows.column("target_time")[19].as_py())


def test_a_direction_that_was_lost_is_found() -> None:
    random = np.random.default_rng(5)
    said, seen = 0.003 * random.standard_normal(600), 0.003 * random.standard_normal(200)
    before = past(random.standard_normal(600), location=said)
    # Live, the forecasts point as far as they did, and the price does not follow.
    rows = live(random.standard_normal(200) - seen / 0.005, location=seen)
    row = verdicts(rows, before)["location"]
    assert row["verdict"] == "drift"
    assert row["backtested"] < 1 < row["live"]


def test_windows_that_overlap_count_once() -> None:
    random = np.random.default_rng(6)
    rows = live(3 * random.standard_normal(95), horizon=5)
    found = verdicts(rows, past(random.standard_normal(600), horizon=5))
    assert {row["windows"] for row in found.values()} == {19}
    assert {row["backtested_windows"] for row in found.values()} == {120}
    assert {row["verdict"] for row in found.values()} == {"too little data"}
    assert not any(row["alert"] or row["alerted_at"] for row in found.values())
    few = verdicts(live(3 * random.standard_normal(50)), past(random.standard_normal(19)))
    assert {row["verdict"] for row in few.values()} == {"too little data"}


def test_back_tested_windows_of_the_live_period_are_no_yardstick() -> None:
    random = np.random.default_rng(7)
    before, rows = past(random.standard_normal(100)), live(random.standard_normal(60))
    # The same nights were scored by the walk-forward too.
    same = rows.select(before.column_names).cast(before.schema)
    assert live_skill(rows, pa.concat_tables([before, same])).equals(live_skill(rows, before))
    assert len(live_skill(rows, same)) == 3
    assert set(live_skill(rows, same).column("verdict").to_pylist()) == {"too little data"}
    assert len(live_skill(rows, before.slice(0, 0))) == 0


def test_the_bet_is_fair_over_all_orders() -> None:
    # Exchangeable losses come in any order alike: the mean wealth over all orders never exceeds the stake.
    losses = [0.3, 1.0, 1.7, 2.2, 2.2, 5.0]
    ends = [_wealth(np.array(order[:2]), np.array(order[2:])) for order in itertools.permutations(losses)]
    assert (np.mean(ends, axis=0) <= 1).all()
    assert (np.max(ends, axis=0) > 1).all()
    # The largest loss of four has p = 1/4 and multiplies the bets 0, 1, 2 by 1, 1.25, 1.5.
    assert _wealth(np.array([0.0, 1.0, 2.0]), np.array([3.0])) == pytest.approx([1.25])


def test_false_alerts_are_as_rare_as_promised() -> None:
    random, alerts = np.random.default_rng(8), 0
    for _ in range(300):
        losses = np.abs(random.standard_t(5, 400))
        alerts += _wealth(losses[:300], losses[300:]).max() >= 10
    assert 0 < alerts <= 0.1 * 300, "at alpha .1 the wealth reaches 10 in at most a tenth of worlds"
